package apply_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/waybill-dev/waybill/internal/accept"
	"github.com/waybill-dev/waybill/internal/apply"
	"github.com/waybill-dev/waybill/internal/collection"
	"github.com/waybill-dev/waybill/internal/queue"
	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/store"
	"github.com/waybill-dev/waybill/tasks"
)

// world is everything outside of the handlers: Redis's part, the database's, and
// who runs. It lives in one synctest bubble, and one goroutine of it runs at a
// time: whoever calls into the world waits until the schedule lets that call
// happen (see actor.step).
type world struct {
	broken broken

	tasks   map[string]*task               // the queue
	marks   map[record.Key]map[string]bool // the under-way sets
	records map[record.Key]*record.Record  // the store
	ended   map[string]record.Outcome      // the store's operations

	actors     []*actor
	count      int // of actors that ever were
	published  []tasks.Outcome
	violations []string
	trace      []string
}

// broken says what does not work in this world; a sound one has none of it.
type broken struct {
	marks  bool // nothing is ever under way
	dedupe bool // the store applies what it knows again
	lookup bool // the queue finds nothing
}

func newWorld(b broken) *world {
	return &world{
		broken: b, tasks: map[string]*task{}, marks: map[record.Key]map[string]bool{},
		records: map[record.Key]*record.Record{}, ended: map[string]record.Outcome{},
	}
}

type task struct {
	id      string
	payload []byte
	active  bool
}

// actor is a worker's handler at one task, or an api that enqueues an operation
// again. Its every call into the world is a step.
type actor struct {
	*world
	name    string
	task    *task                // nil for an api
	waiting atomic.Pointer[call] // nil: it runs, or sleeps
	dead    atomic.Bool          // its process was killed: nothing that it does has an effect
	done    atomic.Bool
	err     error // of the handler, once done
	applied map[string]bool
}

// call is one call into the world that waits to be let happen.
type call struct {
	what   string
	effect func() error
	reply  chan error
}

var errKilled = errors.New("killed")

// step waits for the schedule to decide what becomes of a call.
func (a *actor) step(what string, effect func() error) error {
	if a.dead.Load() {
		return errKilled
	}
	c := &call{what, effect, make(chan error)}
	a.waiting.Store(c)
	return <-c.reply
}

// The fates of a call.
const (
	happens      = "happens"
	failsBefore  = "fails before"
	failsAfter   = "happens, the answer is lost"
	killedBefore = "its process is killed before"
	killedAfter  = "happens, its process is killed after"
)

// let decides the fate of the call that a waits for.
func (w *world) let(a *actor, fate string) {
	c := a.waiting.Swap(nil)
	w.note("%s: %s: %s", a.name, c.what, fate)
	var err error
	switch fate {
	case happens:
		err = c.effect()
	case failsBefore:
		err = context.DeadlineExceeded
	case failsAfter:
		_ = c.effect()
		err = context.DeadlineExceeded
	case killedBefore:
		err = errKilled
		a.dead.Store(true)
	case killedAfter:
		_ = c.effect()
		err = errKilled
		a.dead.Store(true)
	}
	if a.dead.Load() && a.task != nil && !slices.ContainsFunc(w.actors, func(b *actor) bool { return b != a && b.task == a.task && !b.dead.Load() }) {
		a.task.active = false // its lease runs out: the task is there again
	}
	c.reply <- err
}

func (w *world) note(format string, args ...any) {
	w.trace = append(w.trace, fmt.Sprintf(format, args...))
}

func (w *world) violated(format string, args ...any) {
	if v := fmt.Sprintf(format, args...); !slices.Contains(w.violations, v) {
		w.violations = append(w.violations, v)
	}
}

// Enqueue implements apply.Queue.
func (a *actor) Enqueue(_ context.Context, t *asynq.Task) error {
	operations, err := queue.Operations(t.Payload())
	if err != nil {
		return err
	}
	id := tasks.SingleID(operations[0].ID) // handlers enqueue singles alone
	return a.step("enqueue "+short(id), func() error { return a.put(id, t.Payload()) })
}

func (w *world) put(id string, payload []byte) error {
	if w.tasks[id] != nil {
		return queue.ErrConflict
	}
	w.tasks[id] = &task{id: id, payload: payload}
	return nil
}

