package maintain_test

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/waybill-dev/waybill/internal/accept"
	"github.com/waybill-dev/waybill/internal/maintain"
	"github.com/waybill-dev/waybill/internal/queue"
	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/store"
	"github.com/waybill-dev/waybill/internal/testenv"
	"github.com/waybill-dev/waybill/tasks"
)

func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }

const day = 24 * time.Hour

// both runs test against both databases, each with a Redis of its own.
func both(t *testing.T, test func(*testing.T, *world)) {
	t.Helper()
	for name, url := range map[string]func(testing.TB) string{
		"postgres": testenv.PostgresURL,
		"sqlite":   func(t testing.TB) string { t.Helper(); return "sqlite:" + filepath.Join(t.TempDir(), "waybill.db") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newWorld(t, url(t)))
		})
	}
}

// world is a store, a queue, and what was seen of the maintenance.
type world struct {
	store    *store.Store
	redis    redis.UniversalClient
	queue    *queue.Client
	underWay *accept.UnderWay
	seen
	log   lockedBuffer
	drawn int
}

// seen is an Observer that counts.
type seen struct {
	sync.Mutex
	purged   map[string]int64
	runs     map[string]int
	stale    int
	archived map[string]int64
}

func (s *seen) Purged(table string, rows int64) {
	s.Lock()
	defer s.Unlock()
	s.purged[table] += rows
}

func (s *seen) Maintained(job string, _ time.Duration) {
	s.Lock()
	defer s.Unlock()
	s.runs[job]++
}

func (s *seen) StaleDropped(n int) {
	s.Lock()
	defer s.Unlock()
	s.stale += n
}

func (s *seen) Archived(queue string, n int64) {
	s.Lock()
	defer s.Unlock()
	s.archived[queue] = n
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newWorld(t *testing.T, databaseURL string) *world {
	t.Helper()
	s, err := store.Open(databaseURL, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.EnsureIndexes(t.Context(), nil, "messages"); err != nil {
		t.Fatal(err)
	}
	rc, err := queue.Connect(testenv.RedisURL(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rc.Close() })
	return &world{
		store: s, redis: rc, queue: queue.NewClient(rc), underWay: accept.NewUnderWay(rc),
		seen: seen{purged: map[string]int64{}, runs: map[string]int{}, archived: map[string]int64{}},
	}
}

// maintainer keeps operations for 25 hours (the least there is), messages for two days.
func (w *world) maintainer(change ...func(*maintain.Options)) *maintain.Maintainer {
	o := maintain.Options{
		Operations: 25 * time.Hour, Deliveries: 30 * day, Audit: 365 * day, Records: map[string]time.Duration{"messages": 2 * day},
		Pause: time.Microsecond, Batch: 10, Ready: func() bool { return true }, Down: func(error) {},
		Logger: slog.New(slog.NewTextHandler(&w.log, nil)), Observer: &w.seen,
	}
	for _, c := range change {
		c(&o)
	}
	return maintain.New(w.store, w.underWay, w.queue, o)
}

// write stores n creates of a collection that were accepted and stored so long ago,
// and returns their IDs.
func (w *world) write(t *testing.T, collection string, n int, ago time.Duration) (ids []string) {
	t.Helper()
	at := time.Now().Add(-ago)
	batch := make([]record.Operation, n)
	for i := range batch {
		w.drawn++
		id := record.NewID(at.UnixMicro()+int64(w.drawn), 7, 0)
		ids = append(ids, id)
		batch[i] = record.Operation{ID: id, Key: record.Key{Tenant: record.DefaultTenant, Collection: collection, ID: id}, Action: record.Create, Body: []byte(`{"content":"x"}`)}
	}
	_, err := w.store.Apply(t.Context(), batch, nil, at, func(current *record.Record, op *record.Operation) (*record.Record, record.Outcome) {
		return record.Apply(current, op, func(_, patch []byte) ([]byte, error) { return patch, nil })
	})
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

// stays says how many of the operations, and of their records, are still there.
func (w *world) stays(t *testing.T, collection string, ids []string) (operations, records int) {
	t.Helper()
	var keys []record.OperationKey
	var names []record.Key
	for _, id := range ids {
		keys = append(keys, record.OperationKey{Tenant: record.DefaultTenant, ID: id})
		names = append(names, record.Key{Tenant: record.DefaultTenant, Collection: collection, ID: id})
	}
	known, err := w.store.Known(t.Context(), keys)
	if err != nil {
		t.Fatal(err)
	}
	exist, err := w.store.Exists(context.WithoutCancel(t.Context()), names)
	if err != nil {
		t.Fatal(err)
	}
	return len(known), len(exist)
}

var discard = slog.New(slog.DiscardHandler)

// archive enqueues a task and has asynq give it up.
func (w *world) archive(t *testing.T, id string) {
	t.Helper()
	task := asynq.NewTask("write:apply", nil, asynq.Queue(tasks.QueueWrites), asynq.TaskID(id))
	if err := w.queue.Enqueue(t.Context(), task); err != nil {
		t.Fatal(err)
	}
	if err := asynq.NewInspectorFromRedisClient(w.redis).ArchiveTask(tasks.QueueWrites, id); err != nil {
		t.Fatal(err)
	}
}
