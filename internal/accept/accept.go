// Package accept turns a checked write into an accepted one: it draws the stamp
// that names the operation, commits it to the queue in a batch with whoever
// arrived meanwhile, and answers when Redis has it. It knows nothing of HTTP,
// and of the store only what repeats and look-ups need; checking bodies is
// collection's room, applying operations is apply's.
package accept

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/otel/trace"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/queue"
	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/telemetry"
	"github.com/waybill-dev/waybill/tasks"
)

// Queue is what accept needs of the queue.
type Queue interface {
	Enqueue(ctx context.Context, task *asynq.Task) error
	Lookup(ctx context.Context, queue string, ids ...string) ([]*queue.Task, error)
}

// Store is what accept needs of the store: to know what became of an operation.
type Store interface {
	Known(ctx context.Context, keys []record.OperationKey) (map[string]bool, error)
	Operation(ctx context.Context, tenant, id string) (*record.Stored, error)
	Record(ctx context.Context, key record.Key) (*record.Record, error)
}

// Observer is told what happens, for metrics. Its methods must not block.
type Observer interface {
	BatchEnqueued(operations int)
	Accepted(op *record.Operation)
}

// Options of an Acceptor; the zero value takes the defaults.
type Options struct {
	Wait           time.Duration // how long a write waits for Redis, from its arrival; 2 s
	IdempotencyTTL time.Duration // how long an Idempotency-Key is remembered; 24 h
	Backlog        *Backlog      // says when there is too much to be done; nil: never
	Logger         *slog.Logger
	Observer       Observer
	Tracer         trace.Tracer // nil: no spans; traces that writes bring travel on all the same
}

// Acceptor accepts writes. It is safe for concurrent use.
type Acceptor struct {
	rc       redis.UniversalClient
	queue    Queue
	store    Store
	underWay *UnderWay
	replies  *replies
	batches  batcher
	o        Options
	released chan struct{} // closed: nobody is kept waiting any more
	release  sync.Once
}

