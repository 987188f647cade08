package principal

import (
	"context"
	"encoding/json"
	"time"
)

// User is somebody who logs in. An e-mail address is one user's, whatever the tenant.
type User struct {
	ID          string // UUIDv7
	Tenant      string
	Email       string // as it was given
	EmailKey    string // as it is compared, see EmailKey
	Password    string // argon2id in PHC format; "" cannot log in
	Role        Role
	DisabledAt  time.Time // zero: enabled
	CreatedAt   time.Time
	UpdatedAt   time.Time
	LastLoginAt time.Time
}

// Key is an API key: a credential for programs. Of its text only the hash is kept.
type Key struct {
	ID          string // the part between wb_ and the second underscore; [A-Za-z0-9]{1,32}
	Tenant      string
	Name        string
	Hash        []byte // SHA-256 of the secret
	Scopes      []Scope
	Collections []string // nil: all
	User        string   // ID of the user that it acts for; "" for none
	CreatedBy   string   // ID of the principal that made it; "" for the operator
	CreatedAt   time.Time
	ExpiresAt   time.Time // zero: never
	RevokedAt   time.Time // zero: good
	LastUsedAt  time.Time // to about a minute; zero: never
}

// SessionKind says what a session is held by.
type SessionKind string

// The kinds of sessions.
const (
	Login   SessionKind = "login"   // a family of refresh tokens
	Browser SessionKind = "browser" // a cookie
	Link    SessionKind = "link"    // a login link, good once
)

// Session is what a login began, for a user or for a key.
type Session struct {
	ID        string // UUIDv7
	Tenant    string
	Kind      SessionKind
	User      string // ID; "" for a key's
	Key       string // ID; "" for a user's
	Parent    string // ID of the login that a browser's was exchanged for, and ends with; "" for none
	Hash      []byte // SHA-256 of what a browser or a link shows; nil for a login
	CreatedAt time.Time
	ExpiresAt time.Time
	RevokedAt time.Time // zero: good. A link that was used is revoked
}

// Refresh is one refresh token of a login, good once.
type Refresh struct {
	Hash      []byte // SHA-256 of its text
	Session   string
	CreatedAt time.Time
	SpentAt   time.Time
}

// Tenant is whose data it is.
type Tenant struct {
	Name      string
	CreatedAt time.Time
	CreatedBy string // ID of the principal that first named it
}

// Entry is one line of the audit: who did what to users, keys, tenants,
// subscriptions and deliveries.
type Entry struct {
	ID        string // UUIDv7
	Tenant    string
	At        time.Time
	Principal string // ID; "" for anonymous, "system" for Waybill itself, "operator" for the command line
	Key       string // ID of the key that was used
	Action    string // such as "key.create"
	Target    string // ID of what it was done to
	Detail    json.RawMessage
	Address   string // the client's
	RequestID string
}

// Actor is who makes a change, as the audit is told of it.
type Actor struct {
	Principal string
	Key       string
	Address   string
	RequestID string
	Action    string // what the change is called, where it does not tell by itself; "" where it does
}

type actorKey struct{}

// WithActor returns a context whose changes are put down to a. It goes with the
// request because it says who asks, and nothing depends on it but the audit.
func WithActor(ctx context.Context, a Actor) context.Context {
	return context.WithValue(ctx, actorKey{}, a)
}

// ActorOf returns who is behind ctx: Waybill itself, if nobody was named.
func ActorOf(ctx context.Context) Actor {
	if a, ok := ctx.Value(actorKey{}).(Actor); ok {
		return a
	}
	return Actor{Principal: "system"}
}
