// Package limit counts what somebody may still do: token buckets by key, in this
// process alone, so that asking costs no round trip. Each process counts for
// itself: behind n of them a key has up to n times the rate.
package limit

import (
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"

	"github.com/waybill-dev/waybill/internal/collection"
)

// Limiter holds a bucket for each key: full at first with the rate's N tokens,
// and refilled by N every Per. It holds a bounded number of keys, and a key that
// falls out, being the one that was away longest, starts full again. It may be
// used by any number of goroutines. A nil Limiter limits nothing.
type Limiter struct {
	rate    collection.Rate
	buckets *lru.Cache[string, *bucket]
}

// bucket is the tokens of one key. Its lock keeps the clock from running
// backwards between callers, which rate.Limiter would take for time passing.
type bucket struct {
	mu     sync.Mutex
	tokens *rate.Limiter
}

// State is how a key stands after a take. Where nothing is limited it is OK, and
// the rest is zero.
type State struct {
	OK         bool
	Limit      int           // N of the rate
	Window     time.Duration // Per of the rate
	Remaining  int           // whole tokens that are left; never below 0
	Reset      time.Duration // until the bucket is full
	RetryAfter time.Duration // until a take is allowed; 0 if one is now
}

// New returns a Limiter of r that remembers so many keys, one at least; nil,
// which limits nothing, for the zero Rate.
func New(r collection.Rate, keys int) *Limiter {
	if r.N <= 0 || r.Per <= 0 {
		return nil
	}
	buckets, _ := lru.New[string, *bucket](max(keys, 1)) // fails for sizes below 1 alone
	return &Limiter{rate: r, buckets: buckets}
}

// Take takes n tokens of key, if one at least is there: all n, going into debt
// for those that are not, so that a large batch passes and what comes next waits.
// Else it takes none. With n below 1 it only tells how the key stands.
func (l *Limiter) Take(key string, n int) State {
	if l == nil {
		return State{OK: true}
	}
	b := l.bucket(key)
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	ok := l.until(1, b.tokens.TokensAt(now)) == 0
	if ok && n > 0 {
		b.take(now, n)
	}
	return l.state(ok, b.tokens.TokensAt(now))
}

// Give returns n tokens to key, as when what they were taken for is not to count.
// A bucket never holds more than N.
func (l *Limiter) Give(key string, n int) {
	if l == nil || n < 1 {
		return
	}
	b := l.bucket(key)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.take(time.Now(), -n)
}

// bucket returns the bucket of key, which becomes the latest one used.
func (l *Limiter) bucket(key string) *bucket {
	if b, ok := l.buckets.Get(key); ok {
		return b
	}
	b := &bucket{tokens: rate.NewLimiter(rate.Limit(float64(l.rate.N)/l.rate.Per.Seconds()), l.rate.N)}
	if other, ok, _ := l.buckets.PeekOrAdd(key, b); ok {
		return other // somebody else was first
	}
	return b
}

// take takes n tokens, whatever is there; a negative n gives. rate.Limiter lends
// up to its burst at a time, so that is raised for a moment where n is more.
func (b *bucket) take(now time.Time, n int) {
	burst := b.tokens.Burst()
	if n > burst {
		b.tokens.SetBurstAt(now, n)
		defer b.tokens.SetBurstAt(now, burst)
	}
	b.tokens.ReserveN(now, n)
}

func (l *Limiter) state(ok bool, tokens float64) State {
	s := State{
		OK: ok, Limit: l.rate.N, Window: l.rate.Per,
		Remaining: max(0, int(tokens)), Reset: l.until(float64(l.rate.N), tokens),
	}
	if !ok {
		s.RetryAfter = l.until(1, tokens)
	}
	return s
}

// until is how long it takes until there are so many tokens, to the microsecond:
// nanoseconds are lost in the float of a large debt, and a wait that is over must
// not turn out to have been too short.
func (l *Limiter) until(want, tokens float64) time.Duration {
	exact := time.Duration((want - tokens) * float64(l.rate.Per) / float64(l.rate.N))
	return max(0, exact.Round(time.Microsecond))
}
