package queue

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	lookAgain  = time.Second            // how long an empty answer is held if no wake-up comes
	readyAgain = 250 * time.Millisecond // how often Ready is asked while it says no

	// Pauses after a failure double from the first to the last.
	dequeuePause, dequeuePauseMax = 100 * time.Millisecond, time.Second
	ackPause, ackPauseMax         = 20 * time.Millisecond, time.Second
)

// broker is the Redis client that one asynq server works through.
type broker struct {
	redis.UniversalClient
	keys  keyspace
	log   *slog.Logger
	ready func() bool // nil: always
	bell  *bell
	lost  *lostLeases

	stopping context.Context // ends with Stop: no more tasks are taken
	stopped  context.Context // ends when Stop waits no longer: acknowledgements are given up

	giving, taking outage        // of dequeues, and of acknowledgements
	pause          time.Duration // after the last failed dequeue; asynq's one dequeuing goroutine alone uses it
}

// EvalSha is how asynq runs its scripts.
func (b *broker) EvalSha(ctx context.Context, sha string, keys []string, args ...any) *redis.Cmd {
	return b.run(ctx, keys, args, func(args []any) *redis.Cmd { return b.UniversalClient.EvalSha(ctx, sha, keys, args...) })
}

// Eval is how asynq runs a script that Redis does not know yet.
func (b *broker) Eval(ctx context.Context, text string, keys []string, args ...any) *redis.Cmd {
	return b.run(ctx, keys, args, func(args []any) *redis.Cmd { return b.UniversalClient.Eval(ctx, text, keys, args...) })
}

func (b *broker) run(ctx context.Context, keys []string, args []any, send func(args []any) *redis.Cmd) *redis.Cmd {
	switch b.keys.script(keys) {
	case scriptDequeue:
		return b.dequeue(func() *redis.Cmd { return b.ask(args, send) })
	case scriptForward:
		cmd := send(args)
		if moved, err := cmd.Int(); err == nil && moved > 0 {
			b.bell.ring() // the forwarder publishes nothing
		}
		return cmd
	case scriptAck:
		return b.ack(ctx, func() *redis.Cmd { return send(args) })
	default:
		return send(args)
	}
}

// dequeue asks for a task. An empty answer is held until there is a reason to
// ask once more, or it has grown old: then asynq asks again at once, by itself,
// with a new lease.
func (b *broker) dequeue(ask func() *redis.Cmd) *redis.Cmd {
	if b.stopping.Err() != nil {
		return nothing()
	}
	if b.ready != nil && !b.ready() {
		b.sleep(readyAgain)
		return nothing()
	}
	woken := b.bell.next()
	cmd := ask()
	if !errors.Is(cmd.Err(), redis.Nil) {
		return cmd
	}
	old := time.NewTimer(lookAgain)
	defer old.Stop()
	select {
	case <-b.stopping.Done():
		return cmd
	case <-old.C:
		return cmd
	case <-woken:
		return ask()
	}
}

// ask sends a dequeue once. It holds up an answer that is a failure (asynq asks
// again without a pause), and leaves a task whose answer was lost on its way to
// the recoverer.
func (b *broker) ask(args []any, send func(args []any) *redis.Cmd) *redis.Cmd {
	args, lease := markLease(args)
	cmd := send(args)
	switch err := cmd.Err(); {
	case noScript(err):
	case err == nil || errors.Is(err, redis.Nil):
		b.giving.over(b.log, "redis gives out tasks again")
		b.pause = 0
	default:
		if !Certain(err) {
			b.lost.add(lease)
		}
		b.giving.on(b.log, "redis does not give out tasks, trying on", err)
		b.pause = min(max(2*b.pause, dequeuePause), dequeuePauseMax)
		b.sleep(b.pause)
	}
	return cmd
}

// ack acknowledges a task, in whatever way, trying until the lease's context
// ends: asynq's own second try reuses a context that is over, and the task would
// run again. A caller without a deadline (asynq's recoverer) comes again anyway.
func (b *broker) ack(ctx context.Context, ask func() *redis.Cmd) *redis.Cmd {
	_, leased := ctx.Deadline()
	for pause := ackPause; ; pause = min(2*pause, ackPauseMax) {
		cmd := ask()
		err := cmd.Err()
		if leased && gone(err) {
			// Our own earlier try got through, or the lease was lost and somebody
			// else has the task: either way there is nothing left to do here.
			b.log.Info("an acknowledgement found its task gone")
			return redis.NewCmdResult("OK", nil)
		}
		if err == nil {
			b.taking.over(b.log, "redis takes acknowledgements again")
		}
		if err == nil || noScript(err) || !leased || !passing(err) {
			return cmd
		}
		b.taking.on(b.log, "redis does not take acknowledgements, trying on", err)
		select {
		case <-ctx.Done():
			return cmd
		case <-b.stopped.Done():
			return cmd
		case <-time.After(pause):
		}
	}
}

// sleep lasts d, or until Stop.
func (b *broker) sleep(d time.Duration) {
	select {
	case <-b.stopping.Done():
	case <-time.After(d):
	}
}

// nothing is the answer to a dequeue that Redis is not asked for.
func nothing() *redis.Cmd { return redis.NewCmdResult(nil, redis.Nil) }

// outage is logged when it begins and when it is over.
type outage struct{ lasts atomic.Bool }

func (o *outage) on(log *slog.Logger, message string, err error) {
	if !o.lasts.Swap(true) {
		log.Error(message, "error", err) //nolint:sloglint // the callers pass constants
	}
}

func (o *outage) over(log *slog.Logger, message string) {
	if o.lasts.Load() && o.lasts.Swap(false) {
		log.Info(message) //nolint:sloglint // the callers pass constants
	}
}
