package queue

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/tasks"
)

// Oldest returns how long ago the oldest operation that is not finished was
// accepted, by Redis's clock; 0 if there is none. It costs two round trips of O(1)
// commands.
func (c *Client) Oldest(ctx context.Context) (time.Duration, error) {
	pipe := c.rc.Pipeline()
	l := newLook(ctx, pipe, tasks.QueueWrites)
	now := pipe.Time(ctx)
	_, err := pipe.Exec(ctx)
	if err == nil {
		err = l.sample(ctx, c.rc)
	}
	if err != nil {
		return 0, fmt.Errorf("the age of the backlog: %w", err)
	}
	return l.age(now.Val()), nil
}

// unfinished are the states of tasks that are to be worked on.
var unfinished = []string{"pending", "active", "scheduled", "retry"}

// age returns how long before now the oldest sampled task was accepted: its ID
// has the time. Of pending and active tasks the oldest are among the samples.
func (l *look) age(now time.Time) (oldest time.Duration) {
	for _, state := range unfinished {
		for _, id := range l.samples[state] {
			id, _, _ = strings.Cut(id, ".") // see tasks.SingleID
			if at := record.AcceptedAt(id); !at.IsZero() {
				oldest = max(oldest, now.Sub(at))
			}
		}
	}
	return oldest
}

// Memory returns how many bytes Redis uses and may use, of the node that has the
// queue of writes. limit is 0 if there is none, used if Redis does not tell.
func (c *Client) Memory(ctx context.Context) (used, limit int64, err error) {
	var info string
	node, err := Node(ctx, c.rc, tasks.QueueWrites)
	if err == nil {
		info, err = node.Info(ctx, "memory").Result()
	}
	if _, refused := errors.AsType[redis.Error](err); err != nil && !refused {
		return 0, 0, fmt.Errorf("memory of Redis: %w", err)
	}
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch name {
		case "used_memory":
			used, _ = strconv.ParseInt(value, 10, 64)
		case "maxmemory":
			limit, _ = strconv.ParseInt(value, 10, 64)
		}
	}
	return used, limit, nil
}
