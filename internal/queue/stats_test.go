package queue

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"

	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/tasks"
)

// batch enqueues a write:apply task of n operations, accepted at a time.
func (b *bundle) batch(c *Client, at time.Time, n int) {
	b.t.Helper()
	operations := make([]record.Operation, n)
	for i := range operations {
		id := record.NewID(at.UnixMicro(), 7, i)
		operations[i] = record.Operation{ID: id, Key: record.Key{Tenant: "default", Collection: "messages", ID: id}, Action: record.Create, Body: []byte(`{}`)}
	}
	task, err := ApplyTask(operations[0].ID, operations, record.Trace{})
	if err != nil {
		b.t.Fatal(err)
	}
	if err := c.Enqueue(b.t.Context(), task); err != nil {
		b.t.Fatal(err)
	}
}

func TestClient_StatsCountsEveryState(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.client()
	empty, err := c.Stats(t.Context(), testQueue)
	if err != nil || empty.Memory != 0 || empty.Latency != 0 || empty.Tasks["pending"] != 0 {
		t.Fatalf("an empty queue: %+v, %v", empty, err)
	}
	for i := range 20 {
		if err := c.Enqueue(t.Context(), newTask(fmt.Sprint("p", i))); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 3 {
		if err := c.Enqueue(t.Context(), newTask(fmt.Sprint("s", i), asynq.ProcessIn(time.Hour))); err != nil {
			t.Fatal(err)
		}
	}
	b.rc.Set(t.Context(), "asynq:{writes}:processed", 70, 0)
	b.rc.Set(t.Context(), "asynq:{writes}:failed", 7, 0)
	b.rc.Set(t.Context(), "asynq:{writes}:paused", 1, 0)
	got, err := c.Stats(t.Context(), testQueue)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int64{"pending": 20, "active": 0, "scheduled": 3, "retry": 0, "archived": 0, "completed": 0}
	if diff := cmp.Diff(want, got.Tasks); diff != "" {
		t.Error(diff)
	}
	if got.Processed != 70 || got.Failed != 7 || !got.Paused || got.Latency <= 0 || got.Latency > time.Minute {
		t.Errorf("%+v", got)
	}
	info, err := asynq.NewInspectorFromRedisClient(b.rc).GetQueueInfo(testQueue)
	if err != nil {
		t.Fatal(err)
	}
	if got.Memory < info.MemoryUsage/2 || got.Memory > info.MemoryUsage*2 {
		t.Errorf("memory %d, asynq says %d", got.Memory, info.MemoryUsage)
	}
}

// asynq's own look at such a queue fails.
func TestClient_StatsOfAQueueWithALostTask(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.client()
	b.batch(c, time.Now(), 5)
	b.rc.RPush(t.Context(), "asynq:{writes}:pending", "lost")
	q, err := c.Stats(t.Context(), testQueue)
	if err != nil || q.Tasks["pending"] != 2 {
		t.Errorf("%+v, %v", q, err)
	}
	if age, err := c.Oldest(t.Context()); err != nil || age > time.Minute { // of those that are there
		t.Errorf("the oldest %v ago, %v", age, err)
	}
}

func TestClient_StatsWithoutRedis(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.client()
	if err := b.redis.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Stats(t.Context(), testQueue); err == nil {
		t.Error("Stats: no error")
	}
	if _, err := c.Oldest(t.Context()); err == nil {
		t.Error("Oldest: no error")
	}
	if _, _, err := c.Memory(t.Context()); err == nil {
		t.Error("Memory: no error")
	}
}

func TestClient_OldestIsFoundInALongQueue(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.client()
	if age, err := c.Oldest(t.Context()); age != 0 || err != nil {
		t.Fatalf("an empty queue: %v, %v", age, err)
	}
	for i := range 50 {
		b.batch(c, time.Now().Add(time.Duration(i-100)*time.Second), 1+i%3)
	}
	age, err := c.Oldest(t.Context())
	if err != nil || age < 100*time.Second || age > 110*time.Second {
		t.Errorf("the oldest %v ago, %v", age, err)
	}
}

func TestClient_Memory(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.rc.ConfigSet(t.Context(), "maxmemory", "300mb")
	used, limit, err := b.client().Memory(t.Context())
	if err != nil || used < 1<<19 || limit != 300<<20 {
		t.Errorf("%d of %d, %v", used, limit, err)
	}
	if tasks.QueueWrites != testQueue {
		t.Error("the tests above look at another queue than Backlog")
	}
}
