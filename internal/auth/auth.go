// Package auth says who is asking: it verifies passwords, access tokens, API keys
// and sessions, and makes them. What it has verified it keeps for a while, so that
// a request costs no look into the store: a change is seen within five seconds, or,
// with the database away, after five minutes at most. What a principal may do is
// httpapi's and apply's to decide; HTTP may not enter here.
package auth

import "time"

// Tokens are what a login and a refresh answer.
type Tokens struct {
	Access    string
	ExpiresIn time.Duration // of Access
	Refresh   string
}

// NewUser is a user to be made.
type NewUser struct {
	Tenant   string
	Email    string
	Password string
	Role     string
}

// UserChange is what to change of a user; nil leaves as it is.
type UserChange struct {
	Role     *string
	Disabled *bool
	Tenant   *string
	Password *string
}

// NewKey is a key to be made.
type NewKey struct {
	Name        string
	Scopes      []string
	Collections []string  // nil: all
	ExpiresAt   time.Time // zero: never
}
