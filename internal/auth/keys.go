package auth

import (
	"context"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/principal"
	"github.com/waybill-dev/waybill/internal/record"
)

const maxKeyName = 100 // characters

// CreateKey makes a key, and its tenant if need be, and returns the key's text, which
// nobody can learn again. In p's own tenant it acts for p's user. It can do no more than p, nor longer: that is
// fault.Forbidden, all other mistakes are fault.InvalidRecord.
func (s *Service) CreateKey(ctx context.Context, p *principal.Principal, tenant string, n NewKey) (*principal.Key, string, error) {
	if err := makesKeys(p, tenant); err != nil {
		return nil, "", err
	}
	now := s.now()
	if err := s.checkNewKey(tenant, n, now); err != nil {
		return nil, "", err
	}
	if err := s.within(ctx, p, n); err != nil {
		return nil, "", err
	}
	if err := s.EnsureTenant(ctx, p, tenant); err != nil {
		return nil, "", err
	}
	id, text, hash := makeKey()
	k := &principal.Key{
		ID: id, Tenant: tenant, Name: n.Name, Hash: hash, Scopes: scopesOf(n.Scopes), Collections: n.Collections,
		CreatedBy: p.ID, CreatedAt: now, ExpiresAt: n.ExpiresAt,
	}
	if tenant == p.Tenant {
		k.User = p.User
	}
	if err := s.store.CreateKey(ctx, k); err != nil {
		return nil, "", err
	}
	return k, text, nil
}

// makesKeys is fault.Forbidden for those who make no keys in tenant.
func makesKeys(p *principal.Principal, tenant string) error {
	switch {
	case p.Kind == principal.Anonymous || p.Tenant != tenant && !p.Role.AtLeast(principal.Platform):
		return fault.New(fault.Forbidden, "a user of the tenant is needed, or a platform admin")
	case !p.Has(principal.ScopeAdmin):
		return fault.New(fault.Forbidden, "a key makes keys only with the scope %s", principal.ScopeAdmin)
	}
	return nil
}

func scopesOf(texts []string) []principal.Scope {
	all := make([]principal.Scope, len(texts))
	for i, t := range texts {
		all[i] = principal.Scope(t)
	}
	return all
}

// checkNewKey says all that is wrong with n, whoever asks.
func (s *Service) checkNewKey(tenant string, n NewKey, now time.Time) error {
	var wrong mistakes
	if c := utf8.RuneCountInString(n.Name); c < 1 || c > maxKeyName || !utf8.ValidString(n.Name) || strings.ContainsFunc(n.Name, unicode.IsControl) {
		wrong.add("body.name", "must have 1 to 100 characters, none of them a control character")
	}
	checkEach(&wrong, "body.scopes", n.Scopes, func(t string) string {
		switch scope := principal.Scope(t); {
		case !slices.Contains(principal.Scopes, scope):
			return "must be one of " + strings.Join(texts(principal.Scopes), ", ")
		case scope == principal.ScopePlatform && tenant != record.DefaultTenant:
			return "is for keys of the tenant " + record.DefaultTenant
		}
		return ""
	})
	if n.Collections != nil {
		checkEach(&wrong, "body.collections", n.Collections, func(name string) string {
			if !s.o.Collections(name) {
				return "there is no such collection"
			}
			return ""
		})
	}
	if ended(n.ExpiresAt, now) {
		wrong.add("body.expires_at", "must be in the future")
	}
	return wrong.err()
}

// maxListed bounds the lists of a new key: there are not so many scopes, nor many
// more collections.
const maxListed = 1_000

// checkEach notes what is wrong with a list: that it is empty, and what is unknown
// or comes twice.
func checkEach(wrong *mistakes, location string, list []string, mistake func(string) string) {
	if len(list) == 0 || len(list) > maxListed {
		wrong.add(location, "must have 1 to 1000 items")
		return
	}
	seen := map[string]bool{}
	for i, one := range list {
		if m := mistake(one); m != "" {
			wrong.add(indexed(location, i), m)
		} else if seen[one] {
			wrong.add(indexed(location, i), "is there twice")
		}
		seen[one] = true
	}
}

// within is fault.Forbidden for what p may not give because it does not have it.
func (s *Service) within(ctx context.Context, p *principal.Principal, n NewKey) error {
	var beyond mistakes
	for i, scope := range scopesOf(n.Scopes) {
		if !p.Has(scope) || !p.Role.AtLeast(roleFor(scope)) {
			beyond.add(indexed("body.scopes", i), "is more than you may do yourself")
		}
	}
	if len(p.Collections) > 0 && n.Collections == nil {
		beyond.add("body.collections", "must be given, for your own key is limited to some")
	}
	for i, name := range n.Collections {
		if !p.Reaches(name) {
			beyond.add(indexed("body.collections", i), "is beyond your own key")
		}
	}
	last, err := s.lifetime(ctx, p)
	if err != nil {
		return err
	}
	if !last.IsZero() && (n.ExpiresAt.IsZero() || n.ExpiresAt.After(last)) {
		beyond.add("body.expires_at", "must not be after the end of your own key, "+last.UTC().Format(time.RFC3339))
	}
	return beyond.as(fault.Forbidden)
}

// roleFor returns the role that a scope is worth.
func roleFor(scope principal.Scope) principal.Role {
	switch scope {
	case principal.ScopePlatform:
		return principal.Platform
	case principal.ScopeAdmin, principal.Queues:
		return principal.Admin
	}
	return principal.Member
}

// lifetime returns when the key that p shows ends; zero for never, and for no key.
func (s *Service) lifetime(ctx context.Context, p *principal.Principal) (time.Time, error) {
	if p.Key == "" {
		return time.Time{}, nil
	}
	k, _, err := s.store.KeyOwner(ctx, p.Key)
	if err != nil {
		return time.Time{}, sameAnswer(err)
	}
	return k.ExpiresAt, nil
}

// RevokeKey ends a key of tenant: an admin any but those of a higher role, everybody
// else their own, and a key without the scope admin itself alone.
func (s *Service) RevokeKey(ctx context.Context, p *principal.Principal, tenant, id string) error {
	if p.Tenant != tenant && !p.Role.AtLeast(principal.Platform) {
		return noSuchKey()
	}
	user := ""
	if p.Role.AtLeast(principal.Admin) {
		if err := s.outranks(ctx, p, tenant, id); err != nil {
			return err
		}
	} else if user = p.User; id != p.Key && (user == "" || !p.Has(principal.ScopeAdmin)) {
		return fault.New(fault.Forbidden, "a key ends others only with the scope %s", principal.ScopeAdmin)
	}
	err := s.store.RevokeKey(ctx, tenant, id, user, s.now())
	if err == nil {
		s.changed(ctx)
	}
	return err
}

// outranks is fault.Forbidden if the key may do more than p.
func (s *Service) outranks(ctx context.Context, p *principal.Principal, tenant, id string) error {
	k, owner, err := s.store.KeyOwner(ctx, id)
	if err != nil {
		return err
	}
	if k.Tenant != tenant {
		return noSuchKey()
	}
	most := principal.Platform
	if owner != nil {
		most = owner.Role
	}
	if !p.Role.AtLeast(principal.RoleOf(k.Scopes, most)) {
		return fault.New(fault.Forbidden, "nobody ends keys of a higher role than their own")
	}
	return nil
}

func noSuchKey() error { return fault.New(fault.NotFound, "there is no such key") }
