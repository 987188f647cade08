package auth

import (
	"context"
	"time"

	"github.com/waybill-dev/waybill/internal/principal"
)

// Store is what auth needs of the store. Every change is in the audit (see
// principal.WithActor) and raises the identity version in the same transaction,
// except as noted. What an ID, a tenant or a hash does not have is
// fault.NotFound; a database that is away is fault.StoreUnavailable.
type Store interface {
	Users
	Keys
	Sessions
	// IdentityVersion rises with every change that may take something from
	// somebody: a user's role, tenant, password or end, a key's end, a session's end.
	IdentityVersion(ctx context.Context) (int64, error)
	// EnsureTenant makes a tenant that is not there. No version.
	EnsureTenant(ctx context.Context, t principal.Tenant) error
}

// Users are people.
type Users interface {
	// CreateUser is fault.Conflict if the address is taken, in any tenant. No version.
	CreateUser(ctx context.Context, u *principal.User) error
	User(ctx context.Context, tenant, id string) (*principal.User, error)
	// UserByEmail looks in all tenants: whoever logs in names none.
	UserByEmail(ctx context.Context, emailKey string) (*principal.User, error)
	// UpdateUser calls change in one transaction, maybe more than once. If the
	// password, the tenant or the role changes, or the user is disabled, all their
	// sessions end but the one in keep; if the tenant changes or the user is
	// disabled, so do their keys (revoked on a move; those of a disabled user rest).
	UpdateUser(ctx context.Context, tenant, id, keep string, change func(*principal.User) error) (*principal.User, error)
	// LoggedIn notes a login's time and, if given, the rehashed password, unless that
	// was changed after at. No version, no audit.
	LoggedIn(ctx context.Context, id string, at time.Time, password string) error
}

// Keys are API keys.
type Keys interface {
	// CreateKey is fault.Conflict if the ID is taken. No version.
	CreateKey(ctx context.Context, k *principal.Key) error
	// KeyOwner returns a key by its ID, in any tenant, and the user it acts for, nil for none.
	KeyOwner(ctx context.Context, id string) (*principal.Key, *principal.User, error)
	// RevokeKey ends a key; one that has ended is fault.NotFound. user limits it
	// to that user's, "" does not.
	RevokeKey(ctx context.Context, tenant, id, user string, at time.Time) error
	// ReplaceKeyHash gives a key another secret, and makes one that was revoked good again.
	ReplaceKeyHash(ctx context.Context, tenant, id string, hash []byte) error
	// KeysUsed notes when keys were last used. No version, no audit.
	KeysUsed(ctx context.Context, used map[string]time.Time) error
}

// Sessions are logins.
type Sessions interface {
	// CreateSession stores a session and, for a login, its first refresh token. No version.
	CreateSession(ctx context.Context, s *principal.Session, first *principal.Refresh) error
	// SessionOwner returns a session by its ID or by its hash (the other is empty),
	// with its user or its key (and the user that acts for), in any tenant.
	SessionOwner(ctx context.Context, id string, hash []byte) (*principal.Session, *principal.User, *principal.Key, error)
	// RotateRefresh spends a refresh token and stores the next of its session. One
	// that was spent before ends its session, which is audited, and is
	// fault.Unauthorized; so is one that is unknown, or whose session has ended.
	RotateRefresh(ctx context.Context, hash []byte, next *principal.Refresh, now time.Time) (*principal.Session, error)
	// RefreshSession returns the session that a refresh token, spent or not, is of.
	RefreshSession(ctx context.Context, hash []byte) (*principal.Session, error)
	// TakeLink uses up a link: the second time it is fault.Unauthorized.
	TakeLink(ctx context.Context, hash []byte, now time.Time) (*principal.Session, error)
	EndSession(ctx context.Context, id string, at time.Time) error
}
