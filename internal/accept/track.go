package accept

import (
	"context"
	"errors"
	"time"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/queue"
	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/tasks"
)

// Whoever waits without a reply channel polls the store, backing off.
const (
	pollFirst = 50 * time.Millisecond
	pollLast  = time.Second
)

// askStore bounds looks into the store without which it goes on as well.
const askStore = 500 * time.Millisecond

// Ended is an operation that is done or failed, and the record after it (nil
// after a delete or a failure, or if it is gone again).
type Ended struct {
	Operation record.Stored
	Created   bool
	Record    *record.Record
}

// Operation finds an operation by its ID alone, wherever it is. It asks the
// queue first, then the store (an operation moves only that way), and says
// fault.NotFound only if both answered; otherwise the fault of the one that did
// not.
func (a *Acceptor) Operation(ctx context.Context, tenant, id string) (*record.Stored, error) {
	if _, err := record.ParseID(id); err != nil {
		return nil, fault.New(fault.NotFound, "there is no operation %q", id)
	}
	// The batch before the single: what is split off is enqueued before its batch is gone.
	found, queueErr := a.queue.Lookup(ctx, tasks.QueueWrites, record.BatchID(id), tasks.SingleID(id))
	if queueErr == nil {
		for _, task := range found {
			op, err := queued(task, tenant, id)
			if op != nil {
				return a.preferStored(ctx, op), nil
			}
			queueErr = errors.Join(queueErr, err) // a newer version's: it may be in there
		}
	}
	stored, err := a.store.Operation(ctx, tenant, id)
	if err != nil && fault.KindOf(err) == fault.NotFound && queueErr != nil {
		return nil, fault.Wrap(fault.QueueUnavailable, queueErr, "the queue could not be asked for the operation")
	}
	return stored, err
}

// preferStored returns what the store has of op, which the queue has, if it has
// it: a task stays in the queue for a moment after its commit, longer after a
// crash, and a terminal status never changes back. A store that does not answer
// leaves op as it is: tracking works without it.
func (a *Acceptor) preferStored(ctx context.Context, op *record.Stored) *record.Stored {
	ctx, cancel := context.WithTimeout(ctx, askStore)
	defer cancel()
	if stored, err := a.store.Operation(ctx, op.Tenant, op.ID); err == nil {
		return stored
	}
	return op
}

// queued returns the operation as task shows it, nil if it is not in there; an
// error means that this version cannot read task.
func queued(task *queue.Task, tenant, id string) (*record.Stored, error) {
	if task == nil {
		return nil, nil //nolint:nilnil // no task, no operation
	}
	operations, err := queue.Operations(task.Payload)
	if err != nil {
		return nil, err
	}
	for i := range operations {
		if op := &operations[i]; op.ID == id && op.Tenant == tenant {
			s := &record.Stored{
				ID: id, Key: op.Key, Action: op.Action, Status: record.Queued, Principal: op.Principal, Owner: op.Principal,
				Attempts: task.Retried, AcceptedAt: record.AcceptedAt(id),
			}
			if task.Retrying() { // also for what does not count as a failure, such as an outage
				s.Status, s.Attempts = record.Retrying, max(1, task.Retried)
			}
			return s, nil
		}
	}
	return nil, nil //nolint:nilnil // it is not in there
}

// Wait returns the operation as soon as it is done or failed, or as it stands
// after d.
func (a *Acceptor) Wait(ctx context.Context, tenant, id string, d time.Duration) (*record.Stored, error) {
	deadline := time.Now().Add(d)
	for pause := pollFirst; ; pause = min(pause*2, pollLast) {
		op, err := a.Operation(ctx, tenant, id)
		left := time.Until(deadline)
		if err != nil || op.Status == record.Done || op.Status == record.Failed || left <= 0 {
			return op, err
		}
		if !a.pause(ctx, min(pause, left)) {
			return op, nil
		}
	}
}

// Await waits up to d for an accepted write to end; nil if it does not in time.
// It is told by the worker, or sees it in the store. The record is as of the
// write when told, and as it is now when seen.
func (a *Acceptor) Await(ctx context.Context, w *Accepted, d time.Duration) (*Ended, error) {
	defer a.replies.forget(w.ID)
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	for pause := pollFirst; ; pause = min(pause*2, pollLast) { // the channel is faster; the store is there when it is cut
		timer := time.NewTimer(pause)
		select {
		case <-a.released:
			timer.Stop()
			return nil, nil //nolint:nilnil // nor is that we are to stop
		case <-ctx.Done():
			timer.Stop()
			return nil, nil //nolint:nilnil // not in time is no error: the answer is then 202
		case o := <-w.outcome:
			timer.Stop()
			return told(w, &o), nil
		case <-timer.C:
		}
		stored, err := a.store.Operation(ctx, w.Tenant, w.ID)
		if err != nil {
			continue // not there yet, or the store is away: both may change in time
		}
		return a.seen(ctx, stored)
	}
}

// pause waits for d, and says false if ctx ended first, or nobody is to be kept
// waiting any more.
func (a *Acceptor) pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	case <-a.released:
		return false
	}
}

// told makes an Ended of what the worker published.
func told(w *Accepted, o *tasks.Outcome) *Ended {
	e := &Ended{Created: o.Created, Operation: record.Stored{
		ID: w.ID, Key: w.Key, Action: w.Action, Status: record.Status(o.Status), Version: o.Version,
		Code: fault.Kind(o.Code), Detail: o.Detail, Principal: w.Principal, Owner: o.Owner, AcceptedAt: record.AcceptedAt(w.ID),
	}}
	if o.Data != nil {
		e.Record = &record.Record{Key: w.Key, Version: o.Version, Data: o.Data, CreatedBy: o.CreatedBy, UpdatedBy: w.ID, Owner: o.Owner}
	}
	return e
}

// seen makes an Ended of what the store has.
func (a *Acceptor) seen(ctx context.Context, stored *record.Stored) (*Ended, error) {
	e := &Ended{Operation: *stored, Created: stored.Version == 1 && stored.Action != record.Delete}
	if stored.Status == record.Failed || stored.Action == record.Delete {
		return e, nil
	}
	r, err := a.store.Record(ctx, stored.Key)
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return nil, err
	}
	e.Record = r
	return e, nil
}
