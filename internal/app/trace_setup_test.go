package app_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/waybill-dev/waybill/internal/app"
	"github.com/waybill-dev/waybill/internal/config"
	"github.com/waybill-dev/waybill/internal/telemetry"
	"github.com/waybill-dev/waybill/internal/testenv"
)

const systemSecret = "a secret of tests, long enough to be one"

// inside is a whole Waybill within the test's process: what it does can be seen.
type inside struct {
	base, ops string
	spans     *tracetest.InMemoryExporter
	log       lines
	stop      func()
}

// lines is a log that is read while it is written.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// newInside starts one on a real Redis and a SQLite database. With traced its spans
// are kept.
func newInside(t testing.TB, traced bool, env ...string) *inside {
	t.Helper()
	c, err := config.FromEnv(append([]string{
		"REDIS_URL=" + testenv.RedisURL(t), "DATABASE_URL=sqlite:" + filepath.Join(t.TempDir(), "w.db"), "WAYBILL_LISTEN=127.0.0.1:0",
		"WAYBILL_OPS_LISTEN=127.0.0.1:0", "WAYBILL_SECRET=" + systemSecret, "WAYBILL_WEBHOOK_ALLOW_CIDRS=127.0.0.0/8", "WAYBILL_ADMIN_KEY=" + adminKey,
		"WAYBILL_LOG_LEVEL=debug", "WAYBILL_WEBHOOK_RETRIES=50ms,50ms,50ms", "WAYBILL_REGISTRATION=open",
	}, env...))
	if err != nil {
		t.Fatal(err)
	}
	s := &inside{spans: tracetest.NewInMemoryExporter()}
	log, err := telemetry.NewLogger(&s.log, c.LogLevel, c.LogFormat)
	if err != nil {
		t.Fatal(err)
	}
	a, err := newApp(c, log, traced, s.spans)
	if err != nil {
		t.Fatal(err)
	}
	s.stop = sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.Background(), shutdownWithin)
		defer cancel()
		if err := a.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(s.stop)
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	s.base, s.ops = "http://"+a.Addr(), "http://"+a.OpsAddr()
	testenv.Eventually(t, startWithin, "it is ready", func() error {
		r, err := call(t.Context(), http.MethodGet, s.ops+"/readyz", "")
		if err == nil && r.status != http.StatusOK {
			err = errors.New(r.String())
		}
		return err
	})
	testenv.Eventually(t, startWithin, "the operator is known", func() error {
		r, err := call(t.Context(), http.MethodGet, s.base+"/api/subscriptions", "")
		if err == nil && r.status != http.StatusOK {
			err = errors.New(r.String())
		}
		return err
	})
	return s
}

func newApp(c config.Config, log *slog.Logger, traced bool, e sdktrace.SpanExporter) (*app.App, error) {
	roles := app.Roles{API: true, Worker: true}
	if !traced {
		return app.New(c, roles, log)
	}
	return app.NewTraced(c, roles, log, sdktrace.NewSimpleSpanProcessor(e))
}

// named returns the spans of a trace that have the name, in the order of their ends.
func (s *inside) named(trace, name string) (found tracetest.SpanStubs) {
	for _, span := range s.spans.GetSpans() {
		if span.Name == name && (trace == "" || span.SpanContext.TraceID().String() == trace) {
			found = append(found, span)
		}
	}
	return found
}

// await waits until the trace has n spans of the name.
func (s *inside) await(t testing.TB, trace, name string, n int) tracetest.SpanStubs {
	t.Helper()
	var found tracetest.SpanStubs
	testenv.Eventually(t, 30*time.Second, fmt.Sprintf("%d spans %s of %s", n, name, cmp.Or(trace, "any trace")), func() error {
		if found = s.named(trace, name); len(found) != n {
			return fmt.Errorf("there are %d", len(found))
		}
		return nil
	})
	return found
}

// attribute returns the span's attribute as text, "" if it has none of that name.
func attribute(span *tracetest.SpanStub, name string) string {
	for _, a := range span.Attributes {
		if string(a.Key) == name {
			return a.Value.String()
		}
	}
	return ""
}
