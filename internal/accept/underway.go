package accept

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/waybill-dev/waybill/internal/record"
)

// UnderWay reads and clears the under-way sets that the stamp script fills: for
// each record, the operations accepted and not known to be stored.
type UnderWay struct{ rc redis.UniversalClient }

// NewUnderWay returns the under-way sets kept in rc.
func NewUnderWay(rc redis.UniversalClient) *UnderWay { return &UnderWay{rc} }

// Of returns the operation IDs under way for each of keys, in no order, and
// Redis's time, the clock that the stamps in them come from.
func (u *UnderWay) Of(ctx context.Context, keys []record.Key) ([][]string, time.Time, error) {
	pipe := u.rc.Pipeline()
	members := make([]*redis.StringSliceCmd, len(keys))
	for i, k := range keys {
		members[i] = pipe.SMembers(ctx, underWayKey(k))
	}
	clock := askClock(ctx, pipe)
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, time.Time{}, fmt.Errorf("read under-way sets: %w", err)
	}
	now, err := readClock(clock)
	if err != nil {
		return nil, now, err
	}
	ids := make([][]string, len(keys))
	for i := range keys {
		ids[i] = members[i].Val()
	}
	return ids, now, nil
}

// Mark is one entry of a record's under-way set.
type Mark struct {
	Record    record.Key
	Operation string
}

// Add puts entries back: for operations that are enqueued again.
func (u *UnderWay) Add(ctx context.Context, marks ...Mark) error {
	return u.pipelined(ctx, len(marks), func(pipe redis.Pipeliner) {
		for _, m := range marks {
			pipe.SAdd(ctx, underWayKey(m.Record), m.Operation)
		}
	})
}

// Clear removes entries; those that are not there are passed over.
func (u *UnderWay) Clear(ctx context.Context, marks ...Mark) error {
	return u.Finish(ctx, 0, marks...)
}

// Finish counts n operations that ended and removes entries.
func (u *UnderWay) Finish(ctx context.Context, n int, marks ...Mark) error {
	return u.pipelined(ctx, n+len(marks), func(pipe redis.Pipeliner) {
		if n > 0 {
			pipe.HIncrBy(ctx, countKey, finishedField, int64(n))
		}
		for _, m := range marks {
			pipe.SRem(ctx, underWayKey(m.Record), m.Operation)
		}
	})
}

// pipelined sends what queue puts into a pipeline, if there is anything.
func (u *UnderWay) pipelined(ctx context.Context, commands int, queue func(redis.Pipeliner)) error {
	if commands == 0 {
		return nil
	}
	pipe := u.rc.Pipeline()
	queue(pipe)
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("change under-way sets: %w", err)
	}
	return nil
}

// Marked says whether op has an entry in an under-way set. A record made by
// POST has its operation's ID, which nobody knows before its 202; so creates
// need none.
func Marked(op *record.Operation) bool { return op.Action != record.Create }
