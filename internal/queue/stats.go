package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/waybill-dev/waybill/internal/telemetry"
)

// sampled is how many tasks at an end of a state's list are looked at closer.
const sampled = 4

// look is one round of questions about a queue. Each is O(1), or O(sampled).
type look struct {
	keys    keyspace
	counts  map[string]*redis.IntCmd // tasks by asynq's state
	lists   map[string]string        // a state's key, if it is a list; else it is a sorted set
	sets    map[string]string
	samples map[string][]string // IDs of tasks by state; of pending, those next to be taken come last
}

func newLook(ctx context.Context, pipe redis.Pipeliner, queue string) *look {
	k := keysOf(queue)
	l := &look{
		keys: k, counts: map[string]*redis.IntCmd{},
		lists: map[string]string{"pending": k.pending, "active": k.active},
		sets:  map[string]string{"scheduled": k.scheduled, "retry": k.retry, "archived": k.archived, "completed": k.completed},
	}
	for state, key := range l.lists {
		l.counts[state] = pipe.LLen(ctx, key)
	}
	for state, key := range l.sets {
		l.counts[state] = pipe.ZCard(ctx, key)
	}
	return l
}

// sample draws tasks of every state that has any.
func (l *look) sample(ctx context.Context, rc redis.UniversalClient) error {
	pipe := rc.Pipeline()
	drawn := map[string][]*redis.StringSliceCmd{}
	for state, count := range l.counts {
		list, isList := l.lists[state]
		switch n := count.Val(); {
		case n == 0:
		case !isList:
			drawn[state] = append(drawn[state], pipe.ZRange(ctx, l.sets[state], 0, sampled-1))
		case n <= 2*sampled:
			drawn[state] = append(drawn[state], pipe.LRange(ctx, list, 0, 2*sampled-1))
		default:
			drawn[state] = append(drawn[state], pipe.LRange(ctx, list, 0, sampled-1), pipe.LRange(ctx, list, -sampled, -1))
		}
	}
	l.samples = map[string][]string{}
	if len(drawn) == 0 {
		return nil
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return err
	}
	for state, answers := range drawn {
		for _, a := range answers {
			l.samples[state] = append(l.samples[state], a.Val()...)
		}
	}
	return nil
}

// Stats looks at a queue, for metrics, in three round trips of O(1) commands
// each. Its memory is an estimate: tasks × the mean of a few. A task whose hash
// is missing, on which asynq's Inspector fails, counts as one.
func (c *Client) Stats(ctx context.Context, queue string) (telemetry.Queue, error) {
	q, err := c.stats(ctx, queue)
	if err != nil {
		return telemetry.Queue{}, fmt.Errorf("look at queue %s: %w", queue, err)
	}
	return q, nil
}

func (c *Client) stats(ctx context.Context, queue string) (q telemetry.Queue, err error) {
	pipe := c.rc.Pipeline()
	l := newLook(ctx, pipe, queue)
	processed, failed, paused := pipe.Get(ctx, l.keys.processed), pipe.Get(ctx, l.keys.failed), pipe.Exists(ctx, l.keys.paused)
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) { // nothing was processed yet
		return q, err
	}
	if err := l.sample(ctx, c.rc); err != nil {
		return q, err
	}
	q.Tasks = map[string]int64{}
	for state, count := range l.counts {
		q.Tasks[state] = count.Val()
	}
	q.Processed, _ = processed.Int64() // 0 without the key
	q.Failed, _ = failed.Int64()
	q.Paused = paused.Val() > 0
	return q, l.weigh(ctx, c.rc, &q)
}

// weigh looks at the sampled tasks: how large they are, and how long the next one
// has been pending.
func (l *look) weigh(ctx context.Context, rc redis.UniversalClient, q *telemetry.Queue) error {
	if len(l.samples) == 0 {
		return nil
	}
	pipe := rc.Pipeline()
	sizes := map[string][]*redis.IntCmd{}
	for state, ids := range l.samples {
		for _, id := range ids {
			sizes[state] = append(sizes[state], pipe.MemoryUsage(ctx, l.keys.task+id))
		}
	}
	var since *redis.StringCmd
	if pending := l.samples["pending"]; len(pending) > 0 {
		since = pipe.HGet(ctx, l.keys.task+pending[len(pending)-1], "pending_since")
	}
	if _, err := pipe.Exec(ctx); err != nil && !isReply(err) {
		return err
	}
	for state, answers := range sizes {
		var sum int64
		for _, a := range answers {
			sum += a.Val() // 0 for a task that has gone, or if Redis does not tell
		}
		q.Memory += sum * q.Tasks[state] / int64(len(answers))
	}
	if since != nil {
		if ns, err := since.Int64(); err == nil { // else it is taken already
			q.Latency = max(0, time.Since(time.Unix(0, ns)))
		}
	}
	return nil
}

// isReply says that Redis answered, if only by an error or with nothing.
func isReply(err error) bool {
	_, ok := errors.AsType[redis.Error](err)
	return ok
}
