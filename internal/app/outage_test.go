package app_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/waybill-dev/waybill/internal/testenv"
)

var outageDuration = flag.Duration("outage.duration", 3*time.Second, "how long Postgres is away in the tests of its outages")

// A write that Redis does not confirm is answered within two seconds, and what
// a busy machine adds to it.
const refusedWithin = 2*time.Second + 600*time.Millisecond

// outage is one way in which a server can be away.
type outage struct {
	name       string
	begin, end func(server) error
}

// server is what testenv's servers have in common.
type server interface {
	Start(ctx context.Context) error
	Stop() error
	Pause() error
	Resume() error
}

func outages() []outage {
	return []outage{
		{"stopped", server.Stop, func(s server) error { return s.Start(context.Background()) }},
		{"paused", server.Pause, server.Resume},
	}
}

// TestSystem_RedisOutage: without Redis a write is refused in time, and works
// again with no restart of anything. With Redis stopped, what was refused never
// appears; frozen, Redis may have read a write and carry it out when it thaws,
// which is what "not confirmed" means.
func TestSystem_RedisOutage(t *testing.T) {
	t.Parallel()
	for _, o := range outages() {
		t.Run(o.name, func(t *testing.T) {
			t.Parallel()
			redis := testenv.NewRedis(t)
			s := newSystem(t, redis.URL(), testenv.PostgresURL(t), 1, 1)
			before := mustCall(t, http.MethodPost, s.url("/api/messages"), `{"content":"before"}`).want(t, http.StatusAccepted).operation(t)
			awaitDone(t, 10*time.Second, s.apis[0].api, before.ID)

			if err := o.begin(redis); err != nil {
				t.Fatal(err)
			}
			checkRefused(t, s)
			mustCall(t, http.MethodGet, s.url("/api/messages/"+before.Record), "").want(t, http.StatusOK) // reads go on
			if err := o.end(redis); err != nil {
				t.Fatal(err)
			}

			after := awaitAccepted(t, s)
			awaitDone(t, 20*time.Second, s.apis[0].api, after)
			rc := connectRedis(t, s.redisURL)
			testenv.Eventually(t, 20*time.Second, "the queue is empty", func() error { return checkQueueEmpty(t.Context(), rc) })
			db := connectPostgres(t, s.databaseURL)
			if n := count(t, db, `SELECT count(*) FROM records WHERE data->>'content' LIKE 'refused%'`); n > 0 && o.name == "stopped" {
				t.Errorf("%d records appeared whose writes were refused", n)
			}
		})
	}
}

// checkRefused sends writes of all kinds, at once and then one by one, and checks
// each answer.
func checkRefused(t *testing.T, s *system) {
	t.Helper()
	send := func(i int) {
		var a *answer
		var err error
		switch i % 4 {
		case 0:
			a, err = call(t.Context(), http.MethodPost, s.url("/api/messages"), fmt.Sprintf(`{"content":"refused %d"}`, i))
		case 1:
			a, err = call(t.Context(), http.MethodPut, s.url(fmt.Sprintf("/api/messages/m%d", i)), fmt.Sprintf(`{"content":"refused %d"}`, i),
				"Idempotency-Key", fmt.Sprint("key", i))
		case 2:
			a, err = call(t.Context(), http.MethodPost, s.url("/api/messages"), fmt.Sprintf("{\"content\":\"refused %d\"}\n", i),
				"Content-Type", "application/x-ndjson")
		case 3:
			a, err = call(t.Context(), http.MethodPost, s.url("/api/messages"), fmt.Sprintf(`{"content":"refused %d"}`, i), "Prefer", "wait=10")
		}
		if err != nil {
			t.Errorf("write %d: %v", i, err)
			return
		}
		if a.status != http.StatusServiceUnavailable || a.code() != "queue_unavailable" || a.header.Get("Retry-After") == "" {
			t.Errorf("write %d: answer %v, Retry-After %q; want 503 queue_unavailable", i, a, a.header.Get("Retry-After"))
		}
		if a.took > refusedWithin {
			t.Errorf("write %d was refused after %v, want at most %v", i, a.took, refusedWithin)
		}
	}
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() { send(i) })
	}
	all.Wait()
	for i := range 4 {
		send(100 + i)
	}
}

// awaitAccepted sends writes until one is accepted, and returns its operation.
func awaitAccepted(t *testing.T, s *system) (id string) {
	t.Helper()
	testenv.Eventually(t, 15*time.Second, "a write is accepted again", func() error {
		a, err := call(t.Context(), http.MethodPost, s.url("/api/messages"), `{"content":"after"}`)
		if err != nil {
			return err
		}
		if a.status != http.StatusAccepted {
			return errors.New(a.String())
		}
		id = a.operation(t).ID
		return nil
	})
	return id
}

