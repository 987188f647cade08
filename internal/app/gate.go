package app

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/waybill-dev/waybill/internal/store"
)

// gate is closed while the database is away: then the worker takes no tasks, so
// that they wait in the queue instead of going round in retries.
type gate struct {
	store *store.Store
	log   *slog.Logger

	mu       sync.Mutex
	open     bool
	draining atomic.Bool
	reason   error
	closed   chan struct{} // has a value after each close
}

func newGate(s *store.Store, log *slog.Logger) *gate {
	return &gate{store: s, log: log, reason: errors.New("the database is not prepared yet"), closed: make(chan struct{}, 1)}
}

// ready says whether the worker may take tasks.
func (g *gate) ready() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.open
}

// close shuts the gate because the database is away, as reason says.
func (g *gate) close(reason error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.open {
		return
	}
	g.open, g.reason = false, reason
	g.log.Warn("the database is away; what is accepted waits until it is back", "error", reason)
	select {
	case g.closed <- struct{}{}:
	default:
	}
}

// unprepared keeps the gate shut, for the reason given.
func (g *gate) unprepared(reason error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.reason = reason
}

func (g *gate) opened() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.open {
		g.log.Info("the database is ready")
	}
	g.open, g.reason = true, nil
}

// drain makes the process not ready for good.
func (g *gate) drain() {
	g.draining.Store(true)
}

// stopping says whether the process is.
func (g *gate) stopping() bool { return g.draining.Load() }

// check says why the process is not ready to serve, by the gate alone.
func (g *gate) check() error {
	if err := g.stoppingError(); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.reason
}

// stoppingError is why a process that stops is sent nothing new.
func (g *gate) stoppingError() error {
	if g.stopping() {
		return errors.New("stopping")
	}
	return nil
}

const probeEvery = 500 * time.Millisecond

// prepareStore migrates the database as soon as it can be reached, opens the
// gate, and probes whenever it was closed.
func (a *App) prepareStore(ctx context.Context) {
	logged := ""
	for {
		err := a.migrate(ctx)
		if err == nil {
			err = a.seed(ctx)
		}
		if err == nil {
			break
		}
		a.gate.unprepared(err)
		if err.Error() != logged && ctx.Err() == nil {
			logged = err.Error()
			a.log.Warn("the database is not ready; trying until it is", "error", err)
		}
		if !pause(ctx, probeEvery) {
			return
		}
	}
	a.gate.opened()
	if a.roles.API {
		a.background(func() { a.auth.Run(ctx) })
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.gate.closed:
		}
		for !a.gate.ready() {
			if a.ping(ctx) == nil {
				a.gate.opened()
			} else if !pause(ctx, probeEvery) {
				return
			}
		}
	}
}

// migrate brings the database to this program's schema and indexes.
func (a *App) migrate(ctx context.Context) error {
	if err := a.store.Migrate(ctx); err != nil {
		return err
	}
	indexes := map[string][]string{}
	var expire []string
	for _, c := range a.collections.All() {
		indexes[c.Name] = c.Indexes
		if c.Retention != 0 {
			expire = append(expire, c.Name)
		}
	}
	return a.store.EnsureIndexes(ctx, indexes, expire...)
}

func (a *App) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	return a.store.Ping(ctx)
}

// pause waits for d; false if ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
