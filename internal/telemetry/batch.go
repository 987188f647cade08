package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/tasks"
)

// maxLinks is how many links a span keeps at least: a batch has one with each of
// its writes, and one with where it comes from.
const maxLinks = tasks.MaxOperations + 1

// StartBatch begins a span of what is done for many operations at once. It is a
// child of the first one's trace that is sampled, and linked with the others and
// with those in also; without any that is sampled it is not recorded. It also
// returns the span's own trace, or the first one's.
func StartBatch(ctx context.Context, t trace.Tracer, name string, operations []record.Operation, also ...trace.Link) (context.Context, trace.Span, record.Trace) {
	parent, links := batchLinks(operations)
	if !parent.Sampled() {
		return ctx, trace.SpanFromContext(context.Background()), parent
	}
	ctx, span := t.Start(Under(ctx, parent), name, trace.WithLinks(append(links, also...)...),
		trace.WithAttributes(attribute.Int("waybill.operations", len(operations))))
	return ctx, span, TraceOf(span.SpanContext())
}

// batchLinks returns the first trace of operations that is sampled, else the first
// of all, and links with the others that are sampled, each once.
func batchLinks(operations []record.Operation) (parent record.Trace, links []trace.Link) {
	seen := map[string]bool{}
	for i := range operations {
		t := operations[i].Trace
		switch {
		case t.Parent == "" || seen[t.Parent]:
		case !t.Sampled():
			if parent.Parent == "" {
				parent = t
			}
		case !parent.Sampled():
			parent = t
			seen[t.Parent] = true
		default:
			links = append(links, trace.Link{SpanContext: SpanContext(t)})
			seen[t.Parent] = true
		}
	}
	return parent, links
}
