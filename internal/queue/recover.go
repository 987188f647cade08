package queue

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// A worker that was killed leaves its tasks leased for up to 30 s (asynq extends
// a lease every 5 s, while the worker lives). asynq's own recoverer looks once a
// minute, for leases that ran out half a minute ago; we look every few seconds,
// for leases that ran out, by Redis's clock, a few seconds ago: a worker whose
// clock is up to 30 s slow loses nothing.
const (
	recoverEvery = 5 * time.Second
	recoverGrace = 5 // seconds
	recoverMost  = 100
)

// recoverScript puts tasks whose lease ran out, or that stand under a lost lease,
// back to the head of their queue and returns how many. As a whole it is atomic,
// so any number of workers and asynq's recoverer may run side by side. A task
// hash without a message is deleted: nothing could ever be done with it, and it
// would block its ID.
//
// KEYS: lease, active, pending. ARGV: grace in s, task key prefix, most to move,
// lost leases.
var recoverScript = redis.NewScript(`
local now = redis.call("TIME")
local since = now[1] .. string.format("%06d", now[2]) .. "000"
local moved = 0
local ids = redis.call("ZRANGEBYSCORE", KEYS[1], "-inf", now[1] - ARGV[1], "LIMIT", 0, ARGV[3])
for i = 4, #ARGV do
  for _, id in ipairs(redis.call("ZRANGEBYSCORE", KEYS[1], ARGV[i], ARGV[i])) do
    ids[#ids + 1] = id
  end
end
for _, id in ipairs(ids) do
  local task = ARGV[2] .. id
  redis.call("ZREM", KEYS[1], id)
  if redis.call("LREM", KEYS[2], 0, id) > 0 then
    if redis.call("HEXISTS", task, "msg") == 1 then
      redis.call("HSET", task, "state", "pending", "pending_since", since)
      redis.call("RPUSH", KEYS[3], id)
      moved = moved + 1
    else
      redis.call("DEL", task)
    end
  end
end
return moved`)

// recoverer brings back the tasks of workers that died, and those that Redis gave
// out into nowhere.
type recoverer struct {
	rc   redis.UniversalClient
	keys keyspace
	log  *slog.Logger
	bell *bell
	lost *lostLeases
	told func(tasks int)
}

// run looks again and again, until ctx ends.
func (r *recoverer) run(ctx context.Context) {
	for tick := time.NewTicker(recoverEvery); ; {
		select {
		case <-ctx.Done():
			tick.Stop()
			return
		case <-tick.C:
			r.look(ctx)
		}
	}
}

func (r *recoverer) look(ctx context.Context) {
	keys := []string{r.keys.lease, r.keys.active, r.keys.pending}
	args := append([]any{recoverGrace, r.keys.task, recoverMost}, r.lost.all()...)
	n, err := recoverScript.Run(ctx, r.rc, keys, args...).Int()
	if err != nil {
		// The next look is soon, and the dequeue says so when Redis is out of order.
		r.log.Debug("could not look for lost tasks", "error", err)
		return
	}
	r.lost.looked()
	if n > 0 {
		r.log.Warn("lost tasks are back in the queue", "tasks", n)
		r.told(n)
		r.bell.ring()
	}
}

// markLease returns the arguments of a dequeue with a lease of its own: asynq's,
// in whole seconds, and a random fraction of one. If the answer is lost, the task
// that it may have carried is known by its lease. asynq extends a lease only for
// a task that it has in hand, and never reads one but to compare it.
func markLease(args []any) (marked []any, lease string) {
	until, ok := args[0].(int64)
	if !ok {
		return args, ""
	}
	lease = fmt.Sprintf("%d.%06d", until, rand.IntN(1e6))
	marked = slices.Clone(args)
	marked[0] = lease
	return marked, lease
}

// lostLeases are those of dequeues whose answer was lost. Such a task would wait
// for its lease to run out, although nobody has it.
type lostLeases struct {
	mu     sync.Mutex
	leases []lostLease // oldest first
}

type lostLease struct {
	lease string
	looks int
}

// A Redis that was frozen may do what it was asked long before only after a look
// or two: a lost lease is looked for a few times. And only so many are kept.
const (
	lostLooks = 3
	lostMost  = 100
)

func (l *lostLeases) add(lease string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if lease != "" {
		l.leases = append(l.leases, lostLease{lease: lease})
	}
	l.leases = l.leases[max(0, len(l.leases)-lostMost):]
}

func (l *lostLeases) all() []any {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]any, len(l.leases))
	for i := range l.leases {
		all[i] = l.leases[i].lease
	}
	return all
}

// looked counts a look that Redis has answered.
func (l *lostLeases) looked() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.leases {
		l.leases[i].looks++
	}
	l.leases = slices.DeleteFunc(l.leases, func(lost lostLease) bool { return lost.looks >= lostLooks })
}
