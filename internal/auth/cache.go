package auth

import (
	"crypto/sha256"
	"math"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/waybill-dev/waybill/internal/principal"
)

// How long what was read may be relied on.
const (
	seenWithin = 5 * time.Second // a change anywhere is seen after that at the latest
	goodFor    = 5 * time.Minute // without word from the store
	awayFor    = 3 * time.Second // after the store failed, it is not asked again: a poll and its timeout
)

const (
	maxGood = 100_000 // credentials that are remembered, about 500 bytes each
	maxBad  = 10_000
)

// credential is what somebody showed, without its text.
type credential struct {
	kind rune // a cookie is no key, even if it reads the same
	sum  [sha256.Size]byte
}

const (
	bearer rune = 'b'
	cookie rune = 'c'
)

func credentialOf(kind rune, text string) credential {
	return credential{kind, sha256.Sum256([]byte(text))}
}

// entry is what the store said about a credential. Nothing but confirmed and noted
// changes.
type entry struct {
	principal *principal.Principal // nil: the credential is no good
	expires   time.Time            // of the credential; zero: never
	version   int64                // of all identities, read before the rows were
	read      time.Time
	confirmed atomic.Int64 // when version was last known to be current, see cache.stamp
	noted     atomic.Int64 // when a key's use was last noted, likewise; 0: never
}

func (e *entry) answer(now time.Time) (*principal.Principal, error) {
	if e.principal == nil || !e.expires.IsZero() && !now.Before(e.expires) {
		return nil, unauthorized()
	}
	return e.principal, nil
}

// word is what the store last said about the version of identities.
type word struct {
	version int64
	at      time.Time // when it was asked
}

// cache remembers credentials, good and bad apart, so that no flood of bad ones
// drives the good ones out.
type cache struct {
	good, bad *lru.Cache[credential, *entry]
	word      atomic.Pointer[word]
	failed    atomic.Int64 // when the store did not answer, see stamp; never once it does
	begun     time.Time
}

const never = math.MinInt64 / 2

// stamp is a time as nanoseconds since the beginning: that is monotonic, so no
// correction of the clock makes what is old look new.
func (c *cache) stamp(t time.Time) int64 { return int64(t.Sub(c.begun)) }

// recent says whether the stamp is of at most within ago.
func (c *cache) recent(stamp int64, within time.Duration, now time.Time) bool {
	return c.stamp(now)-stamp <= int64(within)
}

func newCache(now time.Time) (*cache, error) {
	good, err := lru.New[credential, *entry](maxGood)
	if err != nil {
		return nil, err
	}
	bad, err := lru.New[credential, *entry](maxBad)
	if err != nil {
		return nil, err
	}
	c := &cache{good: good, bad: bad, begun: now}
	c.word.Store(&word{at: now.Add(-time.Hour)})
	c.failed.Store(never)
	return c, nil
}

// heard notes a version that the store gave when it was asked at a time.
func (c *cache) heard(version int64, at time.Time) {
	c.failed.Store(never)
	next := &word{version, at}
	for {
		last := c.word.Load()
		if at.Before(last.at) || c.word.CompareAndSwap(last, next) {
			return
		}
	}
}

// current is the version of identities, if word of it is recent.
func (c *cache) current(now time.Time) (int64, bool) {
	w := c.word.Load()
	return w.version, now.Sub(w.at) <= seenWithin
}

// away says whether the store did not answer a moment ago.
func (c *cache) away(now time.Time) bool {
	return c.recent(c.failed.Load(), awayFor, now)
}

func (c *cache) get(k credential) *entry {
	if e, ok := c.good.Get(k); ok {
		return e
	}
	e, _ := c.bad.Get(k)
	return e
}

func (c *cache) put(k credential, e *entry) {
	e.confirmed.Store(c.stamp(e.read))
	if e.principal == nil {
		c.good.Remove(k)
		c.bad.Add(k, e)
		return
	}
	c.bad.Remove(k)
	c.good.Add(k, e)
}

// fresh says whether e holds without a look into the store, and notes that it did.
// What is bad is looked at again after a while: a key may be made at any time, and
// that raises no version.
func (c *cache) fresh(e *entry, now time.Time) bool {
	w := c.word.Load()
	if e.version != w.version {
		return false
	}
	if at := c.stamp(w.at); at > e.confirmed.Load() {
		e.confirmed.Store(at)
	}
	return now.Sub(w.at) <= seenWithin && (e.principal != nil || now.Sub(e.read) <= seenWithin)
}

// holds says whether e may be relied on while the store is away.
func (c *cache) holds(e *entry, now time.Time) bool {
	return e != nil && c.recent(e.confirmed.Load(), goodFor, now)
}
