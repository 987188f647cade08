package accept

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/tasks"
)

// The fields of countKey.
const (
	acceptedField = "accepted"
	finishedField = "finished"
)

const (
	lookEvery = time.Second     // how often the backlog is looked at
	lookBound = 2 * time.Second // how long a look may take
	longAfter = time.Minute     // the longest Retry-After
	calmAfter = 3               // looks in a row at an idle queue before its count is believed wrong
	// Writes that were refused are let in again below this part of the limit, so
	// that the answer does not change with every write.
	reopenAt = 0.95
	// Redis is full before it says so: a write in hand must still find room.
	memoryFull, memoryReopen = 0.95, 0.90
)

// Backlog is how many operations were accepted and have not ended, as Redis counts
// them, and whether that is too many. The count is kept by the scripts that stamp
// and by the workers that commit. A worker that dies between its commit and its
// count leaves it too high by a batch at most; a queue that is empty sets it right.
type Backlog struct {
	rc    redis.UniversalClient
	queue Queues
	limit int64 // operations; 0: none
	log   *slog.Logger

	mu         sync.Mutex
	operations int64
	rate       float64 // operations that end in a second, smoothed
	finished   int64   // at the last look
	looked     time.Time
	calm       int    // looks in a row at which nothing was queued and nothing changed
	reason     string // why writes are refused; "" if they are not
	retryAfter time.Duration
}

// Queues tells how many tasks a queue has, and how full Redis is: bytes used, and
// how many there may be, 0 for any number.
type Queues interface {
	Size(ctx context.Context, queue string) (int64, error)
	Memory(ctx context.Context) (used, limit int64, err error)
}

// NewBacklog returns the backlog counted in rc. limit is how many operations it may
// have before writes are refused, 0 for any number.
func NewBacklog(rc redis.UniversalClient, q Queues, limit int64, log *slog.Logger) *Backlog {
	return &Backlog{rc: rc, queue: q, limit: limit, log: log}
}

// Operations is the backlog as it was last seen, at most a second or two ago.
func (b *Backlog) Operations() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.operations
}

// Admit is fault.Overloaded while there is too much to be done already, with the
// time after which, at the rate at which operations end now, there will not be.
func (b *Backlog) Admit() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.reason == "" {
		return nil
	}
	return &fault.Error{Kind: fault.Overloaded, Detail: b.reason, RetryAfter: b.retryAfter}
}

// Run looks at the backlog every second until ctx ends. What cannot be seen
// changes nothing: writes then fail by themselves.
func (b *Backlog) Run(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		if err := b.look(ctx); err != nil && ctx.Err() == nil {
			b.log.Debug("the backlog cannot be seen", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

func (b *Backlog) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lookBound)
	defer cancel()
	counts, err := b.rc.HMGet(ctx, countKey, acceptedField, finishedField).Result()
	if err != nil {
		return fmt.Errorf("read the count of operations: %w", err)
	}
	used, most, err := b.queue.Memory(ctx)
	if err != nil {
		return err
	}
	accepted, finished := number(counts, 0), number(counts, 1)
	if accepted != finished {
		if err := b.correct(ctx, accepted, finished); err != nil {
			return err
		}
	}
	b.judge(accepted-finished, finished, fullness(used, most), time.Now())
	return nil
}

// number reads a field of a hash; 0 where there is none.
func number(values []any, i int) int64 {
	if i >= len(values) {
		return 0
	}
	text, _ := values[i].(string)
	n, _ := strconv.ParseInt(text, 10, 64)
	return n
}

// setRight makes the finished ones as many as the accepted ones, unless either has
// changed meanwhile.
var setRight = redis.NewScript(`
if redis.call('HGET', KEYS[1], 'accepted') == ARGV[1] and (redis.call('HGET', KEYS[1], 'finished') or '0') == ARGV[2] then
  redis.call('HSET', KEYS[1], 'finished', ARGV[1])
  return 1
end
return 0`)

// correct sets the count right if the queue has been empty and nothing has been
// counted for some looks in a row.
func (b *Backlog) correct(ctx context.Context, accepted, finished int64) error {
	size, err := b.queue.Size(ctx, tasks.QueueWrites)
	if err != nil {
		return err
	}
	b.mu.Lock()
	if size > 0 || finished != b.finished || accepted-finished != b.operations {
		b.calm = 0
	} else {
		b.calm++
	}
	wrong := b.calm >= calmAfter
	b.mu.Unlock()
	if !wrong {
		return nil
	}
	b.log.Info("the count of operations is set right: the queue is empty", "off_by", accepted-finished)
	if err := setRight.Run(ctx, b.rc, []string{countKey}, accepted, finished).Err(); err != nil {
		return fmt.Errorf("set the count of operations right: %w", err)
	}
	return nil
}

// judge decides whether writes are let in.
func (b *Backlog) judge(operations, finished int64, memory float64, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if took := now.Sub(b.looked).Seconds(); !b.looked.IsZero() && took > 0 {
		b.rate += (max(0, float64(finished-b.finished))/took - b.rate) / 4
	}
	b.operations, b.finished, b.looked = operations, finished, now
	before := b.reason
	most, full := float64(b.limit), memoryFull
	if before != "" {
		most, full = most*reopenAt, memoryReopen
	}
	switch {
	case b.limit > 0 && float64(operations) >= most:
		b.reason = fmt.Sprintf("%d operations wait to be stored, and no more than %d may", operations, b.limit)
		b.retryAfter = b.until(float64(operations) - float64(b.limit)*reopenAt)
	case memory >= full:
		b.reason = "the queue's memory is nearly full"
		b.retryAfter = b.until(float64(operations) / 10)
	default:
		b.reason = ""
	}
	if (before == "") != (b.reason == "") {
		b.log.Warn("backpressure", "refusing", b.reason != "", "operations", operations, "limit", b.limit, "memory", math.Round(memory*100)/100, "ending_per_second", math.Round(b.rate))
	}
}

// until is how long it takes until so many operations have ended.
func (b *Backlog) until(operations float64) time.Duration {
	if b.rate < 1 {
		return longAfter / 2 // nothing ends now: nobody knows
	}
	return min(max(time.Duration(operations/b.rate*float64(time.Second)), time.Second), longAfter)
}

// fullness is the part of Redis's memory that is used; 0 if it has no limit.
func fullness(used, most int64) float64 {
	if most == 0 {
		return 0
	}
	return float64(used) / float64(most)
}
