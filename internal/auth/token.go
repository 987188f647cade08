package auth

import (
	"errors"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/waybill-dev/waybill/internal/fault"
)

const (
	tokenParty    = "waybill" // who issues tokens, and whom they are for
	tokenLifetime = 15 * time.Minute
	tokenLeeway   = 5 * time.Second // by which servers' clocks may differ
	maxCredential = 4_096           // bytes of a token; keys are far below
)

// claims are what an access token says. What its user may do is not among it:
// that is the store's to say.
type claims struct {
	jwt.RegisteredClaims
	Session string `json:"sid"`
	Tenant  string `json:"tenant"`
}

var (
	errToken   = errors.New("not an access token of ours")
	errKeyless = fault.New(fault.Forbidden, "WAYBILL_SECRET is not set, so nobody can log in")
)

// signToken returns the access token of a user's session.
func (k TokenKeys) signToken(user, tenant, session string, now time.Time) (string, error) {
	if k.signer == nil {
		return "", errKeyless
	}
	t := jwt.NewWithClaims(k.signer.method, claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: tokenParty, Audience: jwt.ClaimStrings{tokenParty}, Subject: user,
			IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(tokenLifetime)),
		},
		Session: session, Tenant: tenant,
	})
	t.Header["kid"] = k.signer.id
	text, err := t.SignedString(k.signer.sign)
	if err != nil {
		return "", fault.Wrap(fault.Internal, err, "no access token could be signed")
	}
	return text, nil
}

// verifyToken returns what a good access token says.
func (k TokenKeys) verifyToken(text string, now time.Time) (*claims, error) {
	if len(text) > maxCredential {
		return nil, errToken
	}
	parser := jwt.NewParser(
		jwt.WithStrictDecoding(), jwt.WithIssuer(tokenParty), jwt.WithAudience(tokenParty), jwt.WithLeeway(tokenLeeway),
		jwt.WithExpirationRequired(), jwt.WithNotBeforeRequired(), jwt.WithIssuedAt(), jwt.WithTimeFunc(func() time.Time { return now }),
	)
	c := &claims{}
	if _, err := parser.ParseWithClaims(text, c, k.keyOf); err != nil {
		return nil, err
	}
	if c.IssuedAt == nil || c.Subject == "" || c.Session == "" || c.Tenant == "" {
		return nil, errToken
	}
	return c, nil
}

// keyOf returns the key that verifies t: the one that it names, if it is signed
// the way that key signs. A token that demands to be understood (crit) is not.
func (k TokenKeys) keyOf(t *jwt.Token) (any, error) {
	id, _ := t.Header["kid"].(string)
	key := k.byID[id]
	if key == nil || t.Method.Alg() != key.method.Alg() || t.Header["crit"] != nil {
		return nil, errToken
	}
	return key.verify, nil
}
