package apply

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/waybill-dev/waybill/internal/accept"
	"github.com/waybill-dev/waybill/internal/collection"
	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/store"
	"github.com/waybill-dev/waybill/internal/subscription"
	"github.com/waybill-dev/waybill/internal/telemetry"
	"github.com/waybill-dev/waybill/tasks"
)

// apply stores operations that are ready and does what follows a commit. Both
// are repeated if the worker dies on the way, and both are harmless twice. It
// returns how many operations were new.
func (h *Handler) apply(ctx context.Context, operations []record.Operation, attempt int) (int, error) {
	if len(operations) == 0 {
		return 0, nil
	}
	spans := h.startSpans(ctx, operations, attempt)
	outcomes, err := h.commit(ctx, operations, attempt)
	spans.end(outcomes, err)
	h.report(ctx, outcomes)
	return len(outcomes), errors.Join(err, h.settle(ctx, operations, outcomes, err))
}

// commit stores operations in one transaction. If the database refuses what is
// in it, the batch is halved until the poison stands alone, and fails alone.
// Halves are applied in order, so the outcomes are those of the whole.
func (h *Handler) commit(ctx context.Context, operations []record.Operation, attempt int) ([]record.Outcome, error) {
	outcomes, err := h.transact(ctx, operations, attempt, h.fold)
	kind, detail, refused := store.Refused(err)
	switch {
	case err == nil || !refused:
		return outcomes, err
	case len(operations) > 1:
		half := len(operations) / 2
		first, err := h.commit(ctx, operations[:half], attempt)
		if err != nil {
			return first, err
		}
		second, err := h.commit(ctx, operations[half:], attempt)
		return append(first, second...), err
	}
	return h.transact(ctx, operations, attempt, func(current *record.Record, op *record.Operation) (*record.Record, record.Outcome) {
		return current, record.Outcome{Operation: *op, Status: record.Failed, Code: kind, Detail: detail, Owner: record.OwnerOf(current, op)}
	})
}

func (h *Handler) transact(ctx context.Context, operations []record.Operation, attempt int, fold store.FoldFunc) ([]record.Outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, h.o.Transaction)
	defer cancel()
	ctx, span := h.startTransaction(ctx, operations)
	defer span.End()
	var attempts map[string]int
	if attempt > 1 {
		attempts = make(map[string]int, len(operations))
		for i := range operations {
			attempts[operations[i].ID] = attempt
		}
	}
	outcomes, err := h.store.Apply(ctx, operations, attempts, time.Now(), fold)
	if err != nil {
		fail(span, err)
	}
	return outcomes, err
}

// fold is record.Apply under the rules of the record's collection.
func (h *Handler) fold(current *record.Record, op *record.Operation) (*record.Record, record.Outcome) {
	c, _ := h.collections.Get(op.Collection) // divide has seen to it
	if c.Access.Write == collection.Owner && !record.MayTouch(current, op) {
		return current, forbidden(current, op)
	}
	return record.Apply(current, op, func(stored, patch []byte) ([]byte, error) {
		merged, err := c.Merge(stored, patch)
		if err == nil && int64(len(merged)) > h.o.MaxRecord && len(merged) > len(stored) {
			err = fault.At(fault.InvalidRecord, "body", "would make a record of %d bytes, more than %d", len(merged), h.o.MaxRecord)
		}
		return merged, err
	})
}

// forbidden is the outcome of an operation on somebody else's record. It comes
// before every precondition, whose failure would tell how the record stands.
func forbidden(current *record.Record, op *record.Operation) record.Outcome {
	outcome := record.Fail(*op, fault.New(fault.Forbidden, "the record is somebody else's"))
	outcome.Owner = current.Owner
	return outcome
}

func (h *Handler) report(ctx context.Context, outcomes []record.Outcome) {
	now := time.Now()
	for i := range outcomes {
		o := &outcomes[i]
		h.o.Observer.Applied(o, now)
		if o.Late {
			h.o.Observer.OutOfOrder(&o.Operation)
			h.o.Logger.LogAttrs(ctx, slog.LevelWarn, "an operation took effect after a later one", about(o)...)
		}
		if o.Status == record.Failed {
			h.o.Logger.LogAttrs(ctx, slog.LevelInfo, "an operation failed", append(about(o), slog.String("code", string(o.Code)))...)
		}
	}
}

// about is what every line of the log about an outcome has.
func about(o *record.Outcome) []slog.Attr {
	op := &o.Operation
	return []slog.Attr{
		slog.String("operation", op.ID), slog.String("tenant", op.Tenant), slog.String("collection", op.Collection), telemetry.TraceID(op.Trace),
	}
}

// settle follows a commit: the operations are under way no more, whoever waits is
// told, and deliveries begin. Where only a part was committed (failure), just that part is.
func (h *Handler) settle(ctx context.Context, operations []record.Operation, outcomes []record.Outcome, failure error) error {
	var marks []accept.Mark
	if failure == nil { // also those that were known before: their marks may have outlived a crash
		for i := range operations {
			if op := &operations[i]; accept.Marked(op) {
				marks = append(marks, accept.Mark{Record: op.Key, Operation: op.ID})
			}
		}
	}
	if keys := toWake(outcomes); len(keys) > 0 {
		h.o.Wake(ctx, keys...)
	}
	for i := range outcomes {
		if o := &outcomes[i]; o.Operation.Reply != "" {
			if err := h.publisher.Publish(ctx, o.Operation.Reply, wire(o)); err != nil {
				h.o.Logger.LogAttrs(ctx, slog.LevelDebug, "an outcome was not announced; the api will look it up", append(about(o), slog.Any("error", err))...)
			}
		}
	}
	return h.underWay.Finish(ctx, len(outcomes), marks...)
}

// toWake returns the subscriptions that have new deliveries, each once.
func toWake(outcomes []record.Outcome) []subscription.Key {
	var keys []subscription.Key
	seen := map[subscription.Key]bool{}
	for i := range outcomes {
		for _, id := range outcomes[i].Notify {
			if key := (subscription.Key{Tenant: outcomes[i].Operation.Tenant, ID: id}); !seen[key] {
				seen[key] = true
				keys = append(keys, key)
			}
		}
	}
	return keys
}

// wire returns an outcome as it is published.
func wire(o *record.Outcome) *tasks.Outcome {
	w := &tasks.Outcome{
		ID: o.Operation.ID, Status: string(o.Status), Version: o.Version,
		Code: string(o.Code), Detail: o.Detail, Created: o.Created, Owner: o.Owner,
	}
	if o.Record != nil && o.Operation.Action != record.Delete {
		w.CreatedBy, w.Data = o.Record.CreatedBy, o.Record.Data
	}
	return w
}
