package apply_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/waybill-dev/waybill/internal/accept"
	"github.com/waybill-dev/waybill/internal/collection"
	"github.com/waybill-dev/waybill/internal/queue"
	"github.com/waybill-dev/waybill/internal/record"
)

const (
	patience = 5 * time.Millisecond
	stale    = 4 * poolGrid
)

// schedule is what happens: which batches of writes are accepted, and in which
// order everybody's steps are taken. A move that is not possible when its turn
// comes is passed over.
type schedule struct {
	Batches [][]write
	Moves   []move
}

// GoString keeps rapid from printing it all: what happened says more.
func (s schedule) GoString() string {
	return fmt.Sprintf("%d batches, %d moves", len(s.Batches), len(s.Moves))
}

type write struct {
	On      int // below 2: a client's own ID; else one of the records created so far
	Action  record.Action
	Body    string
	IfMatch int64
	Only    bool // If-None-Match: *
	Notes   bool // in the collection that an old worker does not know
	By      string
	Admin   bool
}

type move struct {
	Do    string
	Which int // of those that it is possible with
}

// How often each move is drawn.
var moves = slices.Concat(
	slices.Repeat([]string{"go"}, 24), slices.Repeat([]string{"deliver"}, 6), slices.Repeat([]string{"accept"}, 4),
	[]string{"stamp", "stamp", "enqueue", "enqueue", "refuse", "abandon", "deliver to old", "expire", "repeat", "repeat", "pass", "pass long"},
	[]string{failsBefore, failsAfter, killedBefore, killedAfter},
)

var bodies = map[record.Action][]string{
	record.Create:  {`{"text":"new"}`, `{"text":"poison"}`},
	record.Replace: {`{"text":"a"}`, `{"text":"b","n":1}`, `{"text":"poison"}`},
	record.Patch:   {`{"n":2}`, `{"n":null,"m":3}`, `{"text":null}`, `{"text":"poison"}`},
	record.Delete:  {""},
}

var schedules = rapid.Custom(func(t *rapid.T) schedule {
	return schedule{
		Batches: rapid.SliceOfN(rapid.SliceOfN(rapid.Custom(drawWrite), 1, poolBatch), 2, 8).Draw(t, "batches"),
		Moves: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) move {
			return move{rapid.SampledFrom(moves).Draw(t, "do"), rapid.IntRange(0, 5).Draw(t, "which")}
		}), 50, 160).Draw(t, "moves"),
	}
})

func drawWrite(t *rapid.T) write {
	w := write{Action: rapid.SampledFrom([]record.Action{record.Replace, record.Patch, record.Create, record.Delete}).Draw(t, "action")}
	w.On = rapid.IntRange(0, 4).Draw(t, "on")
	w.Body = rapid.SampledFrom(bodies[w.Action]).Draw(t, "body")
	w.By = rapid.SampledFrom([]string{"ann", "ann", "bob", ""}).Draw(t, "by")
	w.Admin = rapid.IntRange(0, 5).Draw(t, "admin") == 5
	w.Notes = rapid.IntRange(0, 5).Draw(t, "notes") == 5
	if w.Action != record.Create {
		w.IfMatch = max(0, rapid.Int64Range(-4, 3).Draw(t, "if-match"))
	}
	w.Only = w.Action == record.Replace && w.IfMatch == 0 && rapid.IntRange(0, 4).Draw(t, "only") == 4
	return w
}

// batch is a batch that has its stamp.
type batch struct {
	operations []record.Operation
	at         time.Time // of its stamp
	enqueued   bool
	over       bool // its api has died, or given up, or has enqueued it
}

// play is a schedule while it is played.
type play struct {
	*world
	plan     [][]write
	stamps   int      // drawn
	batches  []*batch // stamped
	created  []record.Key
	accepted map[string]record.Operation // ever enqueued: what the model folds
	repeated map[string]bool             // sent again

	contexts map[string]context.Context
	old, new *collection.Set
}

func (p *play) run(s schedule) {
	for _, m := range s.Moves {
		p.move(m)
		synctest.Wait()
	}
	p.finish()
}

