package telemetry_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel"

	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/telemetry"
)

// These set variables of the process: they are not parallel.

func TestSpans_AreFlushedAtTheEnd(t *testing.T) {
	got := make(chan string, 1)
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got <- r.Method + " " + r.URL.Path + " " + r.Header.Get("Content-Type") + " " + string(body)
	}))
	t.Cleanup(collector.Close)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	var log bytes.Buffer
	s := export(t, &log)
	_, span := s.Tracer().Start(t.Context(), "a span")
	span.End()
	s.Stop(t.Context())
	request := <-got
	if !strings.HasPrefix(request, "POST /v1/traces application/x-protobuf ") || !strings.Contains(request, "a span") || !strings.Contains(request, "waybill-tests") {
		t.Errorf("the collector got %q", request)
	}
	if log.Len() > 0 {
		t.Errorf("log: %s", &log)
	}
}

// Nobody waits for a collector that is away or hangs, not even the end for long.
func TestSpans_CollectorAwayOrHanging(t *testing.T) {
	hanging := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}))
	t.Cleanup(hanging.Close)
	for name, url := range map[string]string{"away": "http://127.0.0.1:1", "hanging": hanging.URL} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
			var log bytes.Buffer
			s := export(t, &log)
			begun := time.Now()
			for range 10_000 { // more than the queue of spans has room for
				_, span := s.Tracer().Start(t.Context(), "a span")
				span.End()
			}
			if took := time.Since(begun); took > 5*time.Second {
				t.Errorf("10000 spans took %v", took)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			s.Stop(ctx)
			if took := time.Since(begun); took > 10*time.Second {
				t.Errorf("the end took %v", took)
			}
			if lines := strings.Count(log.String(), "\n"); lines == 0 || lines > 2 { // of exporting, and of the end
				t.Errorf("%d lines: %s", lines, &log)
			}
		})
	}
}

func TestSpans_FailuresAreLoggedOnceAMinute(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
	var log bytes.Buffer
	s := export(t, &log)
	defer s.Stop(t.Context())
	handler := otel.GetErrorHandler()
	synctest.Test(t, func(*testing.T) {
		for range 150 {
			handler.Handle(errors.New("away"))
			time.Sleep(time.Second) //nolint:forbidigo // of a clock that does not run
		}
	})
	if lines := strings.Count(log.String(), "\n"); lines != 3 || !strings.Contains(log.String(), "failures_before=59") {
		t.Errorf("%d lines: %s", lines, &log)
	}
}

func TestSpans_NilMakesNone(t *testing.T) {
	var s *telemetry.Spans
	if s.Tracer() != nil {
		t.Error("there is a tracer")
	}
	s.Stop(t.Context())
}

func export(t *testing.T, log io.Writer) *telemetry.Spans {
	t.Helper()
	logger, err := telemetry.NewLogger(log, "info", "text")
	if err != nil {
		t.Fatal(err)
	}
	s, err := telemetry.ExportSpans(t.Context(), "waybill-tests", "v0", logger)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTraceFrom_CostsNothingWithoutHeaders(t *testing.T) {
	h := http.Header{"Content-Type": {"application/json"}}
	if n := testing.AllocsPerRun(100, func() {
		if telemetry.TraceFrom(h) != (record.Trace{}) {
			t.Error("there is a trace")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkTraceFrom(b *testing.B) {
	for name, h := range map[string]http.Header{
		"none":  {},
		"given": {"Traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				telemetry.TraceFrom(h)
			}
		})
	}
}
