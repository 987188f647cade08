package app_test

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/subscription"
	"github.com/waybill-dev/waybill/internal/testenv"
)

var (
	deliverRounds = flag.Int("deliver.rounds", 3, "rounds of the deliveries' crash test, with a kill in each; the full number is 10")
	deliverRound  = flag.Duration("deliver.round", 3*time.Second, "how long such a round is; in full 10s")
	deliverRate   = flag.Int("deliver.rate", 100, "writes a second in it, at most; in full 300")
	deliverSeed   = flag.Uint64("deliver.seed", 0, "its seed: what is written, who is killed and when, which answers fail; 0 draws one")
)

// deliverBench is a system with servers of its own, and subscriptions.
type deliverBench struct {
	*system
	redis       *testenv.Redis
	ledger      *ledger
	aof         string
	random      *rand.Rand
	kills       int
	subscribers []subscriber
}

// subscriber is a receiver, and which events are for it.
type subscriber struct {
	*receiver
	name  string
	wants func(eventType string, data map[string]any) bool
}

// TestDeliveries_CrashLedger: clients write while workers are killed, and Redis
// now and then. In the end every subscriber has had each event that it asked for,
// always with the same bytes, and nothing else; and hardly any of them twice.
func TestDeliveries_CrashLedger(t *testing.T) {
	t.Parallel()
	b := newDeliverBench(t)
	ctx, cancel := context.WithCancel(t.Context())
	var others sync.WaitGroup
	others.Go(func() { b.rounds(ctx, t) })
	from := time.Now()
	b.ledger.write(t, int(deliverRound.Seconds()*float64(*deliverRounds**deliverRate)), *deliverRate)
	wrote := time.Since(from)
	others.Wait()
	cancel()
	t.Logf("%d rounds, %d kills; %v in %v", *deliverRounds, b.kills, b.ledger, wrote.Round(time.Second))
	a := &audit{system: b.system, ledger: b.ledger, aof: b.aof}
	a.run(t)
	db := connectPostgres(t, b.databaseURL)
	testenv.Eventually(t, 3*time.Minute, "no delivery is pending", func() error { return checkNonePending(t.Context(), db) })
	b.check(t, a)
	for _, p := range b.workers { // in order; then nothing can come any more
		if err := p.Terminate(); err != nil {
			t.Error(err)
		}
	}
	b.check(t, a)
}

func newDeliverBench(t *testing.T) *deliverBench {
	t.Helper()
	seed := cmp.Or(*deliverSeed, rand.Uint64())
	again := fmt.Sprintf("to do the same again: -deliver.rounds=%d -deliver.round=%v -deliver.rate=%d -deliver.seed=%d", *deliverRounds, *deliverRound, *deliverRate, seed)
	t.Log(again)
	dir := t.TempDir()
	b := &deliverBench{redis: startCrashRedis(t, dir), aof: filepath.Join(dir, "appendonlydir"), random: rand.New(rand.NewPCG(seed, 0))}
	b.system = newSystem(t, b.redis.URL(), testenv.NewPostgres(t).URL(), 2, 2, quickRetries)
	b.ledger = &ledger{seed: seed, bases: b.bases(), seen: map[string]string{}}
	b.subscribe(t, "all", `"events":["*"]`, nil, func(eventType string, _ map[string]any) bool {
		return !strings.HasSuffix(eventType, ".failed")
	})
	b.subscribe(t, "completed", `"events":["todos.*"],"filter":{"completed":true},"max_in_flight":3`, nil, func(eventType string, data map[string]any) bool {
		return strings.HasPrefix(eventType, "todos.") && !strings.HasSuffix(eventType, ".failed") && data["completed"] == true
	})
	var mu sync.Mutex
	flaky := rand.New(rand.NewPCG(seed, 2))
	b.subscribe(t, "flaky", `"events":["todos.updated","todos.deleted","todos.failed"],"max_in_flight":20`, func(_ *http.Request, e *receivedEvent) int {
		mu.Lock()
		defer mu.Unlock()
		if e.accepted == 0 && flaky.IntN(100) < 10 {
			return http.StatusInternalServerError
		}
		return http.StatusOK
	}, func(eventType string, _ map[string]any) bool {
		return slices.Contains([]string{"todos.updated", "todos.deleted", "todos.failed"}, eventType)
	})
	b.subscribe(t, "limited", fmt.Sprintf(`"events":["messages.created"],"rate_limit":"%d/s"`, 2**deliverRate), nil, func(eventType string, _ map[string]any) bool {
		return eventType == "messages.created"
	})
	return b
}

func (b *deliverBench) subscribe(t *testing.T, name, more string, answer func(*http.Request, *receivedEvent) int, wants func(string, map[string]any) bool) {
	t.Helper()
	b.subscribers = append(b.subscribers, subscriber{subscribe(t, b.apis[0].api, name, more, answer), name, wants})
}

