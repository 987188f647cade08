package load

import (
	"context"
	"sync"
)

// Gate holds back the generator while it is closed. A nil Gate is open for ever,
// the zero value until it is closed.
type Gate struct {
	mu     sync.RWMutex
	opened chan struct{} // nil while open; closed when it opens
}

// Open lets everyone through.
func (g *Gate) Open() {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.opened != nil {
		close(g.opened)
		g.opened = nil
	}
}

// Close holds whoever comes from now on; requests under way are not touched.
func (g *Gate) Close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.opened == nil {
		g.opened = make(chan struct{})
	}
}

func (g *Gate) wait(ctx context.Context) error {
	if g == nil {
		return nil
	}
	g.mu.RLock()
	opened := g.opened
	g.mu.RUnlock()
	if opened == nil {
		return nil
	}
	select {
	case <-opened:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
