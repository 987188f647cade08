package notify

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/waybill-dev/waybill/internal/store"
)

// atOnce is how many attempts are recorded in one transaction.
const atOnce = 256

const recordPause, recordPauseMax = 50 * time.Millisecond, 2 * time.Second

// recorder stores attempts by group commit: those that end while a transaction is
// under way make the next one. One commit an attempt would cap a worker at the
// rate of the disk.
type recorder struct {
	store Store
	log   *slog.Logger
	down  func(error)

	mu      sync.Mutex
	waiting []*entry
	busy    bool
}

// entry is one attempt, and what it says of its subscription.
type entry struct {
	tried   store.Tried
	failing *store.Failing // nil: nothing new
	done    chan struct{}
}

// record returns when the attempt is stored, however long the database is away,
// or ctx has ended: then the delivery is as if it had not been tried.
func (r *recorder) record(ctx context.Context, e *entry) {
	e.done = make(chan struct{})
	r.mu.Lock()
	r.waiting = append(r.waiting, e)
	lead := !r.busy
	r.busy = true
	r.mu.Unlock()
	if lead {
		go r.lead(ctx)
	}
	select {
	case <-e.done:
	case <-ctx.Done():
	}
}

// lead stores batches until nothing waits.
func (r *recorder) lead(ctx context.Context) {
	for {
		r.mu.Lock()
		batch := r.waiting[:min(len(r.waiting), atOnce)]
		r.waiting = r.waiting[len(batch):]
		r.busy = len(batch) > 0
		r.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		r.storeAll(ctx, batch)
		for _, e := range batch {
			close(e.done)
		}
	}
}

// storeAll stores a batch as one. What the database refuses it refuses alone.
func (r *recorder) storeAll(ctx context.Context, batch []*entry) {
	tried := make([]store.Tried, len(batch))
	var failing []store.Failing
	for i, e := range batch {
		tried[i] = e.tried
		if e.failing != nil {
			failing = append(failing, *e.failing)
		}
	}
	for pause := recordPause; ; pause = min(2*pause, recordPauseMax) {
		err := r.store.RecordAttempts(ctx, tried, failing)
		if err == nil || ctx.Err() != nil {
			return
		}
		if _, detail, refused := store.Refused(err); refused {
			if len(batch) == 1 {
				r.log.Error("an attempt cannot be recorded, the delivery will be tried again", "delivery", tried[0].Delivery.ID,
					"tenant", tried[0].Delivery.Tenant, "error", detail)
				return
			}
			for i := range batch {
				r.storeAll(ctx, batch[i:i+1])
			}
			return
		}
		r.down(err)
		if pause == recordPause {
			r.log.Warn("attempts cannot be recorded yet; trying on", "attempts", len(batch), "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}
