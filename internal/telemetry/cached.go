package telemetry

import (
	"context"
	"sync"
	"time"
)

// Bounds of looks that a scrape causes.
const (
	lookTimeout = 2 * time.Second
	patience    = 25 * time.Millisecond // what a scrape waits for a look; then it shows the one before
)

// cached is a look at something outside the process, which a scrape starts and
// does not wait for: it is never slower for it than patience, nor fails.
type cached[T any] struct {
	every time.Duration // how long a look is good for
	look  func(context.Context) T

	mu    sync.Mutex
	value T // zero before the first look
	taken time.Time
	under chan struct{} // closed at the end of the look under way; nil without one
}

// get returns the last look, after a new one if that is quick.
func (c *cached[T]) get() T {
	c.mu.Lock()
	if c.under == nil && (c.taken.IsZero() || time.Since(c.taken) >= c.every) {
		c.under = make(chan struct{})
		go c.refresh(c.under)
	}
	under := c.under
	c.mu.Unlock()
	if under != nil {
		select {
		case <-under:
		case <-time.After(patience):
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.value
}

func (c *cached[T]) refresh(done chan struct{}) {
	ctx, cancel := context.WithTimeout(context.Background(), lookTimeout)
	defer cancel()
	value := c.look(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.value, c.taken, c.under = value, time.Now(), nil
	close(done)
}
