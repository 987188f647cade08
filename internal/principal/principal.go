// Package principal is who is asking: users, API keys, sessions, the tenants
// they belong to, and what they may do. It is pure: no I/O, no clock, and it
// knows nothing of HTTP, tokens or SQL. How a credential is verified is auth's
// room; which request needs what is httpapi's.
package principal

import "slices"

// Kind tells principals apart.
type Kind string

// The kinds of principals.
const (
	Anonymous Kind = "anonymous"
	OfUser    Kind = "user"
	OfKey     Kind = "key"
)

// Role is how much a principal may do in its tenant.
type Role string

// The roles, from the least to the most.
const (
	Nobody   Role = "" // who has shown no credentials
	Member   Role = "member"
	Admin    Role = "admin"    // of its tenant
	Platform Role = "platform" // of all tenants
)

// Roles are those that a user can have, from the least to the most.
var Roles = []Role{Member, Admin, Platform}

// AtLeast says whether r may do all that o may.
func (r Role) AtLeast(o Role) bool { return slices.Index(Roles, r) >= slices.Index(Roles, o) }

// Scope is one thing that a key may be used for.
type Scope string

// The scopes. Admin implies all but Platform's; Platform implies all.
const (
	RecordsRead   Scope = "records:read"
	RecordsWrite  Scope = "records:write"
	Subscriptions Scope = "subscriptions"
	Deliveries    Scope = "deliveries"
	Queues        Scope = "queues"
	ScopeAdmin    Scope = "admin"
	ScopePlatform Scope = "platform"
)

// Scopes are all of them.
var Scopes = []Scope{RecordsRead, RecordsWrite, Subscriptions, Deliveries, Queues, ScopeAdmin, ScopePlatform}

// Principal is who is asking. One never changes once it is made: it is shared by
// all requests that show the same credential.
type Principal struct {
	Kind   Kind
	ID     string // "user:…", also of a key that acts for a user; "key:…"; "" for anonymous
	Tenant string // its own
	Role   Role
	User   string // ID of the user, or of the one that the key acts for
	Key    string // ID of the key
	Name   string // e-mail or name of the key, for people
	// Scopes and Collections limit a key. No scopes: all that the role allows;
	// no collections: all.
	Scopes      []Scope
	Collections []string
	Session     string // ID of the session behind a token or a cookie
}

// Guest returns the principal without credentials, in a tenant.
func Guest(tenant string) *Principal { return &Principal{Kind: Anonymous, Tenant: tenant} }

// Has says whether the credential is good for scope.
func (p *Principal) Has(scope Scope) bool {
	return p.Kind != OfKey || slices.Contains(p.Scopes, scope) || slices.Contains(p.Scopes, ScopePlatform) ||
		scope != ScopePlatform && slices.Contains(p.Scopes, ScopeAdmin)
}

// Reaches says whether the credential is good for a collection.
func (p *Principal) Reaches(collection string) bool {
	return len(p.Collections) == 0 || slices.Contains(p.Collections, collection)
}

// RoleOf returns the role of a key with these scopes. owner is the role of the
// user that it acts for, which it cannot exceed; Platform if there is none.
func RoleOf(scopes []Scope, owner Role) Role {
	role := Member
	switch {
	case slices.Contains(scopes, ScopePlatform):
		role = Platform
	case slices.Contains(scopes, ScopeAdmin):
		role = Admin
	}
	if role.AtLeast(owner) {
		return owner
	}
	return role
}