// rounds kills one or both workers in each round, and Redis with them in every
// third, and starts them again.
func (b *deliverBench) rounds(ctx context.Context, t *testing.T) {
	for i := range *deliverRounds {
		before := time.Duration(b.random.Int64N(int64(*deliverRound * 2 / 3)))
		down := time.Duration(b.random.Int64N(int64(*deliverRound / 4)))
		var victims []victim
		switch b.random.IntN(3) {
		case 0:
			victims = []victim{{"worker 0", b.workers[0].Kill, b.workers[0].start}}
		case 1:
			victims = []victim{{"worker 1", b.workers[1].Kill, b.workers[1].start}}
		case 2:
			victims = []victim{{"worker 0", b.workers[0].Kill, b.workers[0].start}, {"worker 1", b.workers[1].Kill, b.workers[1].start}}
		}
		if i%3 == 1 {
			victims = append(victims, serverVictim("Redis", b.redis))
		}
		pauseFor(ctx, before)
		for _, v := range victims {
			if err := v.kill(); err != nil {
				t.Errorf("kill %s: %v", v.name, err)
			}
			b.kills++
		}
		pauseFor(ctx, down)
		for _, v := range victims {
			if err := v.start(); err != nil {
				t.Errorf("start %s again: %v", v.name, err)
			}
		}
		pauseFor(ctx, *deliverRound-before-down)
	}
}

// check compares what each subscriber got with what the operations make of the
// records, and with the rows of the deliveries.
func (b *deliverBench) check(t *testing.T, a *audit) {
	t.Helper()
	want := b.expected(a)
	rows := b.rows(t)
	all, duplicates, retries := 0, 0, 0
	for _, s := range b.subscribers {
		all += len(want[s.name])
		duplicates += s.duplicates()
		s.mu.Lock()
		for id, body := range want[s.name] {
			e := s.events[id]
			if e == nil || e.accepted == 0 {
				t.Errorf("%s did not get %s: %s", s.name, id, body)
			} else if e.body != body {
				t.Errorf("%s got %s as\n%s\nwant\n%s", s.name, id, e.body, body)
			}
			if got := rows[s.id+" "+id]; len(got) != 1 || got[0] != "delivered" {
				t.Errorf("rows of the delivery of %s to %s: %v, want one that is delivered", id, s.name, got)
			}
			delete(rows, s.id+" "+id)
		}
		for id, e := range s.events {
			retries += e.requests - e.accepted
			if _, ok := want[s.name][id]; !ok {
				t.Errorf("%s got %s, which is not for it: %s", s.name, id, e.body)
			}
		}
		s.mu.Unlock()
	}
	for row, status := range rows {
		t.Errorf("a delivery that should not be: %s, %v", row, status)
	}
	b.checkCounts(t, a, want)
	t.Logf("%d deliveries, %d duplicates (%.2f %%), %d attempts that failed or were cut off", all, duplicates, 100*float64(duplicates)/float64(all), retries)
	// A kill costs what is in flight, however many deliveries there are: a run must
	// be long for a share to say anything.
	const inFlight, long = 10 + 3 + 20 + 10, 20_000
	allowed := all / 100
	if all < long {
		allowed = max(allowed, b.kills*inFlight)
	}
	if duplicates > allowed {
		t.Errorf("%d duplicates, want at most %d", duplicates, allowed)
	}
}

// expected is which events each subscriber should have had, and their bytes.
func (b *deliverBench) expected(a *audit) map[string]map[string]string {
	want := map[string]map[string]string{}
	for _, s := range b.subscribers {
		want[s.name] = map[string]string{}
	}
	for id, o := range a.folded {
		kind := ".updated"
		switch {
		case o.Status == record.Failed:
			kind = ".failed"
		case o.Operation.Action == record.Delete:
			kind = ".deleted"
		case o.Created:
			kind = ".created"
		}
		body := string(subscription.EventOf(&o).Body)
		var event struct{ Data map[string]any }
		_ = json.Unmarshal([]byte(body), &event)
		for _, s := range b.subscribers {
			if s.wants(o.Operation.Collection+kind, event.Data) {
				want[s.name][id] = body
			}
		}
	}
	return want
}

// rows are the statuses of the deliveries by subscription and event.
func (b *deliverBench) rows(t *testing.T) map[string][]string {
	t.Helper()
	db := connectPostgres(t, b.databaseURL)
	all := map[string][]string{}
	for _, row := range texts(t, db, "SELECT subscription || ' ' || event || ' ' || status FROM deliveries") {
		i := strings.LastIndexByte(row, ' ')
		all[row[:i]] = append(all[row[:i]], row[i+1:])
	}
	return all
}

// checkCounts compares the counts that operations show.
func (b *deliverBench) checkCounts(t *testing.T, a *audit, want map[string]map[string]string) {
	t.Helper()
	const most = 500
	for i := 0; i < len(a.ledger.answered); i += 1 + len(a.ledger.answered)/most {
		id := a.ledger.answered[i].operation
		n := 0
		for _, events := range want {
			if _, ok := events[id]; ok {
				n++
			}
		}
		if got := counts(t, b.ledger.bases[i%2], id); got != (deliveryCounts{Delivered: n}) {
			t.Errorf("operation %s shows %+v, want %d delivered", id, got, n)
		}
	}
}
