package apply_test

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/tasks"
)

// The IDs that a schedule may use: it stamps at most poolStamps batches, every
// poolGrid of its time, of at most poolBatch operations.
const (
	poolStamps = 48
	poolBatch  = 4
	poolGrid   = 50 * time.Millisecond
	poolRandom = 7
)

// poolStart is the time in a new synctest bubble.
var poolStart = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// poolID returns the ID of the index-th operation of the stamp-th batch.
func poolID(stamp, index int) string {
	at := poolStart.Add(time.Duration(stamp) * poolGrid)
	return record.NewID(at.UnixMicro(), poolRandom, index)
}

// handlerContexts returns, for each task ID that a schedule may use, the context
// that asynq hands to a handler for it. asynq alone can make one that carries a
// task's ID; so it does, once, for all of them.
var handlerContexts = sync.OnceValues(func() (map[string]context.Context, error) {
	redisServer, err := miniredis.Run()
	if err != nil {
		return nil, fmt.Errorf("start miniredis: %w", err)
	}
	defer redisServer.Close()
	rc := redis.NewClient(&redis.Options{Addr: redisServer.Addr()})
	defer func() { _ = rc.Close() }()
	client := asynq.NewClientFromRedisClient(rc)
	var ids []string
	for stamp := range poolStamps {
		ids = append(ids, record.BatchID(poolID(stamp, 0)))
		for index := range poolBatch {
			ids = append(ids, tasks.SingleID(poolID(stamp, index)))
		}
	}
	for _, id := range ids {
		if _, err := client.Enqueue(tasks.NewApply(id, nil, nil)); err != nil {
			return nil, fmt.Errorf("enqueue %s: %w", id, err)
		}
	}
	var mu sync.Mutex
	contexts := map[string]context.Context{}
	all := make(chan struct{})
	server := asynq.NewServerFromRedisClient(rc, asynq.Config{
		Concurrency: 1, Queues: map[string]int{tasks.QueueWrites: 1}, TaskCheckInterval: time.Millisecond, LogLevel: asynq.FatalLevel,
	})
	err = server.Start(asynq.HandlerFunc(func(ctx context.Context, _ *asynq.Task) error {
		id, _ := asynq.GetTaskID(ctx)
		mu.Lock()
		defer mu.Unlock()
		contexts[id] = context.WithoutCancel(ctx)
		if len(contexts) == len(ids) {
			close(all)
		}
		return nil
	}))
	if err != nil {
		return nil, fmt.Errorf("start asynq: %w", err)
	}
	defer server.Shutdown()
	select {
	case <-all:
		return contexts, nil
	case <-time.After(time.Minute):
		return nil, fmt.Errorf("asynq handed out %d of %d tasks", len(contexts), len(ids))
	}
})