// TestSystem_PostgresOutage: without Postgres writes are accepted and tracked,
// and when it is back all are stored and none has failed (promise 7).
func TestSystem_PostgresOutage(t *testing.T) {
	t.Parallel()
	for _, o := range outages() {
		t.Run(o.name, func(t *testing.T) {
			t.Parallel()
			postgres := testenv.NewPostgres(t)
			s := newSystem(t, testenv.RedisURL(t), postgres.URL(), 1, 2)
			first := mustCall(t, http.MethodPut, s.url("/api/messages/keyed"), `{"content":"keyed"}`, "Idempotency-Key", "k").
				want(t, http.StatusAccepted).operation(t)
			awaitDone(t, 10*time.Second, s.apis[0].api, first.ID)

			w := &writers{s: s, stop: make(chan struct{})}
			w.start(t)
			testenv.Eventually(t, 10*time.Second, "the load runs", func() error { return w.atLeast(50) })
			if err := o.begin(postgres); err != nil {
				t.Fatal(err)
			}
			over := time.After(*outageDuration)
			checkDuringOutage(t, s, first)
			<-over
			if err := o.end(postgres); err != nil {
				t.Fatal(err)
			}
			accepted := len(w.ids())
			testenv.Eventually(t, 30*time.Second, "the load runs on", func() error { return w.atLeast(accepted + 20) })
			close(w.stop)
			w.all.Wait()
			checkAllStored(t, s, append(w.ids(), first.ID))
		})
	}
}

// writers send writes at a bounded rate, each of which must be accepted.
type writers struct {
	s    *system
	stop chan struct{}
	all  sync.WaitGroup

	mu       sync.Mutex
	accepted []string // operation IDs
}

func (w *writers) start(t *testing.T) {
	t.Helper()
	const clients, pace = 4, 20 * time.Millisecond
	for c := range clients {
		w.all.Go(func() {
			tick := time.NewTicker(pace)
			defer tick.Stop()
			for i := 0; ; i++ {
				select {
				case <-w.stop:
					return
				case <-tick.C:
					w.write(t, c, i)
				}
			}
		})
	}
}

// write sends one of a mix: creates, and writes to records shared by all.
func (w *writers) write(t *testing.T, c, i int) {
	method, path, body := http.MethodPost, "/api/messages", fmt.Sprintf(`{"content":"client %d, write %d"}`, c, i)
	if i%3 == 0 {
		method, path, body = http.MethodPut, fmt.Sprintf("/api/todos/shared-%d", i%5), fmt.Sprintf(`{"text":"client %d, write %d"}`, c, i)
	}
	a, err := call(context.Background(), method, w.s.url(path), body)
	if err != nil || a.status != http.StatusAccepted || a.took > refusedWithin {
		t.Errorf("write %d of client %d: answer %v (%v), want 202 in time", i, c, a, err)
		return
	}
	o := a.operation(t)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.accepted = append(w.accepted, o.ID)
}

func (w *writers) ids() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.accepted)
}

func (w *writers) atLeast(n int) error {
	if got := len(w.ids()); got < n {
		return fmt.Errorf("%d writes are accepted, %d are to be", got, n)
	}
	return nil
}

// checkDuringOutage checks what works without a database: every kind of write,
// its repeats, and looking up what is in the queue. first is stored.
func checkDuringOutage(t *testing.T, s *system, first *operation) {
	t.Helper()
	fresh := mustCall(t, http.MethodPost, s.url("/api/messages"), `{"content":"during"}`, "Idempotency-Key", "during").
		want(t, http.StatusAccepted).operation(t)
	seen := mustCall(t, http.MethodGet, s.url("/api/operations/"+fresh.ID), "").want(t, http.StatusOK).operation(t)
	if seen.Status != "queued" && seen.Status != "retrying" {
		t.Errorf("the operation is %s during the outage, want queued or retrying", seen.Status)
	}
	for _, repeat := range []struct {
		what, method, path, body, key, id string
	}{
		{"a write still queued", http.MethodPost, "/api/messages", `{"content":"during"}`, "during", fresh.ID},
		{"a write stored before", http.MethodPut, "/api/messages/keyed", `{"content":"keyed"}`, "k", first.ID},
	} {
		a := mustCall(t, repeat.method, s.url(repeat.path), repeat.body, "Idempotency-Key", repeat.key)
		if a.status != http.StatusAccepted || a.operation(t).ID != repeat.id || a.took > 2*refusedWithin {
			t.Errorf("a repeat of %s: answer %v, want 202 with operation %s", repeat.what, a, repeat.id)
		}
	}
	waited := mustCall(t, http.MethodPost, s.url("/api/messages"), `{"content":"waited for"}`, "Prefer", "wait=1").want(t, http.StatusAccepted)
	if waited.took > time.Second+refusedWithin {
		t.Errorf("Prefer: wait=1 took %v", waited.took)
	}
	for _, p := range s.processes() {
		testenv.Eventually(t, 5*time.Second, p.name+" is not ready, and says why", func() error { return p.checkUnready(t.Context(), "database") })
	}
}

// checkAllStored waits for the queue to run empty, and checks that every one of
// the operations is done, none was added, and none failed.
func checkAllStored(t *testing.T, s *system, ids []string) {
	t.Helper()
	rc := connectRedis(t, s.redisURL)
	testenv.Eventually(t, 2*time.Minute, "the queue is empty", func() error { return checkQueueEmpty(t.Context(), rc) })
	db := connectPostgres(t, s.databaseURL)
	if n := count(t, db, "SELECT count(*) FROM operations WHERE id = ANY($1::text[]::uuid[]) AND status = 'done'", ids); n != len(ids) {
		t.Errorf("%d of %d accepted operations are done", n, len(ids))
	}
	if n := count(t, db, "SELECT count(*) FROM operations WHERE status <> 'done'"); n != 0 {
		t.Errorf("%d operations failed", n)
	}
	t.Logf("%d writes accepted, all stored", len(ids))
}
