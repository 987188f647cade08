// Package apply is the worker's side of a write: it takes write:apply tasks,
// sees to it that no earlier operation on the same record is passed by, folds
// and stores what is ready in one transaction, and tells whoever waits. It knows
// nothing of HTTP, and never imports httpapi.
package apply

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/hibiken/asynq"
	"go.opentelemetry.io/otel/trace"

	"github.com/waybill-dev/waybill/internal/accept"
	"github.com/waybill-dev/waybill/internal/collection"
	"github.com/waybill-dev/waybill/internal/queue"
	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/store"
	"github.com/waybill-dev/waybill/internal/subscription"
	"github.com/waybill-dev/waybill/tasks"
)

// Queue is what apply needs of the queue.
type Queue interface {
	Enqueue(ctx context.Context, task *asynq.Task) error
	Lookup(ctx context.Context, queue string, ids ...string) ([]*queue.Task, error)
}

// Store is what apply needs of the store.
type Store interface {
	Apply(ctx context.Context, operations []record.Operation, attempts map[string]int, now time.Time, fold store.FoldFunc) ([]record.Outcome, error)
	Known(ctx context.Context, keys []record.OperationKey) (map[string]bool, error)
	Exists(ctx context.Context, keys []record.Key) (map[record.Key]bool, error)
}

// UnderWay is the under-way sets: what was accepted for a record and is not
// known to be stored.
type UnderWay interface {
	Of(ctx context.Context, keys []record.Key) ([][]string, time.Time, error)
	Clear(ctx context.Context, marks ...accept.Mark) error
	// Finish also counts operations that ended, for the first time.
	Finish(ctx context.Context, n int, marks ...accept.Mark) error
}

// Publisher announces an outcome on an operation's reply channel.
type Publisher interface {
	Publish(ctx context.Context, channel string, outcome *tasks.Outcome) error
}

// Observer is told what happens, for metrics. Its methods must not block.
type Observer interface {
	Applied(outcome *record.Outcome, storedAt time.Time)
	OutOfOrder(op *record.Operation)
	HandedBack(operations int, reason string)
	StaleDropped(entries int)
	Retried(err error)
}

// Options of a Handler; the zero value takes the defaults.
type Options struct {
	Patience    time.Duration // how long a task waits for an earlier operation that is nowhere, before it hands back; 250 ms
	Stale       time.Duration // age at which an entry that nobody knows was never enqueued; 1 min
	Transaction time.Duration // bound of one transaction; 20 s
	MaxRecord   int64         // bytes that a patch may let a record grow to; 256 KiB
	Logger      *slog.Logger
	Observer    Observer
	Tracer      trace.Tracer // nil: no spans
	Down        func(error)  // told when the store cannot be reached
	// Wake has somebody look after subscriptions that have new deliveries. What it
	// loses is found by a sweep; nil loses all.
	Wake func(context.Context, ...subscription.Key)
}

// Handler applies write:apply tasks. It implements asynq.Handler and is safe
// for concurrent use.
type Handler struct {
	queue       Queue
	store       Store
	underWay    UnderWay
	publisher   Publisher
	collections *collection.Set
	o           Options
}

