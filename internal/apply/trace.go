package apply

import (
	"context"

	"github.com/hibiken/asynq"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/store"
	"github.com/waybill-dev/waybill/internal/telemetry"
)

// spans are those of the operations that are applied together, by operation ID.
// Each is a child of its operation's own trace: a batch carries many.
type spans map[string]trace.Span

// startSpans begins a span for each operation whose trace is sampled. What the
// operation causes from here on, its webhooks, is caused by that span.
func (h *Handler) startSpans(ctx context.Context, operations []record.Operation, attempt int) spans {
	if h.o.Tracer == nil {
		return nil
	}
	started := spans{}
	for i := range operations {
		op := &operations[i]
		if !op.Trace.Sampled() {
			continue
		}
		_, span := h.o.Tracer.Start(telemetry.Under(ctx, op.Trace), "apply", trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(
			attribute.String("waybill.operation", op.ID), attribute.String("waybill.tenant", op.Tenant),
			attribute.String("waybill.collection", op.Collection), attribute.String("waybill.action", string(op.Action)),
			attribute.Int("waybill.attempt", attempt)))
		op.Trace = telemetry.TraceOf(span.SpanContext())
		started[op.ID] = span
	}
	return started
}

// end ends the spans: those of outcomes with their status, the others as failed if
// there was a failure. What has neither was known: it is stored already.
func (s spans) end(outcomes []record.Outcome, failure error) {
	if len(s) == 0 {
		return
	}
	for i := range outcomes {
		o := &outcomes[i]
		span := s[o.Operation.ID]
		if span == nil {
			continue
		}
		span.SetAttributes(attribute.String("waybill.outcome", string(o.Status)))
		if o.Status == record.Failed {
			telemetry.Fail(span, string(o.Code))
		}
		span.End()
		delete(s, o.Operation.ID)
	}
	for _, span := range s {
		if failure != nil {
			fail(span, failure)
		} else {
			span.SetAttributes(attribute.String("waybill.outcome", "known"))
		}
		span.End()
	}
}

// fail notes on span that the store failed.
func fail(span trace.Span, err error) {
	kind := fault.KindOf(err)
	if store.Unavailable(err) {
		kind = fault.StoreUnavailable
	}
	telemetry.Fail(span, string(kind))
}

// startTransaction begins the span of one try to store operations together. It is
// linked with that of the batch in which they were enqueued.
func (h *Handler) startTransaction(ctx context.Context, operations []record.Operation) (context.Context, trace.Span) {
	if h.o.Tracer == nil {
		return ctx, trace.SpanFromContext(context.Background())
	}
	var enqueued []trace.Link
	if sc := trace.SpanContextFromContext(ctx); sc.IsValid() {
		enqueued = append(enqueued, trace.Link{SpanContext: sc})
	}
	ctx, span, _ := telemetry.StartBatch(ctx, h.o.Tracer, "transaction", operations, enqueued...)
	return ctx, span
}

// under returns ctx under the trace in the task's headers.
func (h *Handler) under(ctx context.Context, task *asynq.Task) context.Context {
	if h.o.Tracer == nil {
		return ctx
	}
	headers := task.Headers()
	return telemetry.Under(ctx, telemetry.ParseTrace(headers["traceparent"], headers["tracestate"]))
}
