package accept

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/tasks"
)

// An entry is waiting until its batch leaves (taken) or its writer gives up
// first (abandoned): one of the two, decided by compare-and-swap.
const (
	waiting int32 = iota
	taken
	abandoned
)

// entry is one write on its way into a batch. The batch owns its fields until
// done is closed, its writer after that.
type entry struct {
	Write
	state    atomic.Int32
	done     chan struct{}
	err      error
	replayed bool
	replaces string // what the idempotency key holds of an operation that is spent
	outcome  <-chan tasks.Outcome
}

// name gives the operation its ID; a record made by POST has the same.
func (e *entry) name(id string) {
	e.ID = id
	if e.Action == record.Create {
		e.Key.ID = id
	}
}

// replay takes over what the entry's idempotency key held: the operation of the
// first request, if that was the same request.
func (e *entry) replay(held string) {
	id, hash, _ := strings.Cut(held, ":")
	if hash != e.Hash {
		e.err = fault.New(fault.IdempotencyMismatch, "the Idempotency-Key was used before with another request")
		return
	}
	e.replayed = true
	e.name(id)
}

// batcher is the group commit: the entries that arrive while a batch is being
// flushed make up the next one. There is no timer: alone, an entry is its own
// batch and waits for nothing.
type batcher struct {
	flush func([]*entry)

	mu      sync.Mutex
	pending []*entry
	busy    bool
}

func (b *batcher) add(e *entry) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pending = append(b.pending, e)
	if !b.busy {
		b.busy = true
		go b.lead()
	}
}

// lead flushes batch after batch until none is pending.
func (b *batcher) lead() {
	for {
		batch := b.next()
		if batch == nil {
			return
		}
		b.flush(batch)
	}
}

// next takes a batch off the pending entries: within the limits of a task, but
// at least one, and none whose writer has given up. It is nil when nothing is
// pending, and the lead is then free.
func (b *batcher) next() []*entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	var batch []*entry
	bytes, seen := 0, 0
	for _, e := range b.pending {
		size := len(e.Body)
		if full(len(batch), bytes, size) {
			break
		}
		seen++
		if e.state.CompareAndSwap(waiting, taken) {
			batch, bytes = append(batch, e), bytes+size
		}
	}
	b.pending = b.pending[seen:]
	if len(b.pending) == 0 {
		b.pending = nil // or the array behind it would keep every body it ever held
	}
	b.busy = batch != nil
	return batch
}

// full says whether a batch of count operations, whose bodies have so many bytes,
// has no room for one of size: but for a first one there always is.
func full(count, bytes, size int) bool {
	return count == tasks.MaxOperations || count > 0 && bytes+size > tasks.MaxBytes
}

// marksOf returns the marks that the batch leaves, and the entry of each.
func marksOf(batch []*entry, random uint64) ([]mark, []*entry) {
	var marks []mark
	var marked []*entry
	for i, e := range batch {
		m := mark{suffix: ":" + e.Hash, replaces: e.replaces, operations: 1}
		if Marked(&e.Operation) {
			m.underWay = underWayKey(e.Key)
		}
		if e.IdempotencyKey != "" {
			m.idempotency = idempotencyKey(e.Tenant, e.Principal, e.IdempotencyKey)
		}
		if m.underWay == "" && m.idempotency == "" {
			continue
		}
		m.tail = record.IDTail(random, i)
		marks, marked = append(marks, m), append(marked, e)
	}
	return marks, marked
}

// unmark removes the marks of a batch that certainly did not reach the queue, so
// that nothing waits for these. If that fails too, apply drops them in time. What
// has an idempotency key keeps its mark: a repeat may have taken it over.
func (a *Acceptor) unmark(batch []*entry) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	var marks []Mark
	over := 0
	for _, e := range batch {
		if e.err != nil || e.replayed {
			continue
		}
		over++
		if e.IdempotencyKey == "" && Marked(&e.Operation) {
			marks = append(marks, Mark{e.Key, e.ID})
		}
	}
	if err := a.underWay.Finish(ctx, over, marks...); err != nil {
		a.o.Logger.Warn("under-way entries stay until they are found stale", "entries", len(marks), "error", err)
	}
}
