package notify

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/store"
	"github.com/waybill-dev/waybill/internal/subscription"
	"github.com/waybill-dev/waybill/internal/telemetry"
)

// startSpan begins the span of one attempt, in the event's trace, and returns
// what the receiver is told of it: the span, or without spans what the event has.
func (s *session) startSpan(d *store.Due, channel subscription.Channel) (trace.Span, record.Trace) {
	if s.o.Tracer == nil {
		return trace.SpanFromContext(context.Background()), d.Trace
	}
	_, span := s.o.Tracer.Start(telemetry.Under(context.Background(), d.Trace), "deliver",
		trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(
			attribute.String("waybill.channel", string(channel)), attribute.String("waybill.subscription", s.key.ID),
			attribute.String("waybill.tenant", s.key.Tenant), attribute.String("waybill.delivery", d.ID),
			attribute.String("waybill.event", d.Event), attribute.Int("waybill.attempt", d.Attempts+1)))
	return span, telemetry.TraceOf(span.SpanContext())
}

// endSpan ends an attempt's span with its result.
func endSpan(span trace.Span, r *Result) {
	if r.Status != 0 {
		span.SetAttributes(attribute.Int("waybill.status_code", r.Status))
	}
	if !r.OK {
		telemetry.Fail(span, "not_delivered")
	}
	span.End()
}
