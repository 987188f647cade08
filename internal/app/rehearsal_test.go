package app_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/waybill-dev/waybill/internal/testenv"
)

// TestRehearsal is docs/operations.md walked through: on a system under a little
// load each thing goes wrong, the alert fires in a real Prometheus, what the entry
// says to do is done, and the alert is over. Nothing that was accepted is lost.
func TestRehearsal(t *testing.T) {
	t.Parallel()
	testenv.Prometheus(t, "prometheus")
	r := &rehearsal{redis: testenv.NewRedis(t), postgres: testenv.NewPostgres(t)}
	r.system = newSystem(t, r.redis.URL(), r.postgres.URL(), 1, 1, "WAYBILL_WEBHOOK_RETRIES=1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s")
	r.prometheus = startAlerts(t, r.system, map[string]string{
		"waybill:backlog:operations > 500000": "waybill:backlog:operations > 50",
		"waybill:backlog:age_seconds > 300":   "waybill:backlog:age_seconds > 3",
		"waybill:accept_to_store:p95_5m > 30": "waybill:accept_to_store:p95_5m > 1.5",
	})
	stop := r.load(t)
	r.prometheus.awaitQuiet(t, 30*time.Second)
	for _, step := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"a worker is lost, and a backlog grows", r.workerLost},
		{"Redis is down", r.redisDown},
		{"Redis is full", r.redisFull},
		{"Postgres is down", r.postgresDown},
		{"Postgres is slow", r.postgresSlow},
		{"a poison write", r.poison},
		{"a subscriber hangs", r.subscriberHangs},
	} {
		if !t.Run(step.name, step.run) {
			break // the next one would start from what is broken
		}
	}
	stop()
	awaitDone(t, time.Minute, r.system.apis[0].api, r.accepted...)
	t.Logf("%d writes were accepted, and all are stored", len(r.accepted))
}

// rehearsal is a system, who watches it, and what was accepted.
type rehearsal struct {
	redis      *testenv.Redis
	postgres   *testenv.Postgres
	system     *system
	prometheus *prometheus

	mu       sync.Mutex
	accepted []string
}

// longEnough bounds the wait for an alert, or for its end.
const longEnough = 60 * time.Second

// load writes some twenty messages a second until stopped, whatever is answered.
func (r *rehearsal) load(t *testing.T) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for range 4 {
		running.Go(func() {
			for ; ctx.Err() == nil; pauseFor(ctx, 200*time.Millisecond) {
				a, err := call(ctx, http.MethodPost, r.system.url("/api/messages"), `{"content":"load"}`)
				if err == nil && a.status == http.StatusAccepted {
					r.mu.Lock()
					r.accepted = append(r.accepted, a.operation(t).ID)
					r.mu.Unlock()
				}
			}
		})
	}
	return func() { cancel(); running.Wait() }
}

func (r *rehearsal) workerLost(t *testing.T) {
	worker := r.system.workers[0]
	if err := worker.Kill(); err != nil {
		t.Fatal(err)
	}
	r.prometheus.await(t, longEnough, "WaybillWorkerDown", "WaybillBacklogLarge", "WaybillBacklogOld", "WaybillQueueNotDraining")
	worker.Start(t)
	worker.awaitReady(t)
	r.prometheus.awaitQuiet(t, 2*longEnough, "WaybillWorkerLost") // which looks back
}

func (r *rehearsal) redisDown(t *testing.T) {
	if err := r.redis.Stop(); err != nil {
		t.Fatal(err)
	}
	r.prometheus.await(t, longEnough, "WaybillAcceptErrors", "WaybillScrapeErrors")
	if err := r.redis.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.prometheus.awaitQuiet(t, 2*longEnough, "WaybillWorkerLost")
}