// New returns an Acceptor; Run must be running for Prefer: wait to be answered
// quickly.
func New(rc redis.UniversalClient, q Queue, s Store, o Options) *Acceptor {
	if o.Wait == 0 {
		o.Wait = 2 * time.Second
	}
	if o.IdempotencyTTL == 0 {
		o.IdempotencyTTL = 24 * time.Hour
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Observer == nil {
		o.Observer = unobserved{}
	}
	a := &Acceptor{rc: rc, queue: q, store: s, underWay: NewUnderWay(rc), replies: newReplies(rc, o.Logger), o: o, released: make(chan struct{})}
	a.batches.flush = a.flush
	return a
}

// Run receives the outcomes that waiting requests asked for, until ctx ends.
func (a *Acceptor) Run(ctx context.Context) { a.replies.run(ctx) }

// Release ends every wait for an outcome, now and from now on: the process is to
// stop, and who waits is answered with what there is.
func (a *Acceptor) Release() { a.release.Do(func() { close(a.released) }) }

// Write is one write, checked and ready to be accepted.
type Write struct {
	record.Operation        // without an ID; without Key.ID for a create
	IdempotencyKey   string // "" for none
	Hash             string // of method, path and body; needed with IdempotencyKey
	Wait             bool   // the caller will Await the outcome
}

// Accepted is a write that Redis has.
type Accepted struct {
	record.Operation
	Replayed bool // the same Idempotency-Key was seen before: this is its operation
	outcome  <-chan tasks.Outcome
}

// Submit accepts one write. Its errors are faults: IdempotencyMismatch; and
// QueueUnavailable or Overloaded, after which the write is not confirmed. With
// Wait, the caller must call Await.
func (a *Acceptor) Submit(ctx context.Context, w *Write) (Accepted, error) {
	if a.o.Tracer != nil {
		return a.submitTraced(ctx, w)
	}
	return a.submit(ctx, w)
}

func (a *Acceptor) submit(ctx context.Context, w *Write) (Accepted, error) {
	if err := a.admit(); err != nil {
		return Accepted{}, err
	}
	e := &entry{Write: *w, done: make(chan struct{})}
	for {
		if err := a.join(ctx, e); err != nil {
			return Accepted{}, err
		}
		if !e.replayed {
			a.o.Observer.Accepted(&e.Operation)
			return Accepted{Operation: e.Operation, outcome: e.outcome}, nil
		}
		over, err := a.again(ctx, e.Operation)
		if err != nil || !over {
			return Accepted{Operation: e.Operation, Replayed: true}, err
		}
		e = &entry{Write: *w, done: make(chan struct{}), replaces: e.ID + ":" + w.Hash}
	}
}

// admit refuses writes while there is too much to be done. Repeats too: they are
// not confirmed, and may be repeated.
func (a *Acceptor) admit() error {
	if a.o.Backlog == nil {
		return nil
	}
	return a.o.Backlog.Admit()
}

// join puts e into a batch and waits until that is through.
func (a *Acceptor) join(ctx context.Context, e *entry) error {
	a.batches.add(e)
	timer := time.NewTimer(a.o.Wait)
	defer timer.Stop()
	select {
	case <-e.done:
		return e.err
	case <-timer.C:
		return a.giveUp(e, fault.New(fault.QueueUnavailable, "the queue did not confirm the write in time"))
	case <-ctx.Done():
		return a.giveUp(e, fault.Wrap(fault.QueueUnavailable, ctx.Err(), "the client did not wait for the answer"))
	}
}

// giveUp ends the wait for e. An entry whose batch has not left yet is taken out
// of it; one that has left may still arrive: that is what "not confirmed" means.
func (a *Acceptor) giveUp(e *entry, err error) error {
	if !e.state.CompareAndSwap(waiting, abandoned) {
		go func() { // the batch has it; when it is through, nobody waits for its outcome
			<-e.done
			a.replies.forget(e.ID)
		}()
	}
	return err
}

// flush stamps and enqueues one batch, and lets its writers go. It runs under a
// context of its own: no request's end takes the others' writes with it.
func (a *Acceptor) flush(batch []*entry) {
	ctx, cancel := context.WithTimeout(context.Background(), a.o.Wait)
	defer cancel()
	err := a.commit(ctx, batch)
	for _, e := range batch {
		if e.err == nil && !e.replayed {
			e.err = err
		}
		if e.err != nil || e.replayed {
			a.replies.forget(e.ID)
		}
		close(e.done)
	}
}

// commit gives every entry of the batch its ID and enqueues those that are new,
// in one task. An error concerns all of these.
func (a *Acceptor) commit(ctx context.Context, batch []*entry) error {
	random := rand.Uint64()
	marks, marked := marksOf(batch, random)
	first, held, err := stamp(ctx, a.rc, 1, len(batch), a.o.IdempotencyTTL, marks)
	if err != nil {
		return unavailable(err)
	}
	for i, e := range batch {
		e.name(record.NewID(first, random, i))
	}
	for i, e := range marked {
		if held[i] != "" {
			e.replay(held[i])
		}
	}
	operations := make([]record.Operation, 0, len(batch))
	for _, e := range batch {
		if e.err != nil || e.replayed {
			continue
		}
		if e.Wait {
			e.outcome = a.replies.expect(e.ID)
			e.Reply = a.replies.channel
		}
		operations = append(operations, e.Operation)
	}
	if len(operations) == 0 {
		return nil
	}
	if err := a.enqueue(ctx, record.NewID(first, random, 0), operations); err != nil {
		if queue.Certain(err) || errors.Is(err, errLate) {
			a.unmark(batch)
		}
		return unavailable(err)
	}
	a.o.Observer.BatchEnqueued(len(operations))
	return nil
}

// enqueue puts operations into the queue as the task named id. Finding that task
// there already means that an earlier try arrived.
func (a *Acceptor) enqueue(ctx context.Context, id string, operations []record.Operation) error {
	if err := ctx.Err(); err != nil {
		return errLate // asked before anything was sent: certainly not enqueued
	}
	ctx, span, traced := a.startEnqueue(ctx, operations)
	defer span.End()
	task, err := queue.ApplyTask(id, operations, traced)
	if err != nil {
		return err
	}
	if err := a.queue.Enqueue(ctx, task); err != nil && !errors.Is(err, queue.ErrConflict) {
		telemetry.Fail(span, string(fault.QueueUnavailable))
		return err
	}
	return nil
}

// again sees to it that an operation accepted under an idempotency key before is
// in: it enqueues it once more unless the store knows it, which is harmless if it
// is in the queue already (promise 2). over says that the operation never came
// in and is spent: the repeat needs a new one.
func (a *Acceptor) again(ctx context.Context, op record.Operation) (over bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, a.o.Wait)
	defer cancel()
	if a.known(ctx, []record.Operation{op}) {
		return false, nil
	}
	if Marked(&op) {
		now, err := readClock(askClock(ctx, a.rc))
		if err != nil {
			return false, unavailable(err)
		}
		if age := now.Sub(record.AcceptedAt(op.ID)); age > young {
			return a.old(ctx, &op, age > spent)
		}
		if err := a.underWay.Add(ctx, Mark{op.Key, op.ID}); err != nil {
			return false, unavailable(err)
		}
	}
	if err := a.enqueue(ctx, tasks.SingleID(op.ID), []record.Operation{op}); err != nil {
		return false, unavailable(err)
	}
	return false, nil
}

// old says what becomes of an operation that is too old to be enqueued again and
// still keep its place: it is in, or it is over. Only if both the queue and the
// store answered that they do not have it, it is over.
func (a *Acceptor) old(ctx context.Context, op *record.Operation, spent bool) (over bool, err error) {
	_, err = a.Operation(ctx, op.Tenant, op.ID)
	switch {
	case err == nil:
		return false, nil
	case fault.KindOf(err) != fault.NotFound:
		return false, err
	case !spent:
		return false, &fault.Error{Kind: fault.QueueUnavailable, RetryAfter: young / 5, Detail: "an earlier try at this write may still arrive"}
	}
	return true, nil
}

var errLate = &fault.Error{Kind: fault.QueueUnavailable, Detail: "the queue was too slow to confirm the write"}

// unavailable is the fault of a write that Redis did not confirm.
func unavailable(err error) error {
	if _, ok := errors.AsType[*fault.Error](err); ok {
		return err
	}
	if queue.Full(err) {
		return fault.Wrap(fault.Overloaded, err, "the queue has no room left")
	}
	return fault.Wrap(fault.QueueUnavailable, err, "the queue did not confirm the write")
}

type unobserved struct{}

func (unobserved) BatchEnqueued(int)          {}
func (unobserved) Accepted(*record.Operation) {}
