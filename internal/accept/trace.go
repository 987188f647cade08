package accept

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/telemetry"
)

// submitTraced is submit with a span, accept, from the write's arrival until its
// batch is through. What the worker does with the write is caused by it.
func (a *Acceptor) submitTraced(ctx context.Context, w *Write) (Accepted, error) {
	ctx, span := a.o.Tracer.Start(ctx, "accept", trace.WithAttributes(
		attribute.String("waybill.collection", w.Collection), attribute.String("waybill.action", string(w.Action))))
	defer span.End()
	traced := *w
	traced.Trace = telemetry.TraceOf(span.SpanContext())
	accepted, err := a.submit(ctx, &traced)
	if err != nil {
		telemetry.Fail(span, string(fault.KindOf(err)))
	} else {
		span.SetAttributes(attribute.String("waybill.operation", accepted.ID), attribute.Bool("waybill.replayed", accepted.Replayed))
	}
	return accepted, err
}

// submitBulkTraced is submitBulk with one span for all that it accepts.
func (a *Acceptor) submitBulkTraced(ctx context.Context, b *Bulk) (replayed bool, err error) {
	ctx, span := a.o.Tracer.Start(ctx, "accept", trace.WithAttributes(attribute.Int("waybill.operations", len(b.Operations))))
	defer span.End()
	traced := *b
	traced.Trace = telemetry.TraceOf(span.SpanContext())
	if replayed, err = a.submitBulk(ctx, &traced); err != nil {
		telemetry.Fail(span, string(fault.KindOf(err)))
	}
	return replayed, err
}

// startEnqueue begins the span of a batch, and returns the trace of its task. A
// batch carries writes of many traces: its span belongs to the first that is
// sampled, and is linked with the others.
func (a *Acceptor) startEnqueue(ctx context.Context, operations []record.Operation) (context.Context, trace.Span, record.Trace) {
	if a.o.Tracer == nil {
		return ctx, trace.SpanFromContext(context.Background()), firstTrace(operations)
	}
	return telemetry.StartBatch(ctx, a.o.Tracer, "enqueue", operations)
}

// firstTrace returns the trace of the first operation that has one.
func firstTrace(operations []record.Operation) record.Trace {
	for i := range operations {
		if t := operations[i].Trace; t.Parent != "" {
			return t
		}
	}
	return record.Trace{}
}