func (p *play) move(m move) {
	switch m.Do {
	case "accept":
		if b := p.stamp(); b != nil {
			p.enqueue(b)
		}
	case "stamp":
		p.stamp()
	case "enqueue":
		if b := pick(p.inHand(), m.Which); b != nil && p.inTime(b) {
			p.enqueue(b)
		}
	case "refuse": // the enqueue failed for certain: accept takes the marks back
		if b := pick(p.inHand(), m.Which); b != nil && !slices.ContainsFunc(b.operations, p.wasRepeated) {
			p.note("api: refused %s", shortAll(b.operations))
			b.over = true
			for _, op := range b.operations {
				delete(p.marks[op.Key], op.ID)
			}
			b.operations = nil
		}
	case "abandon": // the api dies between stamp and enqueue: the marks stay
		if b := pick(p.inHand(), m.Which); b != nil {
			p.note("api: dies with %s", shortAll(b.operations))
			b.over = true
		}
	case "repeat":
		p.repeat(m.Which)
	case "deliver":
		p.deliver(pick(p.pending(), m.Which), p.new)
	case "deliver to old":
		p.deliver(pick(p.pending(), m.Which), p.old)
	case "expire": // a worker is taken for dead: the task goes to another one as well
		if a := pick(p.actorsThat(func(a *actor) bool { return a.task != nil && !a.dead.Load() && a.task.active }), m.Which); a != nil {
			p.note("%s: its lease expires", a.name)
			a.task.active = false
		}
	case "pass":
		p.pass(3 * time.Millisecond)
	case "pass long":
		p.pass(stale + poolGrid)
	case "go":
		if a := pick(p.actorsThat(able), m.Which); a != nil {
			p.goOn(a)
		}
	default:
		if a := pick(p.actorsThat(func(a *actor) bool { return a.waiting.Load() != nil }), m.Which); a != nil {
			p.let(a, m.Do)
		}
	}
}

// stamp gives the next batch of the plan its IDs, and leaves its marks.
func (p *play) stamp() *batch {
	now := int((time.Since(poolStart) + poolGrid - 1) / poolGrid)
	n := max(p.stamps, now)
	if len(p.plan) == 0 || n >= poolStamps {
		return nil
	}
	p.stamps = n + 1
	b := &batch{at: poolStart.Add(time.Duration(n) * poolGrid)}
	for i, w := range p.plan[0] {
		b.operations = append(b.operations, p.operation(poolID(n, i), w))
	}
	for _, op := range b.operations {
		if accept.Marked(&op) {
			p.mark(op.Key, op.ID)
		}
		p.note("api: stamped %s: %s %s %s if %d %v by %q %v", short(op.ID), op.Action, short(op.Key.ID), op.Body, op.IfMatch, op.IfNoneMatch, op.Principal, op.Admin)
	}
	p.plan = p.plan[1:]
	p.batches = append(p.batches, b)
	return b
}

func (p *play) operation(id string, w write) record.Operation {
	op := record.Operation{ID: id, Action: w.Action, Body: []byte(w.Body), IfMatch: w.IfMatch, IfNoneMatch: w.Only, Principal: w.By, Admin: w.Admin, Reply: "somewhere"}
	op.Key = record.Key{Tenant: "t", Collection: "todos", ID: []string{"a", "b"}[w.On%2]}
	if w.Notes {
		op.Collection = "notes"
	}
	switch {
	case w.Action == record.Create:
		op.Key.ID = id
	case w.On >= 2 && len(p.created) > 0:
		op.Key = p.created[w.On%len(p.created)]
	}
	if w.Action == record.Delete {
		op.Body = nil
	}
	return op
}

// enqueue puts a stamped batch into the queue; whoever gets its 202 knows the
// IDs of the records that it creates.
func (p *play) enqueue(b *batch) {
	t, err := queue.ApplyTask(record.BatchID(b.operations[0].ID), b.operations, record.Trace{})
	if err == nil {
		err = p.put(record.BatchID(b.operations[0].ID), t.Payload())
	}
	if err != nil {
		p.violated("enqueue %s: %v", shortAll(b.operations), err)
	}
	p.note("api: enqueued %s", shortAll(b.operations))
	b.over, b.enqueued = true, true
	for _, op := range b.operations {
		p.accepted[op.ID] = op
		if op.Action == record.Create {
			p.created = append(p.created, op.Key)
		}
	}
}

