package queue

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/tasks"
)

// sizes remembers how many operations tasks carry, which never changes.
type sizes struct {
	mu sync.Mutex
	of map[string]int64 // by task ID; those that were sampled last
}

// Backlog returns how many operations were accepted and are not finished, and how
// long ago the oldest of them was accepted, by Redis's clock.
//
// A task carries up to 512 operations and Redis does not count them: a counter of
// its own would drift with every crash between it and the queue. So the count is
// tasks × the mean of those at both ends of the queue. It is exact for a queue of
// up to 8 tasks, and 0 only for an empty one. It costs three round trips of O(1)
// commands, in which tasks not seen before send their payloads, at most 24 of
// them: ask every few seconds.
func (c *Client) Backlog(ctx context.Context) (operations int64, oldest time.Duration, err error) {
	pipe := c.rc.Pipeline()
	l := newLook(ctx, pipe, tasks.QueueWrites)
	now := pipe.Time(ctx)
	if _, err = pipe.Exec(ctx); err == nil {
		if err = l.sample(ctx, c.rc); err == nil {
			err = c.sizes.read(ctx, c.rc, l)
		}
	}
	if err != nil {
		return 0, 0, fmt.Errorf("the backlog: %w", err)
	}
	return c.sizes.estimate(l), l.age(now.Val()), nil
}

// unfinished are the states of tasks that are to be worked on.
var unfinished = []string{"pending", "active", "scheduled", "retry"}

// read learns the sizes of the sampled tasks, and forgets all others.
func (s *sizes) read(ctx context.Context, rc redis.UniversalClient, l *look) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	known, asked := map[string]int64{}, map[string]*redis.StringCmd{}
	pipe := rc.Pipeline()
	for _, state := range unfinished {
		for _, id := range l.samples[state] {
			if n, ok := s.of[id]; ok {
				known[id] = n
			} else {
				asked[id] = pipe.HGet(ctx, l.keys.task+id, "msg")
			}
		}
	}
	if len(asked) > 0 {
		if _, err := pipe.Exec(ctx); err != nil && !isReply(err) {
			return err
		}
	}
	for id, answer := range asked {
		if message, err := answer.Bytes(); err == nil { // else it is finished meanwhile
			known[id] = carried(message)
		}
	}
	s.of = known
	return nil
}

// carried counts the operations in asynq's message. What cannot be read is one.
func carried(message []byte) int64 {
	if t, err := decode(message); err == nil {
		if operations, err := tasks.DecodeApply(t.Payload); err == nil {
			return int64(len(operations))
		}
	}
	return 1
}

// estimate multiplies each state's tasks with the mean of its samples.
func (s *sizes) estimate(l *look) (operations int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, state := range unfinished {
		var sum, of int64
		for _, id := range l.samples[state] {
			if n, ok := s.of[id]; ok {
				sum, of = sum+n, of+1
			}
		}
		tasks := l.counts[state].Val()
		if of == 0 {
			operations += tasks // they went while we looked
		} else {
			operations += (sum*tasks + of/2) / of
		}
	}
	return operations
}

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
	switch rc := c.rc.(type) {
	case *redis.ClusterClient:
		var node *redis.Client
		if node, err = rc.MasterForKey(ctx, keysOf(tasks.QueueWrites).pending); err == nil {
			info, err = node.Info(ctx, "memory").Result()
		}
	default:
		info, err = rc.Info(ctx, "memory").Result()
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