func (r *rehearsal) redisFull(t *testing.T) {
	o, err := redis.ParseURL(r.redis.URL())
	if err != nil {
		t.Fatal(err)
	}
	rc := redis.NewClient(o)
	t.Cleanup(func() { _ = rc.Close() })
	if err := rc.ConfigSet(t.Context(), "maxmemory", "1mb").Err(); err != nil { // less than it uses
		t.Fatal(err)
	}
	r.prometheus.await(t, longEnough, "WaybillRedisMemory", "WaybillAcceptErrors")
	mustCall(t, http.MethodPost, r.system.url("/api/messages"), `{"content":"x"}`).want(t, http.StatusServiceUnavailable)
	if err := rc.ConfigSet(t.Context(), "maxmemory", "0").Err(); err != nil {
		t.Fatal(err)
	}
	r.prometheus.awaitQuiet(t, longEnough, "WaybillWorkerLost")
}

func (r *rehearsal) postgresDown(t *testing.T) {
	if err := r.postgres.Stop(); err != nil {
		t.Fatal(err)
	}
	r.prometheus.await(t, longEnough, "WaybillDatabaseBreakerOpen")
	mustCall(t, http.MethodPost, r.system.url("/api/messages"), `{"content":"waits"}`).want(t, http.StatusAccepted)
	if err := r.postgres.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.prometheus.awaitQuiet(t, 2*longEnough, "WaybillWorkerLost")
}

// postgresSlow has somebody else hold the table of operations for two seconds of
// every three: shorter than a lock is waited for.
func (r *rehearsal) postgresSlow(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var holding sync.WaitGroup
	holding.Go(func() {
		conn, err := pgx.Connect(ctx, r.postgres.URL())
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
		for ctx.Err() == nil {
			_, err := conn.Exec(ctx, "BEGIN; LOCK TABLE operations IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(2); COMMIT; SELECT pg_sleep(0.5)")
			if err != nil && ctx.Err() == nil {
				t.Error(err)
				return
			}
		}
	})
	r.prometheus.await(t, longEnough, "WaybillStoreSlow")
	cancel()
	holding.Wait()
	r.prometheus.awaitQuiet(t, 2*longEnough, "WaybillWorkerLost")
}

// poison is not an alert: one write fails alone, and says why.
func (r *rehearsal) poison(t *testing.T) {
	todo := mustCall(t, http.MethodPost, r.system.url("/api/todos"), `{"text":"x"}`).want(t, http.StatusAccepted).operation(t)
	awaitDone(t, longEnough, r.system.apis[0].api, todo.ID)
	bad := mustCall(t, http.MethodPatch, r.system.url("/api/todos/"+todo.ID), `{"text":null}`).want(t, http.StatusAccepted).operation(t)
	testenv.Eventually(t, longEnough, "it fails", func() error {
		op := mustCall(t, http.MethodGet, r.system.url("/api/operations/"+bad.ID), "").want(t, http.StatusOK).operation(t)
		if op.Status != "failed" || op.Error == nil || op.Error.Code != "invalid_record" {
			return fmt.Errorf("%+v", op)
		}
		return nil
	})
	mustCall(t, http.MethodGet, r.system.workers[0].ops+"/metrics", "").has(t, `outcome="invalid_record"} 1`)
	r.prometheus.awaitQuiet(t, longEnough, "WaybillWorkerLost")
}

func (r *rehearsal) subscriberHangs(t *testing.T) {
	subscribe(t, r.system.apis[0].api, "hangs", `"events":["messages.created"]`, hold(time.Minute))
	r.prometheus.await(t, 2*longEnough, "WaybillDeliveriesFailing")
	var list struct{ Items []struct{ ID string } }
	mustCall(t, http.MethodGet, r.system.url("/api/subscriptions"), "").want(t, http.StatusOK).decode(t, &list)
	for _, s := range list.Items { // as the entry says: it can be disabled, and what it missed replayed
		mustCall(t, http.MethodPost, r.system.url("/api/subscriptions/"+s.ID+"/disable"), "").want(t, http.StatusOK)
	}
	r.prometheus.awaitQuiet(t, 2*longEnough, "WaybillWorkerLost", "WaybillDeliveriesDead")
}
