package telemetry_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/telemetry"
)

// scrape returns the lines of /metrics.
func scrape(t testing.TB, m *telemetry.Metrics, accept string) string {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", http.NoBody)
	r.Header.Set("Accept", accept)
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func wants(t testing.TB, text string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("no line %s", line)
		}
	}
}

func queues(look func(context.Context, string) (telemetry.Queue, error)) telemetry.Queues {
	return telemetry.Queues{
		Names: []string{"writes", "notify"}, Queue: look,
		Backlog: func(context.Context) (int64, time.Duration, error) { return 1234, time.Minute, nil },
		Memory:  func(context.Context) (int64, int64, error) { return 10, 100, nil },
	}
}

func TestMetrics_QueuesByTheNamesOfAsynqmon(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMetrics("test")
	m.WatchQueues(queues(func(_ context.Context, name string) (telemetry.Queue, error) {
		if name == "notify" {
			return telemetry.Queue{}, errors.New("a task's hash is missing")
		}
		return telemetry.Queue{
			Tasks:   map[string]int64{"pending": 5, "retry": 2, "archived": 0},
			Latency: 1500 * time.Millisecond, Processed: 70, Failed: 7, Memory: 4096, Paused: true,
		}, nil
	}))
	_ = scrape(t, m, "") // which may show the counter before it rises
	text := scrape(t, m, "")
	wants(t, text,
		`asynq_queue_size{queue="writes"} 7`,
		`asynq_tasks_enqueued_total{queue="writes",state="pending"} 5`,
		`asynq_tasks_enqueued_total{queue="writes",state="archived"} 0`,
		`asynq_queue_latency_seconds{queue="writes"} 1.5`,
		`asynq_queue_memory_usage_approx_bytes{queue="writes"} 4096`,
		`asynq_queue_paused_total{queue="writes"} 1`,
		`asynq_tasks_processed_total{queue="writes"} 70`,
		`asynq_tasks_failed_total{queue="writes"} 7`,
		`waybill_backlog_operations 1234`,
		`waybill_backlog_age_seconds 60`,
		`waybill_redis_memory_limit_bytes 100`,
		`waybill_queue_scrape_errors_total{of="notify"} 1`,
		`waybill_queue_scrape_errors_total{of="writes"} 0`,
	)
	if strings.Contains(text, `queue="notify"`) {
		t.Error("a queue that could not be looked at is shown")
	}
}

func TestMetrics_AHangingLookDelaysNoScrape(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := telemetry.NewMetrics("test")
		m.WatchQueues(queues(func(ctx context.Context, name string) (telemetry.Queue, error) {
			if name == "notify" {
				<-ctx.Done()
			}
			return telemetry.Queue{}, ctx.Err()
		}))
		begin := time.Now()
		wants(t, scrape(t, m, ""), `waybill_queue_scrape_errors_total{of="notify"} 0`)
		if took := time.Since(begin); took > 50*time.Millisecond {
			t.Errorf("a scrape took %v", took)
		}
		<-time.After(3 * time.Second) // of synctest's clock: the look is given up meanwhile
		wants(t, scrape(t, m, ""), `waybill_queue_scrape_errors_total{of="notify"} 1`, `asynq_queue_size{queue="writes"} 0`)
	})
}

func TestMetrics_LooksAreKeptForSomeSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		looks := 0
		m := telemetry.NewMetrics("test")
		m.WatchStore(func(context.Context) (telemetry.Standing, error) {
			if looks++; looks == 2 {
				return telemetry.Standing{}, errors.New("the database is away")
			}
			return telemetry.Standing{Enabled: 3, Disabled: 1, Behind: 2, Pending: 40}, nil
		})
		for range 10 {
			wants(t, scrape(t, m, ""), `waybill_subscriptions{state="enabled"} 3`, `waybill_subscriptions{state="disabled"} 1`,
				`waybill_subscriptions_behind 2`, `waybill_deliveries_pending 40`)
		}
		if looks != 1 {
			t.Errorf("%d looks for ten scrapes", looks)
		}
		<-time.After(16 * time.Second) // of synctest's clock
		_ = scrape(t, m, "")           // the first collector to be asked may be the counter's
		text := scrape(t, m, "")
		wants(t, text, `waybill_store_scrape_errors_total 1`)
		if strings.Contains(text, "waybill_subscriptions{") {
			t.Error("what was not looked at is shown")
		}
	})
}

func TestMetrics_ExemplarsNameTheTrace(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMetrics("test", "messages")
	m.Request(record.Trace{Parent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}, http.MethodPost, "/api/messages", 202, time.Millisecond)
	m.Request(record.Trace{}, http.MethodGet, "/api/messages", 200, time.Millisecond)
	const openMetrics = "application/openmetrics-text; version=1.0.0"
	text := scrape(t, m, openMetrics)
	if n := strings.Count(text, `# {trace_id="4bf92f3577b34da6a3ce929d0e0e4736"} 0.001`); n != 1 {
		t.Errorf("%d exemplars in:\n%s", n, text)
	}
	if strings.Contains(scrape(t, m, "text/plain"), "trace_id") {
		t.Error("an exemplar in a format that has none")
	}
}

func TestMetrics_UnknownCollectionsAreOneLabel(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMetrics("test", "messages")
	for _, collection := range []string{"messages", "removed", "other"} {
		op := record.Operation{ID: record.NewID(time.Now().UnixMicro(), 1, 0), Key: record.Key{Tenant: "acme", Collection: collection}, Action: record.Patch}
		m.Accepted(&op)
		m.Applied(&record.Outcome{Operation: op, Status: record.Done}, time.Now())
	}
	text := scrape(t, m, "")
	wants(t, text,
		`waybill_operations_accepted_total{action="patch",collection="unknown"} 2`,
		`waybill_operations_applied_total{action="patch",collection="messages",outcome="done"} 1`,
		`waybill_operations_applied_total{action="patch",collection="unknown",outcome="done"} 2`)
	if strings.Contains(text, "removed") || strings.Contains(text, "acme") {
		t.Error("a label is made up by a client")
	}
}

// An alert on a rise sees the first failure only if there was a zero before.
func TestMetrics_ZerosFromTheStart(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMetrics("test")
	m.WriteRoute(http.MethodPost, "/api/messages")
	open := true
	m.Breaker("database", func() bool { return open })
	m.WatchRedis("queue", func() *redis.PoolStats {
		return &redis.PoolStats{TotalConns: 5, IdleConns: 2, Hits: 9, WaitDurationNs: 5e8}
	})
	wants(t, scrape(t, m, ""),
		`waybill_http_requests_total{code="503",method="POST",route="/api/messages"} 0`,
		`waybill_rejected_total{reason="queue_unavailable"} 0`,
		`waybill_deliveries_total{channel="webhook",outcome="dead"} 0`,
		`waybill_tasks_recovered_total 0`, `waybill_out_of_order_total 0`,
		`waybill_breaker_open{name="database"} 1`,
		`waybill_redis_pool_connections{pool="queue",state="in_use"} 3`,
		`waybill_redis_pool_taken_total{how="free",pool="queue"} 9`,
		`waybill_redis_pool_waited_seconds_total{pool="queue"} 0.5`)
	open = false
	wants(t, scrape(t, m, ""), `waybill_breaker_open{name="database"} 0`)
}
