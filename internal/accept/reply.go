package accept

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/waybill-dev/waybill/tasks"
)

// replies receives the outcomes of operations on a channel of this process's
// own. Publishing is a courtesy that saves time, never the only way: whoever
// waits looks into the store as well.
type replies struct {
	rc      redis.UniversalClient
	channel string
	log     *slog.Logger

	mu       sync.Mutex
	expected map[string]chan tasks.Outcome
}

func newReplies(rc redis.UniversalClient, log *slog.Logger) *replies {
	return &replies{rc: rc, channel: "waybill:reply:" + uuid.NewString(), log: log, expected: map[string]chan tasks.Outcome{}}
}

// expect must be called before the operation is enqueued, or its outcome may
// pass by unseen.
func (r *replies) expect(id string) <-chan tasks.Outcome {
	c := make(chan tasks.Outcome, 1)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.expected[id] = c
	return c
}

func (r *replies) forget(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.expected, id)
}

func (r *replies) deliver(o tasks.Outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.expected[o.ID]; c != nil {
		delete(r.expected, o.ID)
		c <- o // has room for it
	}
}

// run listens until ctx ends. go-redis reconnects and subscribes again by
// itself; what was published meanwhile is found in the store.
func (r *replies) run(ctx context.Context) {
	sub := r.rc.Subscribe(ctx, r.channel)
	defer func() { _ = sub.Close() }()
	messages := sub.Channel(redis.WithChannelSize(1000), redis.WithChannelHealthCheckInterval(5*time.Second))
	for {
		select {
		case <-ctx.Done():
			return
		case m, ok := <-messages:
			if !ok {
				return
			}
			var o tasks.Outcome
			if err := json.Unmarshal([]byte(m.Payload), &o); err != nil {
				r.log.Warn("an outcome on the reply channel is unreadable", "error", err)
				continue
			}
			r.deliver(o)
		}
	}
}
