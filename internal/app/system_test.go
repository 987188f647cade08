package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/waybill-dev/waybill/internal/testenv"
)

// startWithin bounds how long a process may take to be ready, on a machine that
// is busy with other tests.
const startWithin = 90 * time.Second

// system is a Redis, a database, and processes on them.
type system struct {
	redisURL, databaseURL string
	apis, workers         []*process
}

// adminKey is the key of the operator of every system and up.
const adminKey = "wb_tests_a-secret-of-tests-that-is-long-enough-to-be-one"

// newSystem starts apis and workers, with further settings in env, and returns
// when all are ready.
func newSystem(t testing.TB, redisURL, databaseURL string, apis, workers int, env ...string) *system {
	t.Helper()
	s := prepareSystem(t, redisURL, databaseURL, apis, workers, env...)
	for _, p := range s.processes() {
		p.Start(t)
	}
	for _, p := range s.processes() {
		p.awaitReady(t)
	}
	return s
}

// prepareSystem is newSystem before anything is started. Receivers of webhooks
// are on the loopback.
func prepareSystem(t testing.TB, redisURL, databaseURL string, apis, workers int, env ...string) *system {
	t.Helper()
	s := &system{redisURL: redisURL, databaseURL: databaseURL}
	env = append([]string{
		"REDIS_URL=" + redisURL, "DATABASE_URL=" + databaseURL,
		"WAYBILL_SECRET=a secret of tests, long enough to be one", "WAYBILL_WEBHOOK_ALLOW_CIDRS=127.0.0.0/8", "WAYBILL_ADMIN_KEY=" + adminKey,
	}, env...)
	for range apis {
		s.apis = append(s.apis, newProcess(t, "api", nil, env...))
	}
	for range workers {
		s.workers = append(s.workers, newProcess(t, "worker", nil, env...))
	}
	return s
}

func (s *system) processes() []*process {
	return slices.Concat(s.apis, s.workers)
}

// url is path at the first api.
func (s *system) url(path string) string { return s.apis[0].api + path }

// readiness is the answer of /readyz.
type readiness struct {
	status int
	Checks map[string]string
}

// readiness asks whether the process is ready.
func (p *process) readiness(ctx context.Context) (*readiness, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	a, err := call(ctx, http.MethodGet, p.ops+"/readyz", "")
	if err != nil {
		if status, waitErr := p.wait(0); waitErr == nil {
			return nil, fmt.Errorf("%s has ended: %w", p.name, errors.Join(status, err))
		}
		return nil, err
	}
	r := &readiness{status: a.status}
	return r, json.Unmarshal(a.body, r)
}

// awaitReady waits until /readyz says 200.
func (p *process) awaitReady(t testing.TB) {
	t.Helper()
	testenv.Eventually(t, startWithin, p.name+" is ready", func() error {
		r, err := p.readiness(context.Background())
		if err == nil && r.status != http.StatusOK {
			err = fmt.Errorf("not ready: %v", r.Checks)
		}
		return err
	})
}

// awaitDone waits until the operations are done, and fails the test if one
// fails or is unknown.
func awaitDone(t testing.TB, within time.Duration, base string, ids ...string) {
	t.Helper()
	testenv.Eventually(t, within, fmt.Sprintf("%d operations are done", len(ids)), func() error {
		for len(ids) > 0 {
			a, err := call(t.Context(), http.MethodGet, base+"/api/operations/"+ids[0], "")
			if err != nil {
				return err
			}
			o := a.want(t, http.StatusOK).operation(t)
			if o.Status == "failed" {
				t.Fatalf("operation %s %s", o.ID, o.outcome())
			}
			if o.Status != "done" {
				return fmt.Errorf("operation %s is %s, and %d others are to come", o.ID, o.Status, len(ids)-1)
			}
			ids = ids[1:]
		}
		return nil
	})
}

// connectPostgres returns a connection that looks behind the store.
func connectPostgres(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// count returns the only number that query gives.
func count(t testing.TB, conn *pgx.Conn, query string, args ...any) int {
	t.Helper()
	var n int
	if err := conn.QueryRow(t.Context(), query, args...).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}

// connectRedis returns a client that looks behind the queue.
func connectRedis(t testing.TB, url string) *redis.Client {
	t.Helper()
	o, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	rc := redis.NewClient(o)
	t.Cleanup(func() { _ = rc.Close() })
	return rc
}

// checkQueueEmpty says what is left of the writes queue: nothing may be.
func checkQueueEmpty(ctx context.Context, rc *redis.Client) error {
	const queue = "asynq:{writes}:"
	pipe := rc.Pipeline()
	sizes := map[string]*redis.IntCmd{}
	for _, list := range []string{"pending", "active"} {
		sizes[list] = pipe.LLen(ctx, queue+list)
	}
	for _, set := range []string{"scheduled", "retry", "archived", "lease"} {
		sizes[set] = pipe.ZCard(ctx, queue+set)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return err
	}
	var left []error
	for name, size := range sizes {
		if size.Val() != 0 {
			left = append(left, fmt.Errorf("%d tasks are %s", size.Val(), name))
		}
	}
	if len(left) == 0 {
		tasks, err := rc.Keys(ctx, queue+"t:*").Result()
		if err != nil {
			return err
		}
		if len(tasks) > 0 {
			left = append(left, fmt.Errorf("in no list, yet there: %d tasks, such as %s", len(tasks), tasks[0]))
		}
	}
	return errors.Join(left...)
}

// metric is the sum of the samples of a process's metric whose line begins with name.
func (p *process) metric(t testing.TB, name string) (sum float64) {
	t.Helper()
	for line := range strings.Lines(string(mustCall(t, http.MethodGet, p.ops+"/metrics", "").want(t, http.StatusOK).body)) {
		if !strings.HasPrefix(line, name) {
			continue
		}
		value, err := strconv.ParseFloat(line[strings.LastIndex(line, " ")+1:len(line)-1], 64)
		if err != nil {
			t.Fatal(err)
		}
		sum += value
	}
	return sum
}
