package httpapi

import (
	"fmt"
	"math"
	"time"

	"github.com/waybill-dev/waybill/internal/collection"
	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/limit"
	"github.com/waybill-dev/waybill/internal/principal"
)

// Limits are how often requests may come, in this process; nil is no limit. Reads
// and writes are counted by principal, else by client address.
type Limits struct {
	Reads  *limit.Limiter
	Writes *limit.Limiter // also of what is not a record
	Auth   *limit.Limiter // logins and the like, and bad credentials, by client address
	Login  *limit.Limiter // failed logins, by account and client address
}

// limitKeys is how many principals and addresses a limit knows at a time.
const limitKeys = 100_000

// NewLimits makes the limits of these rates; the zero Rate is none.
func NewLimits(reads, writes, auth, login collection.Rate) Limits {
	return Limits{limit.New(reads, limitKeys), limit.New(writes, limitKeys), limit.New(auth, limitKeys), limit.New(login, limitKeys)}
}

// limit counts a request. Writes of records are counted by spend.
func (a *API) limit(x *exchange, n *access) error {
	switch n.effort {
	case reads:
		return x.take("reads", a.o.Limits.Reads, x.payer(), 1)
	case control:
		return x.take("writes", a.o.Limits.Writes, x.payer(), 1)
	case logins:
		return x.take("auth", a.o.Limits.Auth, limitKey(x.address), 1)
	}
	return nil
}

// spend counts n writes to a collection.
func (a *API) spend(x *exchange, c *collection.Collection, n int) error {
	if err := x.take("writes", a.o.Limits.Writes, x.payer(), n); err != nil {
		return err
	}
	return x.take(c.Name, a.writeLimits[c.Name], x.tenant+" "+x.payer(), n)
}

// payer is who a request counts against.
func (x *exchange) payer() string {
	if x.who.Kind == principal.Anonymous {
		return limitKey(x.address)
	}
	return x.who.ID
}

// take takes n from a limit and tells the client how it stands.
func (x *exchange) take(name string, l *limit.Limiter, key string, n int) error {
	if l == nil {
		return nil
	}
	s := l.Take(key, n)
	h := x.Header()
	h.Add("RateLimit-Policy", fmt.Sprintf("%q;q=%d;w=%d", name, s.Limit, wholeSeconds(s.Window)))
	h.Add("RateLimit", fmt.Sprintf("%q;r=%d;t=%d", name, s.Remaining, wholeSeconds(s.Reset)))
	return overLimit(name, s)
}

func overLimit(name string, s limit.State) error {
	if s.OK {
		return nil
	}
	return &fault.Error{
		Kind: fault.RateLimited, RetryAfter: s.RetryAfter,
		Detail: fmt.Sprintf("more than %d in %s of %s", s.Limit, s.Window, name),
	}
}

func wholeSeconds(d time.Duration) int { return int(math.Ceil(d.Seconds())) }

// barred refuses an address that has shown too many bad credentials: nothing is
// verified for it.
func (a *API) barred(x *exchange) error {
	return overLimit("auth", a.o.Limits.Auth.Take(limitKey(x.address), 0))
}

// suspect counts a bad credential.
func (a *API) suspect(x *exchange) {
	a.o.Limits.Auth.Take(limitKey(x.address), 1)
}

// tryLogin counts a try at an account, which giveBack undoes: only what failed counts.
func (a *API) tryLogin(x *exchange, email string) (giveBack func(), err error) {
	account, err := principal.EmailKey(email)
	if err != nil {
		account = "" // nobody's, and still somebody who tries
	}
	key := account + " " + limitKey(x.address)
	if err := overLimit("login", a.o.Limits.Login.Take(key, 1)); err != nil {
		return nil, err
	}
	return func() { a.o.Limits.Login.Give(key, 1) }, nil
}
