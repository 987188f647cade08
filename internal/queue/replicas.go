package queue

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/waybill-dev/waybill/tasks"
)

// A write waits so long for its replicas: less than its client does, and less
// than the client of Redis reads for.
const (
	waitMost  = time.Second
	waitLeast = 10 * time.Millisecond // 0 would be for ever
)

// sender is the Redis client that enqueues: it puts outcomes down, and has
// replicas confirm what goes into the queue of writes.
type sender struct {
	redis.UniversalClient
	replicas int // 0: none is asked
}

// EvalSha is how asynq enqueues.
func (s *sender) EvalSha(ctx context.Context, sha string, keys []string, args ...any) *redis.Cmd {
	return s.run(ctx, keys, func(c redis.Cmdable) *redis.Cmd { return c.EvalSha(ctx, sha, keys, args...) })
}

// Eval is how asynq enqueues if Redis does not know the script yet.
func (s *sender) Eval(ctx context.Context, text string, keys []string, args ...any) *redis.Cmd {
	return s.run(ctx, keys, func(c redis.Cmdable) *redis.Cmd { return c.Eval(ctx, text, keys, args...) })
}

func (s *sender) run(ctx context.Context, keys []string, send func(redis.Cmdable) *redis.Cmd) *redis.Cmd {
	o, ok := ctx.Value(outcomeKey{}).(*outcome)
	if !ok {
		return send(s.UniversalClient)
	}
	var cmd *redis.Cmd
	if s.replicas > 0 && strings.HasPrefix(keys[0], keysOf(tasks.QueueWrites).task) {
		cmd = s.confirmed(ctx, send)
	} else {
		cmd = send(s.UniversalClient)
	}
	o.err = cmd.Err()
	o.ok = o.err == nil
	return cmd
}

// confirmed sends and has replicas confirm. Finding the task there already wrote
// nothing, and WAIT is about what its own connection wrote: then it is preceded
// by a write of no meaning.
func (s *sender) confirmed(ctx context.Context, send func(redis.Cmdable) *redis.Cmd) *redis.Cmd {
	node, err := Node(ctx, s.UniversalClient, tasks.QueueWrites)
	if err != nil {
		return redis.NewCmdResult(nil, err)
	}
	cmd, err := s.withWait(ctx, node, send)
	if n, _ := cmd.Int(); cmd.Err() == nil && n != 1 {
		_, err = s.withWait(ctx, node, func(c redis.Cmdable) *redis.Cmd {
			c.Set(ctx, waitKey, "", time.Minute)
			return redis.NewCmd(ctx)
		})
	}
	if cluster, ok := s.UniversalClient.(*redis.ClusterClient); ok && redis.HasErrorPrefix(cmd.Err(), "MOVED") {
		cluster.ReloadState(ctx) // the next one goes to the right node
	}
	if cmd.Err() == nil && err != nil {
		return redis.NewCmdResult(nil, err)
	}
	return cmd
}

// waitKey is where the write of no meaning goes: in the queue's slot.
const waitKey = "waybill:{" + tasks.QueueWrites + "}:wait"

// withWait sends, and WAIT after it, on one connection. The error is about the
// replicas.
func (s *sender) withWait(ctx context.Context, node redis.UniversalClient, send func(redis.Cmdable) *redis.Cmd) (*redis.Cmd, error) {
	pipe := node.Pipeline()
	cmd := send(pipe)
	wait := pipe.Do(ctx, "WAIT", s.replicas, patience(ctx).Milliseconds())
	_, _ = pipe.Exec(ctx) // each command has its own error
	n, err := wait.Int()
	switch {
	case err != nil:
		return cmd, fmt.Errorf("wait for %d replicas: %w", s.replicas, &unconfirmed{err})
	case n < s.replicas:
		return cmd, fmt.Errorf("%d of %d replicas have the write", n, s.replicas)
	}
	return cmd, nil
}

// patience is how long replicas may take: what ctx leaves, with room for the answer.
func patience(ctx context.Context) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return waitMost
	}
	return max(waitLeast, min(waitMost, time.Until(deadline)-100*time.Millisecond))
}

// unconfirmed is the failure of a WAIT: whatever it was, the write before it may
// have been done. It hides what it wraps from Certain.
type unconfirmed struct{ err error }

func (e *unconfirmed) Error() string { return e.err.Error() }
