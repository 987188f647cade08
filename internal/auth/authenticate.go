package auth

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/principal"
)

// storeTimeout bounds a look into the store on somebody's way in.
const storeTimeout = 2 * time.Second

// Authenticate returns whose an API key or an access token is. Whatever is wrong
// with it is the same fault.Unauthorized; fault.StoreUnavailable says that nobody
// knows.
func (s *Service) Authenticate(ctx context.Context, text string) (*principal.Principal, error) {
	if len(text) > maxCredential {
		return nil, unauthorized()
	}
	c, now := credentialOf(bearer, text), s.now()
	if e := s.cache.get(c); e != nil && s.cache.fresh(e, now) {
		return s.admit(e, now)
	}
	if id, secret, ok := ParseKey(text); ok {
		return s.look(ctx, c, func(ctx context.Context) (*entry, error) { return s.readKey(ctx, id, secret) })
	}
	if strings.HasPrefix(text, keyPrefix) {
		return nil, unauthorized()
	}
	claims, err := s.keys.verifyToken(text, now)
	if err != nil {
		return nil, unauthorized()
	}
	return s.look(ctx, c, func(ctx context.Context) (*entry, error) { return s.readToken(ctx, claims) })
}

// Session returns whose a browser's session cookie is, as Authenticate does.
func (s *Service) Session(ctx context.Context, text string) (*principal.Principal, error) {
	if !isOpaque(text) {
		return nil, unauthorized()
	}
	c, now := credentialOf(cookie, text), s.now()
	if e := s.cache.get(c); e != nil && s.cache.fresh(e, now) {
		return s.admit(e, now)
	}
	return s.look(ctx, c, func(ctx context.Context) (*entry, error) { return s.readCookie(ctx, text) })
}

// admit answers from e, and notes that a key was used.
func (s *Service) admit(e *entry, now time.Time) (*principal.Principal, error) {
	p, err := e.answer(now)
	if err == nil && p.Key != "" {
		s.note(e, now)
	}
	return p, err
}

// look reads what the store says of c, once for all who wait for it. While the
// store is away, what it said before holds for a while.
func (s *Service) look(ctx context.Context, c credential, read func(context.Context) (*entry, error)) (*principal.Principal, error) {
	known := s.cache.get(c)
	if now := s.now(); s.cache.away(now) && s.cache.holds(known, now) {
		return s.admit(known, now)
	}
	answer := s.flights.DoChan(string(c.kind)+string(c.sum[:]), func() (any, error) {
		return s.read(context.WithoutCancel(ctx), c, read)
	})
	select {
	case a := <-answer:
		if now := s.now(); a.Err == nil {
			return s.admit(a.Val.(*entry), now)
		} else if s.cache.holds(known, now) {
			return s.admit(known, now)
		}
		return nil, unavailable(a.Err)
	case <-ctx.Done():
		return nil, unavailable(ctx.Err())
	}
}

// unavailable is fault.StoreUnavailable, whatever kept the store from an answer.
func unavailable(err error) error {
	if fault.KindOf(err) == fault.StoreUnavailable {
		return err
	}
	return fault.Wrap(fault.StoreUnavailable, err, "the credentials cannot be checked now")
}

// read asks the store, the version before the rows: a change in between makes the
// entry older than it is, never newer.
func (s *Service) read(ctx context.Context, c credential, read func(context.Context) (*entry, error)) (*entry, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	begun := s.now()
	version, ok := s.cache.current(begun)
	if !ok {
		if err := s.poll(ctx); err != nil {
			return nil, err
		}
		version, _ = s.cache.current(begun)
	}
	e, err := read(ctx)
	if fault.KindOf(err) == fault.NotFound || errors.Is(err, errBad) {
		e, err = &entry{}, nil
	}
	if err != nil {
		s.cache.failed.Store(s.cache.stamp(s.now()))
		return nil, err
	}
	e.version, e.read = version, begun
	s.cache.put(c, e)
	return e, nil
}

// poll asks for the version of identities.
func (s *Service) poll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	at := s.now()
	version, err := s.store.IdentityVersion(ctx)
	if err != nil {
		s.cache.failed.Store(s.cache.stamp(s.now()))
		return err
	}
	s.cache.heard(version, at)
	return nil
}
