package apply

import (
	"context"
	"fmt"
	"time"

	"github.com/waybill-dev/waybill/internal/accept"
	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/tasks"
)

// sort parts operations (in ID order) into those that are ready to be applied
// and those that an earlier operation on their record blocks. Earlier is what is
// under way with a lower ID, outside of operations, unknown to the store; and the
// create of a record that does not exist yet. Batches are totally ordered by
// stamp, so waiting cannot go round in a circle.
func (h *Handler) sort(ctx context.Context, operations []record.Operation) (ready, blocked []record.Operation, err error) {
	keys := touched(operations)
	if len(keys) == 0 {
		return operations, nil, nil
	}
	members, now, err := h.underWay.Of(ctx, keys)
	if err != nil {
		return nil, nil, err
	}
	earliest, err := h.earliestUnknown(ctx, operations, keys, members, now)
	if err != nil {
		return nil, nil, err
	}
	if err := h.addCreates(ctx, operations, earliest); err != nil {
		return nil, nil, err
	}
	for i := range operations {
		op := &operations[i]
		if first, found := earliest[op.Key]; found && first < op.ID && accept.Marked(op) {
			blocked = append(blocked, *op)
		} else {
			ready = append(ready, *op)
		}
	}
	return ready, blocked, nil
}

// touched returns the records of all operations that must look for earlier ones.
func touched(operations []record.Operation) []record.Key {
	var keys []record.Key
	seen := map[record.Key]bool{}
	for i := range operations {
		op := &operations[i]
		if accept.Marked(op) && !seen[op.Key] {
			seen[op.Key] = true
			keys = append(keys, op.Key)
		}
	}
	return keys
}

// earliestUnknown returns, for each record that has any, the lowest ID under way
// that is not in operations and that the store does not know. Entries that it
// does know are left over from a crash and are cleared on the way.
func (h *Handler) earliestUnknown(ctx context.Context, operations []record.Operation, keys []record.Key, members [][]string, now time.Time) (map[record.Key]string, error) {
	inHand := make(map[string]bool, len(operations))
	last := make(map[record.Key]string, len(keys)) // nothing after a record's last operation matters
	for i := range operations {
		inHand[operations[i].ID] = true
		last[operations[i].Key] = operations[i].ID
	}
	var candidates []accept.Mark
	var asked []record.OperationKey
	for i, key := range keys {
		for _, id := range members[i] {
			if !inHand[id] && id < last[key] {
				candidates = append(candidates, accept.Mark{Record: key, Operation: id})
				asked = append(asked, record.OperationKey{Tenant: key.Tenant, ID: id})
			}
		}
	}
	if len(candidates) == 0 {
		return map[record.Key]string{}, nil
	}
	known, err := h.store.Known(ctx, asked)
	if err != nil {
		return nil, fmt.Errorf("look for earlier operations: %w", err)
	}
	earliest := map[record.Key]string{}
	var over []accept.Mark
	for _, c := range candidates {
		unknown := !known[c.Operation]
		if unknown && now.Sub(record.AcceptedAt(c.Operation)) > h.o.Stale {
			stale, err := h.neverEnqueued(ctx, c)
			if err != nil {
				return nil, err
			}
			unknown = !stale
		}
		if !unknown {
			over = append(over, c)
		} else if first, found := earliest[c.Record]; !found || c.Operation < first {
			earliest[c.Record] = c.Operation
		}
	}
	return earliest, h.underWay.Clear(ctx, over...)
}

// neverEnqueued says that neither the queue nor, after it, the store has an
// operation: its api died, or lost Redis, between stamp and enqueue.
func (h *Handler) neverEnqueued(ctx context.Context, m accept.Mark) (bool, error) {
	queued, err := h.queued(ctx, m.Operation)
	if err != nil || queued {
		return false, err
	}
	known, err := h.store.Known(ctx, []record.OperationKey{{Tenant: m.Record.Tenant, ID: m.Operation}})
	if err != nil {
		return false, fmt.Errorf("look for a stale operation: %w", err)
	}
	if !known[m.Operation] {
		h.o.Observer.StaleDropped(1)
		h.o.Logger.Warn("dropped an operation that was stamped and never enqueued", "operation", m.Operation, "collection", m.Record.Collection)
	}
	return true, nil
}

// queued says whether the queue has an operation: in its batch, or, asked after
// that, in a task of its own.
func (h *Handler) queued(ctx context.Context, id string) (bool, error) {
	found, err := h.queue.Lookup(ctx, tasks.QueueWrites, record.BatchID(id), tasks.SingleID(id))
	if err != nil {
		return false, fmt.Errorf("look for operation %s in the queue: %w", id, err)
	}
	return found[0] != nil || found[1] != nil, nil
}

// addCreates adds to earliest the creates that are still in the queue. A POST
// leaves no mark, so a record that does not exist, but whose ID is an
// operation's, may be about to.
func (h *Handler) addCreates(ctx context.Context, operations []record.Operation, earliest map[record.Key]string) error {
	inHand := make(map[string]bool, len(operations))
	for i := range operations {
		inHand[operations[i].ID] = true
	}
	var keys []record.Key
	for _, key := range touched(operations) {
		if _, err := record.ParseID(key.ID); err == nil && !inHand[key.ID] {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	exists, err := h.store.Exists(ctx, keys)
	if err != nil {
		return fmt.Errorf("look for records: %w", err)
	}
	for _, key := range keys {
		if exists[key] {
			continue
		}
		queued, err := h.queued(ctx, key.ID)
		if err != nil {
			return err
		}
		if first, found := earliest[key]; queued && (!found || key.ID < first) {
			earliest[key] = key.ID
		}
	}
	return nil
}
