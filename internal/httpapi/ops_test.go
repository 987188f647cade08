package httpapi_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/httpapi"
	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/telemetry"
)

// operators serves the operators' handler with these checks.
func operators(t *testing.T, timeout time.Duration, checks ...httpapi.Check) (*service, *telemetry.Metrics) {
	t.Helper()
	m := telemetry.NewMetrics("test", "messages")
	server := httptest.NewServer(httpapi.NewOps(m.Handler(), checks, timeout))
	t.Cleanup(server.Close)
	return &service{t: t, url: server.URL, client: server.Client()}, m
}

func fulfilled(context.Context) error { return nil }

// hanging waits for its context, as a check of a server that does not answer does.
func hanging(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestOps_Ready(t *testing.T) {
	t.Parallel()
	broken := func(context.Context) error { return errors.New("dial 127.0.0.1:1: refused") }
	for name, c := range map[string]struct {
		checks []httpapi.Check
		status int
		want   map[string]string
	}{
		"no checks": {nil, 200, map[string]string{}},
		"all fulfilled": {
			[]httpapi.Check{{Name: "redis", Run: fulfilled}, {Name: "database", Run: fulfilled}},
			200, map[string]string{"redis": "ok", "database": "ok"},
		},
		"one fails": {
			[]httpapi.Check{{Name: "redis", Run: broken}, {Name: "database", Run: fulfilled}},
			503, map[string]string{"redis": "dial 127.0.0.1:1: refused", "database": "ok"},
		},
		"all fail, one by time": {
			[]httpapi.Check{{Name: "redis", Run: broken}, {Name: "database", Run: hanging}},
			503, map[string]string{"redis": "dial 127.0.0.1:1: refused", "database": "no answer within 100ms"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _ := operators(t, 100*time.Millisecond, c.checks...)
			var got struct {
				Status string            `json:"status"`
				Checks map[string]string `json:"checks"`
			}
			start := time.Now()
			s.get("/readyz").want(c.status).into(&got)
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("it took %v", took)
			}
			if (got.Status == "ready") != (c.status == 200) || got.Status == "" {
				t.Errorf("status %q with %d", got.Status, c.status)
			}
			if diff := cmp.Diff(c.want, got.Checks); diff != "" {
				t.Error(diff)
			}
			s.get("/livez").want(200) // alive in any case
		})
	}
}

// A check that ignores its context must not hang the answer.
func TestOps_ReadyWithACheckThatHangs(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	s, _ := operators(t, 100*time.Millisecond,
		httpapi.Check{Name: "stuck", Run: func(context.Context) error { <-release; return nil }},
		httpapi.Check{Name: "redis", Run: fulfilled})
	defer close(release)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/readyz", http.NoBody)
	must(t, err)
	response, err := s.client.Do(r)
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("status %d", response.StatusCode)
	}
}

func TestOps_Metrics(t *testing.T) {
	t.Parallel()
	s, m := operators(t, time.Second)
	op := record.Operation{ID: record.NewID(time.Now().UnixMicro(), 1, 0), Key: record.Key{Collection: "messages"}, Action: record.Create}
	m.Request(record.Trace{}, http.MethodPost, "/api/messages", 202, time.Millisecond)
	m.Rejected(fault.InvalidJSON)
	m.Accepted(&op)
	m.BatchEnqueued(3)
	m.Applied(&record.Outcome{Operation: op, Status: record.Done}, time.Now())
	m.HandedBack(1, "x")
	m.Retried(errors.New("x"))
	text := string(s.get("/metrics").want(200).body)
	for _, name := range []string{
		`waybill_build_info{goversion="` + runtime.Version() + `",version="test"} 1`,
		`waybill_http_requests_total{code="202",method="POST",route="/api/messages"} 1`,
		`waybill_http_request_duration_seconds_count{method="POST",route="/api/messages"} 1`,
		`waybill_rejected_total{reason="invalid_json"} 1`,
		`waybill_operations_accepted_total{action="create",collection="messages"} 1`,
		`waybill_accept_batch_operations_sum 3`,
		`waybill_operations_applied_total{action="create",collection="messages",outcome="done"} 1`,
		`waybill_accept_to_store_seconds_count 1`,
		`waybill_out_of_order_total 0`,
		`waybill_handed_back_total{reason="x"} 1`,
		`waybill_stale_dropped_total 0`,
		`waybill_apply_retries_total{reason="internal"} 1`,
	} {
		if !strings.Contains(text, "\n"+name+"\n") {
			t.Errorf("no line %s", name)
		}
	}
}

// Metrics are labelled by what the service has, never by what a client makes up.
func TestOps_MetricsAreBounded(t *testing.T) {
	t.Parallel()
	s, m := operators(t, time.Second)
	api := newService(t)
	api.get("/api/made-up-collection")
	api.get("/api/messages/made-up-id")
	api.send("MADEUP", "/api/messages", nil)
	m.Request(record.Trace{}, "MADEUP", "unmatched", 405, 0)
	if text := string(s.get("/metrics").body); strings.Contains(text, "MADEUP") {
		t.Error("a client's method is a label")
	}
}

func TestOps_Profiles(t *testing.T) {
	t.Parallel()
	s, _ := operators(t, time.Second)
	s.get("/debug/pprof/").want(200)
	s.get("/debug/pprof/goroutine?debug=1").want(200)
	s.get("/nothing").want(404)
	s.send("POST", "/readyz", nil).want(405)
}
