package app_test

import (
	"fmt"
	"maps"
	"net/http"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/waybill-dev/waybill/internal/testenv"
)

// TestDeliveries_RedisEmptied: what Redis forgets between a commit and its
// deliveries is found in the database, also by workers that never knew of it.
func TestDeliveries_RedisEmptied(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		empty func(t *testing.T, s *system, r *testenv.Redis)
	}{
		{"flushed", func(t *testing.T, _ *system, r *testenv.Redis) {
			if err := connectRedis(t, r.URL()).FlushAll(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
		}},
		{"flushed while no worker runs", func(t *testing.T, s *system, r *testenv.Redis) {
			for _, p := range s.workers {
				if err := p.Kill(); err != nil {
					t.Fatal(err)
				}
			}
			if err := connectRedis(t, r.URL()).FlushAll(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			for _, p := range s.workers {
				p.Start(t)
			}
		}},
		{"started again without data", func(t *testing.T, _ *system, r *testenv.Redis) {
			if err := r.Kill(); err != nil {
				t.Fatal(err)
			}
			if err := r.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			redis := newForgetfulRedis(t)
			s := newSystem(t, redis.URL(), testenv.PostgresURL(t), 1, 2, quickRetries)
			var healthy atomic.Bool
			r := subscribe(t, s.apis[0].api, "later", `"events":["*"]`, func(*http.Request, *receivedEvent) int {
				if healthy.Load() {
					return http.StatusOK
				}
				return http.StatusServiceUnavailable
			})
			const n = 200
			ids := writeMessages(t, s.apis[0].api, n, "forgotten by Redis")
			r.awaitRequests(t, 10*time.Second, 1)
			c.empty(t, s, redis)
			healthy.Store(true)
			r.awaitAccepted(t, 40*time.Second, ids)
			awaitCounts(t, 20*time.Second, s.apis[0].api, ids, deliveryCounts{Delivered: 1})
			if d := r.duplicates(); d > 0 {
				t.Errorf("%d were delivered twice", d)
			}
			checkRows(t, connectPostgres(t, s.databaseURL), r.id, n)
			s.checkAlive(t)
		})
	}
}

// newForgetfulRedis starts a Redis that keeps nothing on disk.
func newForgetfulRedis(t *testing.T) *testenv.Redis {
	t.Helper()
	return startOwnRedis(t, testenv.RedisOptions{AppendFsync: "no"})
}

// TestDeliveries_DatabaseAway: attempts that ended while the database is away are
// recorded when it is back, and not made again.
func TestDeliveries_DatabaseAway(t *testing.T) {
	t.Parallel()
	for _, o := range outages() {
		t.Run(o.name, func(t *testing.T) {
			t.Parallel()
			postgres := testenv.NewPostgres(t)
			s := newSystem(t, testenv.RedisURL(t), postgres.URL(), 1, 2, quickRetries)
			all := subscribe(t, s.apis[0].api, "all", `"events":["*"],"max_in_flight":50`, nil)
			slow := subscribe(t, s.apis[0].api, "slow", `"events":["messages.created"],"max_in_flight":20`, hold(30*time.Millisecond))
			w := &writers{s: s, stop: make(chan struct{})}
			w.start(t)
			all.awaitRequests(t, 30*time.Second, 100)
			if err := o.begin(postgres); err != nil {
				t.Fatal(err)
			}
			<-time.After(*outageDuration)
			if err := o.end(postgres); err != nil {
				t.Fatal(err)
			}
			accepted := len(w.ids())
			testenv.Eventually(t, 30*time.Second, "the load runs on", func() error { return w.atLeast(accepted + 20) })
			close(w.stop)
			w.all.Wait()
			ids := w.ids()
			checkAllStored(t, s, ids)
			all.awaitAccepted(t, time.Minute, ids)
			db := connectPostgres(t, s.databaseURL)
			testenv.Eventually(t, time.Minute, "no delivery is pending", func() error { return checkNonePending(t.Context(), db) })
			checkRows(t, db, all.id, len(ids))
			messages := created(t, db)
			slow.awaitAccepted(t, time.Second, messages)
			checkRows(t, db, slow.id, len(messages))
			duplicates := all.duplicates() + slow.duplicates()
			t.Logf("%d deliveries, %d duplicates", len(ids)+len(messages), duplicates)
			if duplicates > 20 {
				t.Errorf("%d duplicates, want hardly any", duplicates)
			}
			s.checkAlive(t)
		})
	}
}

// hold answers after a time.
func hold(d time.Duration) func(*http.Request, *receivedEvent) int {
	return func(r *http.Request, _ *receivedEvent) int {
		pauseFor(r.Context(), d)
		return http.StatusOK
	}
}

// created are the operations that created messages.
func created(t testing.TB, db *pgx.Conn) []string {
	t.Helper()
	return texts(t, db, "SELECT id::text FROM operations WHERE collection = 'messages' AND action = 'create' AND status = 'done'")
}

// texts are the only column of query's rows.
func texts(t testing.TB, db *pgx.Conn, query string) []string {
	t.Helper()
	rows, err := db.Query(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestDeliveries_WorkerFrozen: a worker freezes in the middle of deliveries, for
// longer than its lease. Another one takes over; when the first thaws, it changes
// nothing any more.
func TestDeliveries_WorkerFrozen(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a lease takes 15 s to run out")
	}
	s := prepareSystem(t, testenv.RedisURL(t), testenv.PostgresURL(t), 1, 2, quickRetries)
	frozen, other := s.workers[0], s.workers[1]
	for _, p := range []*process{s.apis[0], frozen} {
		p.Start(t)
		p.awaitReady(t)
	}
	const n, atOnce, first = 300, 8, 50
	stopped := make(chan struct{}) // what comes after the first is not answered before the worker is
	var came atomic.Int32
	answer := func(q *http.Request, e *receivedEvent) int {
		if came.Add(1) > first {
			select {
			case <-stopped:
			case <-q.Context().Done():
			}
		}
		return hold(20*time.Millisecond)(q, e)
	}
	r := subscribe(t, s.apis[0].api, "slow", fmt.Sprintf(`"events":["*"],"max_in_flight":%d`, atOnce), answer)
	ids := writeMessages(t, s.apis[0].api, n, "frozen")
	r.awaitRequests(t, 20*time.Second, first+1)
	if err := frozen.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	close(stopped)
	from := time.Now()
	other.Start(t) // only now: the other one certainly had the lease
	db := connectPostgres(t, s.databaseURL)
	const delivered = "SELECT count(*) FROM deliveries WHERE status = 'delivered'"
	recorded := count(t, db, delivered)
	inHand := max(0, r.requests()-recorded) + atOnce
	r.awaitAccepted(t, 90*time.Second, ids)
	testenv.Eventually(t, 20*time.Second, "no delivery is pending", func() error { return checkNonePending(t.Context(), db) })
	t.Logf("frozen with %d delivered; the other worker was through after %v", recorded, time.Since(from).Round(time.Second))
	if time.Since(from) > 45*time.Second && raceFlag == nil {
		t.Errorf("the other worker took %v", time.Since(from))
	}
	const final = "SELECT id::text || ' ' || status || ' ' || attempts || ' ' || generation || ' ' || finished_at FROM deliveries ORDER BY id"
	before := texts(t, db, final)
	if err := frozen.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	frozen.awaitReady(t)
	if err := frozen.Terminate(); err != nil { // whatever it had in hand is recorded then
		t.Error(err)
	}
	after := texts(t, db, final)
	if fmt.Sprint(before) != fmt.Sprint(after) {
		t.Errorf("the thawed worker changed deliveries:\n%s", difference(before, after))
	}
	duplicates := r.duplicates()
	t.Logf("%d duplicates, at most %d were in hand", duplicates, inHand)
	if duplicates > inHand {
		t.Errorf("%d duplicates, at most %d were in hand", duplicates, inHand)
	}
	checkRows(t, db, r.id, n)
}

// difference is what only one of two lists has.
func difference(a, b []string) string {
	in := map[string]int{}
	for _, s := range a {
		in["- "+s]++
	}
	for _, s := range b {
		if in["- "+s] > 0 {
			delete(in, "- "+s)
		} else {
			in["+ "+s]++
		}
	}
	text := ""
	for s := range maps.Keys(in) {
		text += s + "\n"
	}
	return text
}

// TestDeliveries_OutlastAShutdown: the only worker is asked to stop in the middle
// of deliveries. What it has begun it ends; the next worker makes the rest.
func TestDeliveries_OutlastAShutdown(t *testing.T) {
	t.Parallel()
	s := newSystem(t, testenv.RedisURL(t), testenv.PostgresURL(t), 1, 1, quickRetries)
	worker := s.workers[0]
	const n, atOnce, takes = 120, 10, 300 * time.Millisecond
	r := subscribe(t, s.apis[0].api, "slow", fmt.Sprintf(`"events":["*"],"max_in_flight":%d`, atOnce), hold(takes))
	ids := writeMessages(t, s.apis[0].api, n, "shutdown")
	r.awaitRequests(t, 20*time.Second, atOnce+1)
	from := time.Now()
	if err := worker.Terminate(); err != nil {
		t.Fatal(err)
	}
	took := time.Since(from)
	sent := r.requests()
	if sent >= n {
		t.Fatalf("all were sent before the end")
	}
	if took > takes+5*time.Second {
		t.Errorf("the worker took %v to stop", took)
	}
	db := connectPostgres(t, s.databaseURL)
	if recorded := count(t, db, "SELECT count(*) FROM deliveries WHERE status = 'delivered'"); recorded != sent {
		t.Errorf("%d were sent, %d recorded", sent, recorded)
	}
	worker.Start(t)
	worker.awaitReady(t)
	from = time.Now()
	r.awaitRequests(t, 20*time.Second, sent+1)
	t.Logf("stopped after %v with %d sent; going on %v after the next was ready", took, sent, time.Since(from))
	if soon := 5 * time.Second; time.Since(from) > soon {
		t.Errorf("the next worker began after %v, want within %v", time.Since(from), soon)
	}
	r.awaitAccepted(t, time.Minute, ids)
	awaitCounts(t, 20*time.Second, s.apis[0].api, ids, deliveryCounts{Delivered: 1})
	if d := r.duplicates(); d > 0 {
		t.Errorf("%d duplicates", d)
	}
	checkRows(t, db, r.id, n)
}
