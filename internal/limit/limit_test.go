package limit_test

import (
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/waybill-dev/waybill/internal/collection"
	"github.com/waybill-dev/waybill/internal/limit"
)

func perMinute(n int) collection.Rate { return collection.Rate{N: n, Per: time.Minute} }

// step is something done with the key "a" of a limiter of 60 a minute, and how
// the key stands then.
type step struct {
	wait time.Duration
	give int
	take int
	want limit.State
}

func stands(ok bool, remaining int, reset, retry time.Duration) limit.State {
	return limit.State{OK: ok, Limit: 60, Window: time.Minute, Remaining: remaining, Reset: reset, RetryAfter: retry}
}

func TestLimiter_Take(t *testing.T) {
	t.Parallel()
	for name, steps := range map[string][]step{
		"starts full": {{take: 1, want: stands(true, 59, time.Second, 0)}},
		"asks only":   {{want: stands(true, 60, 0, 0)}, {take: 60, want: stands(true, 0, time.Minute, 0)}, {want: stands(false, 0, time.Minute, time.Second)}},
		"refuses when empty, and takes nothing then": {
			{take: 60, want: stands(true, 0, time.Minute, 0)},
			{take: 1, want: stands(false, 0, time.Minute, time.Second)},
			{take: 50, want: stands(false, 0, time.Minute, time.Second)},
			{wait: time.Second, take: 1, want: stands(true, 0, time.Minute, 0)},
		},
		"refills evenly, up to the limit": {
			{take: 60, want: stands(true, 0, time.Minute, 0)},
			{wait: 1500 * time.Millisecond, want: stands(true, 1, 58500*time.Millisecond, 0)},
			{wait: time.Hour, want: stands(true, 60, 0, 0)},
		},
		"half a token is none": {
			{take: 60, want: stands(true, 0, time.Minute, 0)},
			{wait: 500 * time.Millisecond, take: 1, want: stands(false, 0, 59500*time.Millisecond, 500*time.Millisecond)},
		},
		"a batch goes into debt": {
			{take: 59, want: stands(true, 1, 59*time.Second, 0)},
			{take: 10_000, want: stands(true, 0, 10_059*time.Second, 0)},
			{take: 1, want: stands(false, 0, 10_059*time.Second, 10_000*time.Second)},
			{wait: 9_999 * time.Second, take: 1, want: stands(false, 0, time.Minute, time.Second)},
			{wait: time.Second, take: 1, want: stands(true, 0, time.Minute, 0)},
			{wait: time.Hour, want: stands(true, 60, 0, 0)}, // the burst is what it was
		},
		"what is given back counts, up to the limit": {
			{take: 60, want: stands(true, 0, time.Minute, 0)},
			{give: 1, take: 1, want: stands(true, 0, time.Minute, 0)},
			{give: 10_000, want: stands(true, 60, 0, 0)},
			{give: -5, want: stands(true, 60, 0, 0)},
			{take: -5, want: stands(true, 60, 0, 0)},
		},
		"giving pays debt": {
			{take: 100, want: stands(true, 0, 100*time.Second, 0)},
			{give: 30, take: 1, want: stands(false, 0, 70*time.Second, 11*time.Second)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := limit.New(perMinute(60), 10)
				for i, s := range steps {
					<-time.After(s.wait)
					l.Give("a", s.give)
					if d := cmp.Diff(s.want, l.Take("a", s.take)); d != "" {
						t.Fatalf("step %d (-want +got):\n%s", i, d)
					}
				}
			})
		})
	}
}

func TestLimiter_KeysAreCountedApart(t *testing.T) {
	t.Parallel()
	l := limit.New(perMinute(1), 10)
	for _, key := range []string{"a", "b", ""} {
		if !l.Take(key, 1).OK || l.Take(key, 1).OK {
			t.Errorf("%q does not have exactly one", key)
		}
	}
}

func TestLimiter_ForgetsTheKeyThatWasAwayLongest(t *testing.T) {
	t.Parallel()
	l := limit.New(collection.Rate{N: 1, Per: time.Hour}, 2)
	l.Take("a", 1)
	l.Take("b", 1)
	l.Take("a", 1) // b was away longer now
	l.Take("c", 1)
	if l.Take("a", 0).OK || l.Take("c", 0).OK {
		t.Error("a key that was just used starts full")
	}
	if !l.Take("b", 0).OK {
		t.Error("more keys are kept than there may be")
	}
}

func TestLimiter_WithoutARateLimitsNothing(t *testing.T) {
	t.Parallel()
	for name, l := range map[string]*limit.Limiter{"nil": nil, "zero rate": limit.New(collection.Rate{}, 10)} {
		for range 3 {
			l.Give("a", 1)
			if got := l.Take("a", 1_000_000); got != (limit.State{OK: true}) {
				t.Errorf("%s: %+v", name, got)
			}
		}
	}
}

func TestLimiter_ConcurrentTakersGetWhatThereIs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // no time passes
		l := limit.New(collection.Rate{N: 100, Per: time.Hour}, 10)
		var allowed atomic.Int64
		var takers sync.WaitGroup
		for range 8 {
			takers.Go(func() {
				for range 50 {
					if l.Take("a", 1).OK {
						allowed.Add(1)
					}
				}
			})
		}
		takers.Wait()
		if allowed.Load() != 100 {
			t.Errorf("%d takes were allowed, want 100", allowed.Load())
		}
	})
}

func TestLimiter_RetryAfterIsEnoughAndNotMore(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		per := rapid.SampledFrom([]time.Duration{time.Second, time.Minute, time.Hour}).Draw(r, "per")
		n := rapid.IntRange(1, 5000).Draw(r, "n")
		take := rapid.IntRange(n, 20_000+n).Draw(r, "take")
		wait := time.Duration(rapid.Int64Range(0, int64(per)).Draw(r, "wait"))
		var early, after limit.State
		var told time.Duration
		synctest.Test(t, func(*testing.T) {
			l := limit.New(collection.Rate{N: n, Per: per}, 1)
			l.Take("a", take)
			<-time.After(wait)
			told = l.Take("a", 0).RetryAfter
			<-time.After(told - told/1000)
			early = l.Take("a", 0)
			<-time.After(told / 1000)
			after = l.Take("a", 1)
		})
		if early.OK && told > time.Millisecond {
			r.Errorf("allowed before %v are over", told)
		}
		if !after.OK {
			r.Errorf("told to wait %v, and then %v more", told, after.RetryAfter)
		}
	})
}

func TestLimiter_AKnownKeyCostsNoAllocation(t *testing.T) {
	l := limit.New(perMinute(60), 10)
	l.Take("a", 1)
	if n := testing.AllocsPerRun(100, func() { l.Take("a", 1); l.Give("a", 1); l.Take("a", 0) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkLimiter_Take(b *testing.B) {
	keys := make([]string, 10_000)
	l := limit.New(collection.Rate{N: 1_000_000, Per: time.Second}, len(keys))
	for i := range keys {
		keys[i] = "user:" + strconv.Itoa(i)
		l.Take(keys[i], 1)
	}
	b.Run("one key", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			l.Take(keys[0], 1)
		}
	})
	b.Run("many keys, parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ {
				l.Take(keys[i%len(keys)], 1)
			}
		})
	})
}
