package accept

import (
	"context"
	"time"
)

// Pending returns how many writes wait for the batch after the one under way.
func (a *Acceptor) Pending() int {
	a.batches.mu.Lock()
	defer a.batches.mu.Unlock()
	return len(a.batches.pending)
}

// Look is one look of Run.
func (b *Backlog) Look(ctx context.Context) error { return b.look(ctx) }

// Judge is what a look comes to.
func (b *Backlog) Judge(operations, finished int64, memory float64, now time.Time) {
	b.judge(operations, finished, memory, now)
}