// New returns a Handler that checks merged records against collections.
func New(q Queue, s Store, u UnderWay, p Publisher, collections *collection.Set, o Options) *Handler {
	if o.Patience == 0 {
		o.Patience = 250 * time.Millisecond
	}
	if o.Stale == 0 {
		o.Stale = time.Minute
	}
	if o.Transaction == 0 {
		o.Transaction = 20 * time.Second
	}
	if o.MaxRecord == 0 {
		o.MaxRecord = 256 << 10
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Observer == nil {
		o.Observer = unobserved{}
	}
	if o.Wake == nil {
		o.Wake = func(context.Context, ...subscription.Key) {}
	}
	if o.Down == nil {
		o.Down = func(error) {}
	}
	return &Handler{queue: q, store: s, underWay: u, publisher: p, collections: collections, o: o}
}

// ErrNotYet is returned for a task whose operation cannot be applied yet, and
// which has no batch left to be split off: asynq brings it back.
var ErrNotYet = errors.New("not yet")

// ErrForeign is the ErrNotYet of what only a newer worker can apply, which may
// take minutes to come.
var ErrForeign = fmt.Errorf("not known to this worker: %w", ErrNotYet)

// ProcessTask applies one task. An error means that the task is to be run again;
// what was committed by then stays, and is recognised.
func (h *Handler) ProcessTask(ctx context.Context, task *asynq.Task) error {
	err := h.process(h.under(ctx, task), task)
	if err != nil && !errors.Is(err, ErrNotYet) && !errors.Is(err, tasks.ErrUnreadable) {
		h.o.Observer.Retried(err) // the queue logs it
		if store.Unavailable(err) {
			h.o.Down(err)
		}
	}
	return err
}

func (h *Handler) process(ctx context.Context, task *asynq.Task) error {
	operations, err := queue.Operations(task.Payload())
	if err != nil {
		return err // a newer Waybill wrote it: one of its workers will read it
	}
	rest, foreign, strange := h.divide(operations)
	if rest, err = h.applyInOrder(ctx, rest); err != nil {
		return err
	}
	if err := h.handBack(ctx, rest, "an earlier operation is under way", ErrNotYet); err != nil {
		return err
	}
	if err := h.handBack(ctx, foreign, "the collection is not known here", ErrForeign); err != nil || strange == nil {
		return err
	}
	// The task goes back as it is: there may be more in it than this version could
	// write again. What of it is stored by now is recognised.
	h.o.Observer.HandedBack(1, "the action is not known here")
	return fmt.Errorf("operation %s: action %q: %w", strange.ID, strange.Action, ErrForeign)
}

// Pauses between two looks at what is under way, and how long a worker that has
// an earlier operation in hand is left alone with it.
const (
	firstPause = 2 * time.Millisecond
	lastPause  = 25 * time.Millisecond
	courtesy   = 20 * time.Millisecond
)

// applyInOrder applies operations as they become ready, with the earlier ones
// that they need, and returns those that were not within the handler's patience.
func (h *Handler) applyInOrder(ctx context.Context, rest []record.Operation) ([]record.Operation, error) {
	attempt := attempt(ctx)
	start := time.Now()
	last, pause := start, firstPause
	for len(rest) > 0 {
		ready, blocked, err := h.sort(ctx, rest, time.Since(start) < courtesy)
		if err != nil {
			return nil, err
		}
		applied, err := h.apply(ctx, ready, attempt)
		if err != nil {
			return nil, err
		}
		rest = blocked
		if applied > 0 {
			last, pause = time.Now(), firstPause
			continue
		}
		if time.Since(last) > h.o.Patience {
			break
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pause):
		}
		pause = min(pause*2, lastPause)
	}
	return rest, nil
}

// divide parts the operations on collections that this worker knows from those
// that only a newer configuration has, and returns the first one with an action
// that only a newer version has; nil if there is none.
func (h *Handler) divide(operations []record.Operation) (known, foreign []record.Operation, strange *record.Operation) {
	for i := range operations {
		op := &operations[i]
		_, ok := h.collections.Get(op.Collection)
		switch {
		case !op.Action.Known():
			if strange == nil {
				strange = op
			}
		case ok:
			known = append(known, *op)
		default:
			foreign = append(foreign, *op)
		}
	}
	return known, foreign, strange
}

// handBack gives operations back to the queue, each as a task of its own, so that
// the batch can be acked. One that has its own task already comes back by itself.
func (h *Handler) handBack(ctx context.Context, operations []record.Operation, reason string, why error) error {
	if len(operations) == 0 {
		return nil
	}
	h.o.Observer.HandedBack(len(operations), reason)
	if id := taskID(ctx); len(operations) == 1 && id == tasks.SingleID(operations[0].ID) {
		return fmt.Errorf("operation %s: %s: %w", operations[0].ID, reason, why)
	}
	for i := range operations {
		task, err := queue.ApplyTask(tasks.SingleID(operations[i].ID), operations[i:i+1], operations[i].Trace)
		if err != nil {
			return err
		}
		if err := h.queue.Enqueue(ctx, task); err != nil && !errors.Is(err, queue.ErrConflict) {
			return fmt.Errorf("hand back operation %s: %w", operations[i].ID, err)
		}
	}
	return nil
}

func taskID(ctx context.Context) string {
	id, _ := asynq.GetTaskID(ctx)
	return id
}

func attempt(ctx context.Context) int {
	retried, _ := asynq.GetRetryCount(ctx)
	return retried + 1
}

type unobserved struct{}

func (unobserved) Applied(*record.Outcome, time.Time) {}
func (unobserved) OutOfOrder(*record.Operation)       {}
func (unobserved) HandedBack(int, string)             {}
func (unobserved) StaleDropped(int)                   {}
func (unobserved) Retried(error)                      {}
