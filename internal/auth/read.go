package auth

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/waybill-dev/waybill/internal/principal"
)

// errBad is what a credential is that the store knows and that is no good.
var errBad = errors.New("the credential is no good")

// noHash is compared with where there is no key: an ID that is known must not
// take longer.
var noHash = make([]byte, 32)

func (s *Service) readKey(ctx context.Context, id, secret string) (*entry, error) {
	k, owner, err := s.store.KeyOwner(ctx, id)
	stored := noHash
	if err == nil {
		stored = k.Hash
	}
	if same := sameHash(hashOf(secret), stored); err != nil {
		return nil, err
	} else if !same {
		return nil, errBad
	}
	return s.entryOfKey(k, owner)
}

// entryOfKey says as whom a key acts: for its user, as far as that one goes.
func (s *Service) entryOfKey(k *principal.Key, owner *principal.User) (*entry, error) {
	if k == nil || !k.RevokedAt.IsZero() || ended(k.ExpiresAt, s.now()) {
		return nil, errBad
	}
	p := &principal.Principal{
		Kind: principal.OfKey, ID: "key:" + k.ID, Tenant: k.Tenant, Role: principal.RoleOf(k.Scopes, principal.Platform),
		Key: k.ID, Name: k.Name, Scopes: k.Scopes, Collections: k.Collections,
	}
	if k.User != "" {
		if owner == nil || owner.ID != k.User || owner.Tenant != k.Tenant || !owner.DisabledAt.IsZero() {
			return nil, errBad
		}
		p.ID, p.User, p.Role = "user:"+owner.ID, owner.ID, principal.RoleOf(k.Scopes, owner.Role)
		if !owner.Role.AtLeast(roleFor(principal.Queues)) { // who made it as an admin may be one no more
			p.Scopes = slices.DeleteFunc(slices.Clone(k.Scopes), func(s principal.Scope) bool { return s == principal.Queues })
		}
	}
	return &entry{principal: p, expires: k.ExpiresAt}, nil
}

func entryOfUser(u *principal.User, session string, expires time.Time) (*entry, error) {
	if u == nil || !u.DisabledAt.IsZero() {
		return nil, errBad
	}
	return &entry{expires: expires, principal: &principal.Principal{
		Kind: principal.OfUser, ID: "user:" + u.ID, Tenant: u.Tenant, Role: u.Role, User: u.ID, Name: u.Email, Session: session,
	}}, nil
}

// readToken looks whether the login behind a token still holds, and what its user
// may do by now.
func (s *Service) readToken(ctx context.Context, c *claims) (*entry, error) {
	session, u, _, err := s.store.SessionOwner(ctx, c.Session, nil)
	if err != nil {
		return nil, err
	}
	if !s.good(session, principal.Login) || u == nil || u.ID != c.Subject || u.Tenant != c.Tenant {
		return nil, errBad
	}
	return entryOfUser(u, session.ID, c.ExpiresAt.Add(tokenLeeway))
}

func (s *Service) readCookie(ctx context.Context, text string) (*entry, error) {
	session, u, k, err := s.store.SessionOwner(ctx, "", hashOf(text))
	if err != nil {
		return nil, err
	}
	if !s.good(session, principal.Browser) {
		return nil, errBad
	}
	if session.Key == "" {
		return entryOfUser(u, session.ID, session.ExpiresAt)
	}
	e, err := s.entryOfKey(k, u)
	if err != nil {
		return nil, err
	}
	e.principal.Session = session.ID
	if e.expires.IsZero() || session.ExpiresAt.Before(e.expires) {
		e.expires = session.ExpiresAt
	}
	return e, nil
}

func (s *Service) good(session *principal.Session, kind principal.SessionKind) bool {
	return session.Kind == kind && session.RevokedAt.IsZero() && !ended(session.ExpiresAt, s.now())
}

// ended says whether what is good until at (zero: for ever) is not any more.
func ended(at, now time.Time) bool { return !at.IsZero() && !now.Before(at) }
