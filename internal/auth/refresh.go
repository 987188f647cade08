package auth

import (
	"cmp"
	"context"
	"log/slog"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/principal"
)

// Refresh spends a refresh token on the next one. Spent twice, it ends its session:
// one of the two who showed it has stolen it.
func (s *Service) Refresh(ctx context.Context, token string) (*Tokens, error) {
	if s.keys.signer == nil {
		return nil, errKeyless
	}
	if !isOpaque(token) {
		return nil, unauthorized()
	}
	text, now := opaque(), s.now()
	session, err := s.store.RotateRefresh(ctx, hashOf(token), &principal.Refresh{Hash: hashOf(text), CreatedAt: now}, now)
	if err != nil {
		s.log.InfoContext(ctx, "a refresh token was refused", slog.Any("error", err))
		return nil, sameAnswer(err)
	}
	session, u, _, err := s.store.SessionOwner(ctx, session.ID, nil)
	if err != nil {
		return nil, sameAnswer(err)
	}
	if !s.good(session, principal.Login) || u == nil || !u.DisabledAt.IsZero() {
		return nil, unauthorized()
	}
	return s.tokens(u, session, text)
}

// sameAnswer makes all that may be wrong with a credential one.
func sameAnswer(err error) error {
	switch fault.KindOf(err) {
	case fault.NotFound, fault.Unauthorized:
		return unauthorized()
	}
	return err
}

// Logout ends the session behind p and that of a refresh token; one of them must be
// given (p may be nil). An unknown token has been logged out.
func (s *Service) Logout(ctx context.Context, p *principal.Principal, refresh string) error {
	if (p == nil || p.Session == "") && refresh == "" {
		return unauthorized()
	}
	if p != nil && p.Session != "" {
		if err := s.endLogin(ctx, p.Session); err != nil {
			return err
		}
	}
	if !isOpaque(refresh) {
		return nil
	}
	session, err := s.store.RefreshSession(ctx, hashOf(refresh))
	if fault.KindOf(err) == fault.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	return s.end(ctx, session.ID)
}

// endLogin ends a session, and the login that it was exchanged for.
func (s *Service) endLogin(ctx context.Context, id string) error {
	session, _, _, err := s.store.SessionOwner(ctx, id, nil)
	if fault.KindOf(err) == fault.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	return s.end(ctx, cmp.Or(session.Parent, id)) // with the login, what it was exchanged for ends too
}

// end ends a session. One that has ended, or never was, is fine.
func (s *Service) end(ctx context.Context, id string) error {
	err := s.store.EndSession(ctx, id, s.now())
	if fault.KindOf(err) == fault.NotFound {
		return nil
	}
	if err == nil {
		s.changed(ctx)
	}
	return err
}
