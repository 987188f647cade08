package telemetry

import (
	"context"
	"log/slog"
	"net/http"
	"strings"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/waybill-dev/waybill/internal/record"
)

// Names of the headers of W3C Trace Context, as net/http keys them.
const (
	headerParent = "Traceparent"
	headerState  = "Tracestate"
)

// maxState is the longest tracestate that is passed on; a longer one is dropped.
// W3C asks for at least so much. It is stored with every operation of a request.
const maxState = 512

var w3c propagation.TraceContext

// TraceFrom returns the trace that a request is part of; none if its headers are
// absent or malformed. Without headers it allocates nothing.
func TraceFrom(h http.Header) record.Trace {
	parents := h[headerParent]
	if len(parents) != 1 {
		return record.Trace{}
	}
	return ParseTrace(parents[0], strings.Join(h[headerState], ","))
}

// ParseTrace checks what a stranger gives as a trace: none if parent is
// malformed, without a state if that is.
func ParseTrace(parent, state string) record.Trace {
	if parent == "" {
		return record.Trace{}
	}
	if len(state) > maxState {
		state = ""
	}
	return TraceOf(SpanContext(record.Trace{Parent: parent, State: state}))
}

// TraceOf returns the trace that sc is a span of; none if sc is not valid.
func TraceOf(sc trace.SpanContext) record.Trace {
	var c carrier
	if sc.IsValid() {
		w3c.Inject(trace.ContextWithSpanContext(context.Background(), sc), &c)
	}
	return record.Trace(c)
}

// SpanContext returns the span that t names; an invalid one for none.
func SpanContext(t record.Trace) trace.SpanContext {
	if t.Parent == "" {
		return trace.SpanContext{}
	}
	c := carrier(t)
	return trace.SpanContextFromContext(w3c.Extract(context.Background(), &c))
}

// Under returns ctx for spans that t is the parent of.
func Under(ctx context.Context, t record.Trace) context.Context {
	return trace.ContextWithSpanContext(ctx, SpanContext(t))
}

// TraceID is the attribute of a log line about t; without a trace it is empty,
// which leaves it out.
func TraceID(t record.Trace) slog.Attr {
	if id := t.ID(); id != "" {
		return slog.String("trace_id", id)
	}
	return slog.Attr{}
}

// Headers returns t as a task's headers, nil for none.
func Headers(t record.Trace) map[string]string {
	if t.Parent == "" {
		return nil
	}
	h := propagation.MapCarrier{}
	w3c.Inject(Under(context.Background(), t), h)
	return h
}

// carrier is a record.Trace as a propagator reads and writes it.
type carrier record.Trace

// Get implements propagation.TextMapCarrier.
func (c *carrier) Get(key string) string {
	if key == "traceparent" {
		return c.Parent
	}
	return c.State
}

// Set implements propagation.TextMapCarrier.
func (c *carrier) Set(key, value string) {
	if key == "traceparent" {
		c.Parent = value
	} else {
		c.State = value
	}
}

// Keys implements propagation.TextMapCarrier.
func (c *carrier) Keys() []string { return w3c.Fields() }
