package apply

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/waybill-dev/waybill/internal/accept"
	"github.com/waybill-dev/waybill/internal/record"
)

// sort parts operations (in ID order) into those that can be applied now and
// those that must wait. Nothing is applied before an earlier operation on its
// record: what is under way with a lower ID and unknown to the store, and the
// create of a record that does not exist yet. Earlier operations that the queue
// still has are fetched and are part of ready, so that nobody waits for their
// turn; unless a worker has them in hand, which gets a moment (patient) to end.
// Batches are totally ordered by stamp, so waiting cannot go round in a circle.
func (h *Handler) sort(ctx context.Context, operations []record.Operation, patient bool) (ready, blocked []record.Operation, err error) {
	keys := touched(operations)
	if len(keys) == 0 {
		return operations, nil, nil
	}
	earlier, now, err := h.earlier(ctx, operations, keys)
	if err != nil {
		return nil, nil, err
	}
	fetched, stuck, err := h.fetch(ctx, earlier, now, patient)
	if err != nil {
		return nil, nil, err
	}
	may := func(op *record.Operation) bool {
		first, found := stuck[op.Key]
		return !found || op.ID < first || !accept.Marked(op)
	}
	for i := range fetched {
		if may(&fetched[i]) {
			ready = append(ready, fetched[i])
		}
	}
	for i := range operations {
		if may(&operations[i]) {
			ready = append(ready, operations[i])
		} else {
			blocked = append(blocked, operations[i])
		}
	}
	slices.SortFunc(ready, func(a, b record.Operation) int { return strings.Compare(a.ID, b.ID) })
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

// isCreate says whether m stands for the create of its record, which is looked
// for because the record does not exist: a POST leaves no mark.
func isCreate(m accept.Mark) bool { return m.Operation == m.Record.ID }

// earlier returns, in ID order, what may come before operations on keys, is not
// among them, and is unknown to the store; and Redis's time. Marks of operations
// that the store knows are left over from a crash and are cleared on the way.
func (h *Handler) earlier(ctx context.Context, operations []record.Operation, keys []record.Key) ([]accept.Mark, time.Time, error) {
	members, now, err := h.underWay.Of(ctx, keys)
	if err != nil {
		return nil, now, err
	}
	inHand := make(map[string]bool, len(operations))
	last := make(map[record.Key]string, len(keys)) // nothing after a record's last operation matters
	for i := range operations {
		inHand[operations[i].ID] = true
		last[operations[i].Key] = operations[i].ID
	}
	var marks []accept.Mark
	for i, key := range keys {
		for _, id := range members[i] {
			if !inHand[id] && id < last[key] {
				marks = append(marks, accept.Mark{Record: key, Operation: id})
			}
		}
	}
	marks, over, err := h.unknown(ctx, marks)
	if err != nil {
		return nil, now, err
	}
	creates, err := h.missingCreates(ctx, keys, inHand)
	if err != nil {
		return nil, now, err
	}
	marks = append(marks, creates...)
	slices.SortFunc(marks, func(a, b accept.Mark) int { return strings.Compare(a.Operation, b.Operation) })
	return marks, now, h.underWay.Clear(ctx, over...)
}

// unknown parts marks into those whose operations the store does not know, and
// those that are over.
func (h *Handler) unknown(ctx context.Context, marks []accept.Mark) (unknown, over []accept.Mark, err error) {
	if len(marks) == 0 {
		return nil, nil, nil
	}
	keys := make([]record.OperationKey, len(marks))
	for i, m := range marks {
		keys[i] = record.OperationKey{Tenant: m.Record.Tenant, ID: m.Operation}
	}
	known, err := h.store.Known(ctx, keys)
	if err != nil {
		return nil, nil, fmt.Errorf("look for earlier operations: %w", err)
	}
	for _, m := range marks {
		if known[m.Operation] {
			over = append(over, m)
		} else {
			unknown = append(unknown, m)
		}
	}
	return unknown, over, nil
}

// missingCreates returns a mark for each record that does not exist but whose ID
// is an operation's: its create may still be in the queue.
func (h *Handler) missingCreates(ctx context.Context, keys []record.Key, inHand map[string]bool) ([]accept.Mark, error) {
	var candidates []record.Key
	for _, key := range keys {
		if _, err := record.ParseID(key.ID); err == nil && !inHand[key.ID] {
			candidates = append(candidates, key)
		}
	}
	if len(candidates) == 0 {
		return nil, nil
	}
	exists, err := h.store.Exists(ctx, candidates)
	if err != nil {
		return nil, fmt.Errorf("look for records: %w", err)
	}
	var marks []accept.Mark
	for _, key := range candidates {
		if !exists[key] {
			marks = append(marks, accept.Mark{Record: key, Operation: key.ID})
		}
	}
	marks, _, err = h.unknown(ctx, marks) // one that failed, or whose record was deleted again, is over
	return marks, err
}
