package maintain

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/waybill-dev/waybill/internal/accept"
	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/tasks"
)

// sweepUnderWay drops entries of operations that were stamped and never enqueued,
// and that no later write to their record has found: their api died between.
func sweepUnderWay(ctx context.Context, r *run) error {
	for cursor := uint64(0); ; {
		marks, now, next, err := r.underWay.Scan(ctx, cursor)
		if err != nil {
			return err
		}
		marks = slices.DeleteFunc(marks, func(m accept.Mark) bool {
			_, err := record.ParseID(m.Operation)
			return err != nil || now.Sub(record.AcceptedAt(m.Operation)) <= r.o.Stale
		})
		if len(marks) > 0 {
			if err := r.drop(ctx, marks); err != nil {
				return err
			}
		}
		if cursor = next; cursor == 0 {
			return nil
		}
		if err := r.rest(ctx); err != nil {
			return err
		}
	}
}

// drop clears the marks of operations that the queue does not have. The store is
// asked after the queue: operations move only that way.
func (r *run) drop(ctx context.Context, marks []accept.Mark) error {
	ids := make([]string, 0, 2*len(marks))
	for _, m := range marks {
		ids = append(ids, record.BatchID(m.Operation))
	}
	for _, m := range marks {
		ids = append(ids, tasks.SingleID(m.Operation))
	}
	have, err := r.queue.Have(ctx, tasks.QueueWrites, ids...)
	if err != nil {
		return err
	}
	var gone []accept.Mark
	var keys []record.OperationKey
	for i, m := range marks {
		if !have[i] && !have[len(marks)+i] {
			gone = append(gone, m)
			keys = append(keys, record.OperationKey{Tenant: m.Record.Tenant, ID: m.Operation})
		}
	}
	if len(gone) == 0 {
		return nil
	}
	known, err := r.store.Known(ctx, keys)
	if err != nil {
		return fmt.Errorf("look for operations under way: %w", err)
	}
	for _, m := range gone {
		if !known[m.Operation] { // else its worker died between the commit and the clearing
			r.o.Observer.StaleDropped(1)
			r.o.Logger.Warn("dropped an operation that was stamped and never enqueued",
				"operation", m.Operation, "tenant", m.Record.Tenant, "collection", m.Record.Collection)
		}
	}
	return r.underWay.Clear(ctx, gone...)
}

// countArchives says what asynq has given up: nothing of ours should ever end there,
// and whatever does is left for somebody to look at.
func (m *Maintainer) countArchives(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for _, name := range []string{tasks.QueueWrites, tasks.QueueNotify} {
		n, err := m.queue.Archived(ctx, name)
		if err != nil {
			m.o.Logger.Debug("the archive was not looked at", "queue", name, "error", err)
			continue
		}
		m.o.Observer.Archived(name, n)
		if n > 0 {
			m.o.Logger.Warn("asynq has archived tasks, which nobody will do: look at them in /queues/, and run them again or delete them", "queue", name, "tasks", n)
		}
	}
}
