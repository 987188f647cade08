package auth

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/principal"
	"github.com/waybill-dev/waybill/internal/record"
)

const adminKeyName = "WAYBILL_ADMIN_KEY"

// Seed makes the platform key that the setting WAYBILL_ADMIN_KEY holds, "" for none.
// Under an ID that was seeded before, another secret replaces the old one, which is
// no good any more: that is how an operator rotates it. The same secret, revoked,
// stays revoked. An ID that somebody else's key has is fault.Conflict.
func (s *Service) Seed(ctx context.Context, adminKey string) error {
	if adminKey == "" {
		return nil
	}
	id, secret, ok := ParseKey(adminKey)
	if !ok {
		return fmt.Errorf("%s %w", adminKeyName, CheckAdminKey(adminKey))
	}
	ctx = principal.WithActor(ctx, principal.Actor{Principal: "operator"})
	hash := hashOf(secret)
	err := s.store.CreateKey(ctx, &principal.Key{
		ID: id, Tenant: record.DefaultTenant, Name: adminKeyName, Hash: hash,
		Scopes: []principal.Scope{principal.ScopePlatform}, CreatedAt: s.now(),
	})
	if fault.KindOf(err) != fault.Conflict {
		return err
	}
	return s.reseed(ctx, id, hash)
}

func (s *Service) reseed(ctx context.Context, id string, hash []byte) error {
	k, _, err := s.store.KeyOwner(ctx, id)
	if err != nil {
		return err
	}
	switch {
	case k.Name != adminKeyName || k.CreatedBy != "" || k.User != "" || k.Tenant != record.DefaultTenant:
		return fault.New(fault.Conflict, "%s has the id of another key: choose another", adminKeyName)
	case !sameHash(k.Hash, hash):
		s.log.WarnContext(ctx, "the admin key has a new secret, the old one is no good any more", slog.String("key", id))
		err = s.store.ReplaceKeyHash(ctx, k.Tenant, id, hash)
		if err == nil {
			s.changed(ctx)
		}
		return err
	case !k.RevokedAt.IsZero():
		s.log.WarnContext(ctx, "the admin key was revoked and stays so: set WAYBILL_ADMIN_KEY to another", slog.String("key", id))
	}
	return nil
}
