package apply

import (
	"context"
	"fmt"
	"time"

	"github.com/hibiken/asynq"

	"github.com/waybill-dev/waybill/internal/accept"
	"github.com/waybill-dev/waybill/internal/queue"
	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/tasks"
)

// maxFetched is how many earlier operations one look fetches: each may bring its
// whole batch along, of a quarter of a megabyte.
const maxFetched = 32

// fetch takes the operations that marks (in ID order) stand for out of their
// tasks, without taking the tasks: whoever gets those finds the operations
// stored. It returns what it got, and for each record the first operation that
// can be neither had nor passed over: everything after it must wait.
func (h *Handler) fetch(ctx context.Context, marks []accept.Mark, now time.Time, patient bool) ([]record.Operation, map[record.Key]string, error) {
	stuck := map[record.Key]string{}
	if len(marks) > maxFetched {
		for _, m := range marks[maxFetched:] {
			stick(stuck, m)
		}
		marks = marks[:maxFetched]
	}
	if len(marks) == 0 {
		return nil, stuck, nil
	}
	queued, err := h.queued(ctx, marks)
	if err != nil {
		return nil, nil, err
	}
	var fetched []record.Operation
	var missing []accept.Mark
	for _, m := range marks {
		switch found, ok := queued[m.Operation]; {
		case !ok || found.Key != m.Record && found.readable(): // an ID of that form may be another record's create
			missing = append(missing, m)
		case found.inHand && patient, !found.readable():
			stick(stuck, m)
		default:
			fetched = append(fetched, found.Operation)
		}
	}
	return fetched, stuck, h.passOver(ctx, missing, now, stuck)
}

// stick notes that m stands in the way, unless an earlier one does already.
func stick(stuck map[record.Key]string, m accept.Mark) {
	if first, found := stuck[m.Record]; !found || m.Operation < first {
		stuck[m.Record] = m.Operation
	}
}

// inQueue is an operation as it was found in a task.
type inQueue struct {
	record.Operation
	inHand bool // a worker is at it, or has died over it
}

// readable is false for what only a newer worker can apply: one whose task this
// one cannot read has no action at all.
func (q *inQueue) readable() bool { return q.Action.Known() }

// queued looks the operations of marks up in the queue: all batches first, then
// the tasks of their own, since operations move only that way.
func (h *Handler) queued(ctx context.Context, marks []accept.Mark) (map[string]inQueue, error) {
	var batches, singles []string
	seen := map[string]bool{}
	for _, m := range marks {
		if batch := record.BatchID(m.Operation); !seen[batch] {
			seen[batch] = true
			batches = append(batches, batch)
		}
		singles = append(singles, tasks.SingleID(m.Operation))
	}
	found, err := h.queue.Lookup(ctx, tasks.QueueWrites, append(batches, singles...)...)
	if err != nil {
		return nil, fmt.Errorf("look for earlier operations in the queue: %w", err)
	}
	operations := map[string]inQueue{}
	for _, task := range found {
		if task == nil {
			continue
		}
		content, err := queue.Operations(task.Payload)
		if err != nil { // a newer Waybill wrote it: one of its workers will read it
			content = suspected(task.ID, marks)
		}
		for _, op := range content {
			if _, twice := operations[op.ID]; !twice {
				operations[op.ID] = inQueue{op, task.State == asynq.TaskStateActive}
			}
		}
	}
	return operations, nil
}

// suspected stands for what is in the unreadable task id: all of marks that may
// have travelled in it.
func suspected(id string, marks []accept.Mark) []record.Operation {
	var operations []record.Operation
	for _, m := range marks {
		if id == record.BatchID(m.Operation) || id == tasks.SingleID(m.Operation) {
			operations = append(operations, record.Operation{ID: m.Operation})
		}
	}
	return operations
}

// passOver clears the marks that the queue did not have and, asked after it, the
// store knows, or that are so old that they were never enqueued: their api died,
// or lost Redis, between stamp and enqueue. The others are stuck.
func (h *Handler) passOver(ctx context.Context, missing []accept.Mark, now time.Time, stuck map[record.Key]string) error {
	unknown, over, err := h.unknown(ctx, missing)
	if err != nil {
		return err
	}
	for _, m := range unknown {
		switch {
		case isCreate(m): // there is none, so the record does not exist
		case now.Sub(record.AcceptedAt(m.Operation)) > h.o.Stale:
			h.o.Observer.StaleDropped(1)
			h.o.Logger.Warn("dropped an operation that was stamped and never enqueued",
				"operation", m.Operation, "tenant", m.Record.Tenant, "collection", m.Record.Collection)
			over = append(over, m)
		default:
			stick(stuck, m)
		}
	}
	return h.underWay.Clear(ctx, over...)
}
