package auth

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/principal"
	"github.com/waybill-dev/waybill/internal/record"
)

// loginLifetime is how long a login lasts, however often it is refreshed.
const loginLifetime = 30 * 24 * time.Hour

// Register makes a member of the default tenant: fault.Forbidden if that is closed,
// fault.InvalidRecord with all that is wrong, fault.Conflict for a taken address.
func (s *Service) Register(ctx context.Context, email, password string) (*principal.User, error) {
	if s.o.Registration != "open" {
		return nil, fault.New(fault.Forbidden, "registration is closed: an admin makes users")
	}
	return s.makeUser(ctx, principal.Guest(record.DefaultTenant), NewUser{Tenant: record.DefaultTenant, Email: email, Password: password, Role: string(principal.Member)})
}

// Login begins a session. Whether the address is unknown, its user disabled or the
// password wrong takes the same time, and is the same fault.Unauthorized.
func (s *Service) Login(ctx context.Context, email, password string) (*Tokens, error) {
	if s.keys.signer == nil {
		return nil, errKeyless
	}
	begun := s.now()
	u, err := s.whoLogsIn(ctx, email)
	if err != nil {
		return nil, err
	}
	// Nobody has a longer one, and hashing it would take longer.
	same := false
	if len(password) <= maxPassword {
		if same, err = s.hasher.matches(ctx, u.Password, password); err != nil {
			return nil, err
		}
	}
	if !same || !u.DisabledAt.IsZero() {
		return nil, wrongLogin()
	}
	if err := s.loggedIn(ctx, u, begun, password); err != nil {
		return nil, err
	}
	return s.begin(ctx, u)
}

func wrongLogin() error {
	return fault.New(fault.Unauthorized, "the e-mail address or the password is wrong")
}

// whoLogsIn returns the user with that address, one without a password if there is none.
func (s *Service) whoLogsIn(ctx context.Context, email string) (*principal.User, error) {
	key, err := principal.EmailKey(email)
	if err != nil {
		return &principal.User{}, nil //nolint:nilerr // an address that is none is nobody's
	}
	u, err := s.store.UserByEmail(ctx, key)
	if fault.KindOf(err) == fault.NotFound {
		return &principal.User{}, nil
	}
	return u, err
}

// loggedIn notes the login, and hashes the password again if that has become cheap.
// at is before u was read.
func (s *Service) loggedIn(ctx context.Context, u *principal.User, at time.Time, password string) error {
	rehashed := ""
	if needsRehash(u.Password) {
		var err error
		if rehashed, err = s.hasher.hash(ctx, password); err != nil {
			return err
		}
	}
	return s.store.LoggedIn(ctx, u.ID, at, rehashed)
}

func (s *Service) begin(ctx context.Context, u *principal.User) (*Tokens, error) {
	now := s.now()
	session := &principal.Session{
		ID: newID(), Tenant: u.Tenant, Kind: principal.Login, User: u.ID, CreatedAt: now, ExpiresAt: now.Add(loginLifetime),
	}
	refresh := opaque()
	first := &principal.Refresh{Hash: hashOf(refresh), Session: session.ID, CreatedAt: now}
	if err := s.store.CreateSession(ctx, session, first); err != nil {
		return nil, asWrongLogin(err)
	}
	// What ends a user's sessions came before this one, or ends it too. If it came
	// before, the password that we know may be an old one.
	after, err := s.store.User(ctx, u.Tenant, u.ID)
	if err == nil && !after.UpdatedAt.Equal(u.UpdatedAt) {
		err = cmp.Or(s.end(ctx, session.ID), wrongLogin())
	}
	if err != nil {
		return nil, asWrongLogin(err)
	}
	return s.tokens(u, session, refresh)
}

// asWrongLogin hides that a user was moved or disabled a moment ago.
func asWrongLogin(err error) error {
	switch fault.KindOf(err) {
	case fault.NotFound, fault.Unauthorized:
		return wrongLogin()
	}
	return err
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

func (s *Service) tokens(u *principal.User, session *principal.Session, refresh string) (*Tokens, error) {
	access, err := s.keys.signToken(u.ID, u.Tenant, session.ID, s.now())
	if err != nil {
		return nil, err
	}
	return &Tokens{Access: access, ExpiresIn: tokenLifetime, Refresh: refresh}, nil
}

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
		if err := s.end(ctx, p.Session); err != nil {
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

// end ends a session. One that has ended, or never was, is fine.
func (s *Service) end(ctx context.Context, id string) error {
	err := s.store.EndSession(ctx, id, s.now())
	if fault.KindOf(err) == fault.NotFound {
		return nil
	}
	return err
}

// ChangePassword changes the password of the user who asks, and ends their other
// sessions. A wrong current one is fault.Forbidden at body.current_password.
func (s *Service) ChangePassword(ctx context.Context, p *principal.Principal, current, next string) error {
	if p.Kind != principal.OfUser {
		return fault.New(fault.Forbidden, "only a user who has logged in changes their password")
	}
	u, err := s.store.User(ctx, p.Tenant, p.User)
	if err != nil {
		return err
	}
	if err := checkPassword("body.new_password", u.Email, next); err != nil {
		return err
	}
	if err := s.checkCurrent(ctx, u, current); err != nil {
		return err
	}
	hash, err := s.hasher.hash(ctx, next)
	if err != nil {
		return err
	}
	_, err = s.store.UpdateUser(ctx, p.Tenant, p.User, p.Session, func(now *principal.User) error {
		if now.Password != u.Password {
			return fault.New(fault.Conflict, "the password was changed by somebody else meanwhile")
		}
		now.Password = hash
		return nil
	})
	return err
}

func (s *Service) checkCurrent(ctx context.Context, u *principal.User, current string) error {
	same := false
	if len(current) <= maxPassword {
		var err error
		if same, err = s.hasher.matches(ctx, u.Password, current); err != nil {
			return err
		}
	}
	if !same {
		s.log.InfoContext(ctx, "a wrong password was given to change it", slog.String("user", u.ID))
		return fault.At(fault.Forbidden, "body.current_password", "is wrong")
	}
	return nil
}
