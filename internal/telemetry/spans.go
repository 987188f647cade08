package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// flushWithin bounds how long the last spans of a process may take to leave:
// nothing depends on them, and a collector that hangs must not hold up the end.
const flushWithin = 3 * time.Second

// Spans is where a process's spans are made and sent to a collector. A nil one
// makes none.
type Spans struct {
	provider *sdktrace.TracerProvider
	log      *slog.Logger
}

// ExportSpans returns Spans that are sent by OTLP over HTTP, as the OTEL_*
// variables of the process say. service is its name, unless these name another.
// Spans leave in the background; those that a collector does not take in time are
// dropped, and that is logged once a minute.
func ExportSpans(ctx context.Context, service, version string, log *slog.Logger) (*Spans, error) {
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("export traces: %w", err)
	}
	otel.SetErrorHandler(&exportErrors{log: log}) // the process's: there is no other way to hear of failures
	return NewSpans(ctx, sdktrace.NewBatchSpanProcessor(exporter), service, version, log)
}

// NewSpans returns Spans that p is given.
func NewSpans(ctx context.Context, p sdktrace.SpanProcessor, service, version string, log *slog.Logger) (*Spans, error) {
	who, err := resource.New(ctx,
		resource.WithAttributes(attribute.String("service.name", service), attribute.String("service.version", version)),
		resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	limits := sdktrace.NewSpanLimits() // as OTEL_SPAN_* say
	limits.LinkCountLimit = max(limits.LinkCountLimit, maxLinks)
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(p), sdktrace.WithResource(who), sdktrace.WithRawSpanLimits(limits))
	return &Spans{provider, log}, nil
}

// Tracer returns what makes the spans; nil if none are to be made.
func (s *Spans) Tracer() trace.Tracer {
	if s == nil {
		return nil
	}
	return s.provider.Tracer("github.com/waybill-dev/waybill")
}

// Stop sends what is left. What does not leave in time is lost, and logged.
func (s *Spans) Stop(ctx context.Context) {
	if s == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, flushWithin)
	defer cancel()
	if err := s.provider.Shutdown(ctx); err != nil {
		s.log.Warn("the last spans did not reach the collector", "error", err)
	}
}

// Fail notes on a span that what it stands for failed. kind is bounded, such as a
// fault's; no text of an error enters a trace.
func Fail(span trace.Span, kind string) {
	span.SetStatus(codes.Error, kind)
	span.SetAttributes(attribute.String("error.type", kind))
}

// exportEvery is how often a failure to export is logged.
const exportEvery = time.Minute

// exportErrors logs failures to export: the first, and then one a minute.
type exportErrors struct {
	log *slog.Logger

	mu     sync.Mutex
	last   time.Time
	missed int // since then
}

// Handle implements otel.ErrorHandler.
func (e *exportErrors) Handle(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.last.IsZero() && time.Since(e.last) < exportEvery {
		e.missed++
		return
	}
	e.log.Warn("traces are not exported", "error", err, "failures_before", e.missed)
	e.last, e.missed = time.Now(), 0
}
