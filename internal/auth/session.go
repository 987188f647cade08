package auth

import (
	"context"
	"time"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/principal"
)

const (
	browserLifetime = 12 * time.Hour
	linkLifetime    = 5 * time.Minute
)

// OpenSession begins a browser's session and returns the cookie's value. It ends with
// what p shows: a key, as which it acts, or a login. A cookie opens no other, or its
// end would mean nothing: fault.Forbidden.
func (s *Service) OpenSession(ctx context.Context, p *principal.Principal) (cookie string, expires time.Time, err error) {
	session := &principal.Session{Tenant: p.Tenant, Key: p.Key}
	if p.Key == "" {
		session.User = p.User
	}
	if session.Key == "" && session.User == "" {
		return "", time.Time{}, unauthorized()
	}
	lasts := browserLifetime
	if p.Session != "" {
		shown, _, _, err := s.store.SessionOwner(ctx, p.Session, nil)
		switch {
		case err != nil:
			return "", time.Time{}, sameAnswer(err)
		case shown.Kind != principal.Login:
			return "", time.Time{}, fault.New(fault.Forbidden, "a cookie is exchanged for a token or a key, not for another cookie")
		}
		session.Parent, lasts = shown.ID, min(lasts, shown.ExpiresAt.Sub(s.now()))
	}
	return s.open(ctx, principal.Browser, session, lasts)
}

// open stores a session that whoever shows its text has.
func (s *Service) open(ctx context.Context, kind principal.SessionKind, session *principal.Session, lasts time.Duration) (text string, expires time.Time, err error) {
	text, now := opaque(), s.now()
	session.ID, session.Kind, session.Hash, session.CreatedAt, session.ExpiresAt = newID(), kind, hashOf(text), now, now.Add(lasts)
	if err := s.store.CreateSession(ctx, session, nil); err != nil {
		return "", time.Time{}, err
	}
	return text, session.ExpiresAt, nil
}

// CloseSession ends a browser's session. An unknown one has ended.
func (s *Service) CloseSession(ctx context.Context, cookie string) error {
	if !isOpaque(cookie) {
		return nil
	}
	session, _, _, err := s.store.SessionOwner(ctx, "", hashOf(cookie))
	if fault.KindOf(err) == fault.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	return s.end(ctx, session.ID)
}

// MakeLink returns a token that opens one browser session for a key, within five
// minutes.
func (s *Service) MakeLink(ctx context.Context, keyID string) (token string, err error) {
	k, _, err := s.store.KeyOwner(ctx, keyID)
	if err != nil {
		return "", err
	}
	token, _, err = s.open(ctx, principal.Link, &principal.Session{Tenant: k.Tenant, Key: k.ID}, linkLifetime)
	return token, err
}

// TakeLink uses up a link's token and opens its session. Spent, late or unknown, it
// is fault.Unauthorized.
func (s *Service) TakeLink(ctx context.Context, token string) (cookie string, expires time.Time, err error) {
	if !isOpaque(token) {
		return "", time.Time{}, unauthorized()
	}
	link, err := s.store.TakeLink(ctx, hashOf(token), s.now())
	if err != nil {
		return "", time.Time{}, sameAnswer(err)
	}
	return s.open(ctx, principal.Browser, &principal.Session{Tenant: link.Tenant, Key: link.Key, User: link.User}, browserLifetime)
}