// Lookup implements apply.Queue: in one round trip, but one ID after the other.
func (a *actor) Lookup(_ context.Context, _ string, ids ...string) ([]*queue.Task, error) {
	found := make([]*queue.Task, len(ids))
	for i, id := range ids {
		err := a.step("look up "+short(id), func() error {
			if t := a.tasks[id]; t != nil && !a.broken.lookup {
				found[i] = &queue.Task{ID: id, Type: tasks.TypeApply, Payload: t.payload, State: asynq.TaskStatePending}
				if t.active {
					found[i].State = asynq.TaskStateActive
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// Of implements apply.UnderWay.
func (a *actor) Of(_ context.Context, keys []record.Key) ([][]string, time.Time, error) {
	members := make([][]string, len(keys))
	for i, key := range keys {
		err := a.step("under way of "+short(key.ID), func() error {
			if !a.broken.marks {
				members[i] = slices.Sorted(maps.Keys(a.marks[key]))
			}
			return nil
		})
		if err != nil {
			return nil, time.Time{}, err
		}
	}
	return members, time.Now(), nil
}

// Clear implements apply.UnderWay.
func (a *actor) Finish(ctx context.Context, _ int, marks ...accept.Mark) error {
	return a.Clear(ctx, marks...)
}

func (a *actor) Clear(_ context.Context, marks ...accept.Mark) error {
	if len(marks) == 0 {
		return nil
	}
	return a.step(fmt.Sprintf("clear %d marks", len(marks)), func() error {
		for _, m := range marks {
			delete(a.marks[m.Record], m.Operation)
		}
		return nil
	})
}

func (w *world) mark(key record.Key, operation string) {
	if w.marks[key] == nil {
		w.marks[key] = map[string]bool{}
	}
	w.marks[key][operation] = true
}

// Publish implements apply.Publisher.
func (a *actor) Publish(_ context.Context, _ string, o *tasks.Outcome) error {
	return a.step("publish "+short(o.ID), func() error {
		a.published = append(a.published, *o)
		return nil
	})
}

// Known implements apply.Store.
func (a *actor) Known(_ context.Context, keys []record.OperationKey) (map[string]bool, error) {
	known := map[string]bool{}
	err := a.step(fmt.Sprintf("known %d", len(keys)), func() error {
		for _, k := range keys {
			if _, found := a.ended[k.ID]; found {
				known[k.ID] = true
			}
		}
		return nil
	})
	return known, err
}

// Exists implements apply.Store.
func (a *actor) Exists(_ context.Context, keys []record.Key) (map[record.Key]bool, error) {
	exists := map[record.Key]bool{}
	err := a.step(fmt.Sprintf("exists %d", len(keys)), func() error {
		for _, k := range keys {
			exists[k] = a.records[k] != nil
		}
		return nil
	})
	return exists, err
}

// Apply implements apply.Store: one transaction, in one step.
func (a *actor) Apply(_ context.Context, operations []record.Operation, _ map[string]int, _ time.Time, fold store.FoldFunc) ([]record.Outcome, error) {
	var outcomes []record.Outcome
	err := a.step("apply "+shortAll(operations), func() (err error) {
		if outcomes, err = a.transact(operations, fold); err == nil {
			a.onceEach(operations)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return outcomes, nil
}

// onceEach notes what a handler has applied: it has no reason to do so again.
func (a *actor) onceEach(operations []record.Operation) {
	if a.applied == nil {
		a.applied = map[string]bool{}
	}
	for _, op := range operations {
		if a.applied[op.ID] {
			a.violated("%s applies %s again", a.name, short(op.ID))
		}
		a.applied[op.ID] = true
	}
}

func (w *world) transact(operations []record.Operation, fold store.FoldFunc) ([]record.Outcome, error) {
	groups := map[record.Key][]record.Operation{}
	for _, op := range operations {
		if _, known := w.ended[op.ID]; !known || w.broken.dedupe {
			groups[op.Key] = append(groups[op.Key], op)
		}
	}
	var outcomes []record.Outcome
	after := map[record.Key]*record.Record{}
	for key, group := range groups {
		after[key] = w.records[key]
		for i := range group { // the database sees every state that a record goes through
			r, end := fold(after[key], &group[i])
			if r != after[key] && poisoned(r) {
				return nil, errPoison
			}
			after[key], outcomes = r, append(outcomes, end)
		}
	}
	for key, r := range after {
		w.records[key] = r
		if r == nil {
			delete(w.records, key)
		}
	}
	slices.SortFunc(outcomes, func(a, b record.Outcome) int { return strings.Compare(a.Operation.ID, b.Operation.ID) })
	for _, o := range outcomes {
		w.ended[o.Operation.ID] = o
	}
	return outcomes, nil
}

// errPoison is what the database says to a record with poison in it.
var errPoison error = &pgconn.PgError{Code: "23514", Message: "a user's own constraint says no"}

func poisoned(r *record.Record) bool { return r != nil && strings.Contains(string(r.Data), "poison") }

// Observer: only what must not happen is noted.

func (w *world) Applied(*record.Outcome, time.Time) {}
func (w *world) HandedBack(int, string)             {}
func (w *world) StaleDropped(int)                   {}
func (w *world) Retried(error)                      {}

// OutOfOrder implements apply.Observer.
func (w *world) OutOfOrder(op *record.Operation) {
	w.violated("operation %s came late", short(op.ID))
}

func (w *world) actor(kind, what string, t *task) *actor {
	w.count++
	a := &actor{world: w, name: fmt.Sprintf("%s %d %s", kind, w.count, what), task: t}
	w.actors = append(w.actors, a)
	return a
}

// handle starts a handler at t, of a worker that knows collections.
func (w *world) handle(t *task, collections *collection.Set, contexts map[string]context.Context) {
	t.active = true
	a := w.actor("worker", "at "+short(t.id), t)
	h := apply.New(a, a, a, a, collections, apply.Options{Patience: patience, Stale: stale, Observer: w})
	go func() {
		a.err = h.ProcessTask(contexts[t.id], tasks.NewApply(t.id, t.payload, nil))
		a.done.Store(true)
	}()
}

// again starts an api at what accept does with an operation that a client sends
// again under its Idempotency-Key. It gives up where until has passed.
func (w *world) again(op record.Operation, until time.Time, enqueued func()) {
	a := w.actor("api", "again "+short(op.ID), nil)
	go func() {
		defer a.done.Store(true)
		known, err := a.Known(context.Background(), []record.OperationKey{{Tenant: op.Tenant, ID: op.ID}})
		if err == nil && known[op.ID] {
			return
		}
		if accept.Marked(&op) {
			if err := a.step("mark", func() error { w.mark(op.Key, op.ID); return nil }); err != nil {
				return
			}
		}
		_ = a.step("enqueue again", func() error {
			if !time.Now().Before(until) {
				return context.DeadlineExceeded
			}
			t, err := queue.ApplyTask(tasks.SingleID(op.ID), []record.Operation{op}, op.Trace)
			if err != nil {
				return err
			}
			enqueued()
			return w.put(tasks.SingleID(op.ID), t.Payload())
		})
	}()
}

// acked ends a's task, as asynq does: by its ID, whoever has it in hand by now.
func (w *world) acked(a *actor) {
	t := w.tasks[a.task.id]
	switch {
	case a.dead.Load() || t == nil || !t.active: // it was taken from this worker
	case a.err != nil:
		t.active = false
	default:
		w.mayGo(t)
		delete(w.tasks, t.id)
	}
}

// mayGo holds an ack against promise 1: all that the task carried is stored, or
// in the queue elsewhere.
func (w *world) mayGo(t *task) {
	operations, err := queue.Operations(t.payload)
	if err != nil {
		w.violated("unreadable: %v", err)
	}
	for _, op := range operations {
		_, stored := w.ended[op.ID]
		single, batch := w.tasks[tasks.SingleID(op.ID)], w.tasks[record.BatchID(op.ID)]
		if !stored && (single == nil || single == t) && (batch == nil || batch == t) {
			w.violated("operation %s is lost: its task was acked", short(op.ID))
		}
	}
}

// short is an ID of the pool in readable form: stamp.index.
func short(id string) string {
	stamp, err := record.ParseID(strings.TrimSuffix(id, ".1"))
	if err != nil {
		return id
	}
	at := (stamp - poolStart.UnixMicro()) / poolGrid.Microseconds()
	if base, single := strings.CutSuffix(id, ".1"); single {
		return fmt.Sprintf("%d.%s(single)", at, base[len(base)-1:])
	}
	return fmt.Sprintf("%d.%s", at, id[len(id)-1:])
}

func shortAll(operations []record.Operation) string {
	names := make([]string, len(operations))
	for i := range operations {
		names[i] = short(operations[i].ID)
	}
	return strings.Join(names, " ")
}