// repeat sends an operation again. One that was never enqueued is sent again
// only while its mark is sure to be there.
func (p *play) repeat(which int) {
	var all []record.Operation
	for _, b := range p.batches {
		all = append(all, b.operations...)
	}
	if len(all) == 0 {
		return
	}
	op := all[len(all)-1-which*3%len(all)]
	b := p.batches[slices.IndexFunc(p.batches, func(b *batch) bool {
		return slices.ContainsFunc(b.operations, func(o record.Operation) bool { return o.ID == op.ID })
	})]
	until := b.at.Add(stale / 2)
	if b.enqueued {
		until = poolStart.Add(time.Hour)
	}
	p.repeated[op.ID] = true
	p.again(op, until, func() { p.accepted[op.ID] = op })
}

func (p *play) wasRepeated(op record.Operation) bool { return p.repeated[op.ID] }

func (p *play) deliver(t *task, collections *collection.Set) {
	if t != nil {
		p.note("deliver %s", short(t.id))
		p.handle(t, collections, p.contexts)
	}
}

// goOn lets an actor take its next step, or ends it.
func (p *play) goOn(a *actor) {
	if !a.done.Load() {
		p.let(a, happens)
		return
	}
	p.note("%s: ends with %v", a.name, a.err)
	if a.task != nil {
		p.acked(a)
	}
	p.actors = slices.DeleteFunc(p.actors, func(b *actor) bool { return a == b })
}

func (p *play) pass(d time.Duration) {
	p.note("%v pass", d)
	<-time.After(d)
}

// finish ends all trouble, and plays on until nothing is left to do.
func (p *play) finish() {
	p.note("no more trouble")
	for _, b := range p.inHand() {
		b.over = true
	}
	for i := range 10_000 {
		synctest.Wait()
		if able := p.actorsThat(able); len(able) > 0 {
			p.goOn(able[i%len(able)])
			continue
		}
		pending := p.pending()
		if len(pending) == 0 && len(p.actors) == 0 {
			return
		}
		p.pass(poolGrid) // what is to be tried again comes later
		for _, t := range pending {
			p.deliver(t, p.new)
		}
	}
	p.violated("it does not end: %d tasks left", len(p.tasks))
	for _, a := range p.actors { // a bubble ends when all in it have
		a.dead.Store(true)
		_ = p.alone(a)
	}
}

// alone lets a take all its steps, and returns its error.
func (p *play) alone(a *actor) error {
	for synctest.Wait(); !a.done.Load(); synctest.Wait() {
		if a.waiting.Load() == nil {
			p.pass(patience)
		} else {
			p.let(a, happens)
		}
	}
	return a.err
}

// inHand is the batches that are stamped and neither enqueued nor given up.
func (p *play) inHand() (found []*batch) {
	for _, b := range p.batches {
		if !b.over {
			found = append(found, b)
		}
	}
	return found
}

// inTime says that b's api has not given up yet: long before its marks are stale.
func (p *play) inTime(b *batch) bool { return time.Now().Before(b.at.Add(stale / 2)) }

func (p *play) pending() (found []*task) {
	for _, t := range p.tasks {
		if !t.active {
			found = append(found, t)
		}
	}
	slices.SortFunc(found, func(a, b *task) int {
		return cmp.Or(cmp.Compare(len(a.id), len(b.id)), strings.Compare(a.id, b.id))
	})
	return found
}

func (p *play) actorsThat(are func(*actor) bool) (found []*actor) {
	for _, a := range p.actors {
		if are(a) {
			found = append(found, a)
		}
	}
	return found
}

// able says that an actor neither sleeps nor runs.
func able(a *actor) bool { return a.waiting.Load() != nil || a.done.Load() }

func pick[T any](from []*T, which int) *T {
	if len(from) == 0 {
		return nil
	}
	return from[which%len(from)]
}
