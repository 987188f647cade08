package auth

import (
	"cmp"
	"context"
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
	actor := principal.ActorOf(ctx)
	actor.Principal = "user:" + u.ID // whoever logs in comes as a guest
	ctx = principal.WithActor(ctx, actor)
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
