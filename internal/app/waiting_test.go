package app_test

import (
	"bytes"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/waybill-dev/waybill/internal/testenv"
)

// TestStop_AnswersThoseWhoWait: an api that is to stop keeps nobody until the end of
// a long wait; who waits is answered with the operation as it stands.
func TestStop_AnswersThoseWhoWait(t *testing.T) {
	t.Parallel()
	s := newSystem(t, testenv.RedisURL(t), testenv.PostgresURL(t), 1, 0) // nobody stores
	op := mustCall(t, http.MethodPost, s.url("/api/messages"), `{"content":"x"}`).want(t, http.StatusAccepted).operation(t)
	answers := make(chan *answer, 2)
	for _, r := range []struct{ method, path, body string }{
		{http.MethodPost, "/api/messages", `{"content":"y"}`}, {http.MethodGet, "/api/operations/" + op.ID + "?wait=30", ""},
	} {
		go func() {
			a, err := call(t.Context(), r.method, s.url(r.path), r.body, "Prefer", "wait=30")
			if err != nil {
				t.Error(err)
			}
			answers <- a
		}()
	}
	testenv.Eventually(t, 10*time.Second, "the write is accepted, and waits", func() error {
		return checkQueued(t, s, 2)
	})
	begin := time.Now()
	if err := s.apis[0].Terminate(); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("it took %v to stop", took)
	}
	for range 2 {
		if a := <-answers; a != nil && (a.status != http.StatusAccepted && a.status != http.StatusOK || a.operation(t).Status != "queued") {
			t.Errorf("answered %v", a)
		}
	}
}

// TestReady_AcceptsWithoutTheDatabase: whoever sends requests to an api asks whether
// it accepts writes, which it does while the database is away.
func TestReady_AcceptsWithoutTheDatabase(t *testing.T) {
	t.Parallel()
	redis, postgres := testenv.NewRedis(t), testenv.NewPostgres(t)
	s := newSystem(t, redis.URL(), postgres.URL(), 1, 0)
	if err := postgres.Stop(); err != nil {
		t.Fatal(err)
	}
	status := func(path string) int { return mustCall(t, http.MethodGet, s.apis[0].ops+path, "").status }
	if got := status("/readyz"); got != http.StatusServiceUnavailable {
		t.Errorf("/readyz answers %d", got)
	}
	if got := status("/readyz/accept"); got != http.StatusOK {
		t.Errorf("/readyz/accept answers %d", got)
	}
	mustCall(t, http.MethodPost, s.url("/api/messages"), `{"content":"x"}`).want(t, http.StatusAccepted)
	testenv.Eventually(t, 20*time.Second, "the breaker opens with nobody asking", func() error {
		return checkMetric(t, s.apis[0].ops, `waybill_breaker_open{name="database"} 1`)
	})
	if err := redis.Stop(); err != nil {
		t.Fatal(err)
	}
	if got := status("/readyz/accept"); got != http.StatusServiceUnavailable {
		t.Errorf("/readyz/accept answers %d without Redis", got)
	}
}

// checkQueued says whether n batches of writes wait in the queue.
func checkQueued(t testing.TB, s *system, n int64) error {
	t.Helper()
	got, err := connectRedis(t, s.redisURL).LLen(t.Context(), "asynq:{writes}:pending").Result()
	if err == nil && got != n {
		err = fmt.Errorf("%d batches", got)
	}
	return err
}

// checkMetric says whether a line is among the metrics.
func checkMetric(t testing.TB, ops, line string) error {
	t.Helper()
	if a := mustCall(t, http.MethodGet, ops+"/metrics", ""); !bytes.Contains(a.body, []byte(line)) {
		return fmt.Errorf("no %s", line)
	}
	return nil
}
