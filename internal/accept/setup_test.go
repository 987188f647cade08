package accept_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/waybill-dev/waybill/internal/accept"
	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/queue"
	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/store"
	"github.com/waybill-dev/waybill/internal/testenv"
	"github.com/waybill-dev/waybill/tasks"
)

// soon bounds what must happen, and does in milliseconds where the machine is idle.
const soon = 20 * time.Second

// bundle is an Acceptor on a real Redis and a real, if small, store.
type bundle struct {
	*accept.Acceptor
	rc    redis.UniversalClient
	queue *spy
	store *store.Store
}

func setup(t testing.TB, o accept.Options) *bundle {
	t.Helper()
	return setupOn(t, testenv.RedisURL(t), o)
}

func setupOn(t testing.TB, redisURL string, o accept.Options) *bundle {
	t.Helper()
	rc, err := queue.Connect(redisURL)
	if err != nil {
		t.Fatal(err)
	}
	q := queue.NewClient(rc)
	s, err := store.Open("sqlite:"+filepath.Join(t.TempDir(), "waybill.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(q.Close(), rc.Close(), s.Close()); err != nil {
			t.Error(err)
		}
	})
	b := &bundle{rc: rc, queue: &spy{Client: q}, store: s}
	b.Acceptor = accept.New(rc, b.queue, s, o)
	return b
}

// spy is a real queue that tells what was put into it, and lets a test hold or
// fail what is about to be.
type spy struct {
	*queue.Client

	mu     sync.Mutex
	before func(ctx context.Context) error // nil: nothing
	tasks  map[string][]record.Operation   // taken by Redis
	order  []string                        // their IDs, as they were taken
}

func (s *spy) intercept(before func(ctx context.Context) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = before
}

func (s *spy) Enqueue(ctx context.Context, task *asynq.Task) error {
	s.mu.Lock()
	before := s.before
	s.mu.Unlock()
	if before != nil {
		if err := before(ctx); err != nil {
			return err
		}
	}
	if err := s.Client.Enqueue(ctx, task); err != nil {
		return err
	}
	operations, err := queue.Operations(task.Payload())
	if err != nil {
		return err
	}
	id := record.BatchID(operations[0].ID)
	if found, err := s.Lookup(ctx, tasks.QueueWrites, tasks.SingleID(operations[0].ID)); err == nil && found[0] != nil {
		id = tasks.SingleID(operations[0].ID) // singles are never put before their batch
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tasks == nil {
		s.tasks = map[string][]record.Operation{}
	}
	s.tasks[id] = operations
	s.order = append(s.order, id)
	return nil
}

// sizes returns how many operations each task carries, in the order they were taken.
func (s *spy) sizes() (sizes []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range s.order {
		sizes = append(sizes, len(s.tasks[id]))
	}
	return sizes
}

func (s *spy) taken() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.order...)
}

// hold makes the next enqueues wait until release is called; entered gets a
// value for each that does.
func (s *spy) hold() (entered <-chan struct{}, release func()) {
	in, out := make(chan struct{}, 1000), make(chan struct{})
	s.intercept(func(ctx context.Context) error {
		in <- struct{}{}
		select {
		case <-out:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	return in, sync.OnceFunc(func() { close(out) })
}

func put(id, body string) *accept.Write {
	return &accept.Write{Operation: record.Operation{
		Key: record.Key{Tenant: "default", Collection: "todos", ID: id}, Action: record.Replace, Body: []byte(body),
	}}
}

func post(body string) *accept.Write {
	w := put("", body)
	w.Action = record.Create
	return w
}

// keyed is w under an Idempotency-Key.
func keyed(w *accept.Write, key string) *accept.Write {
	w.IdempotencyKey = key
	w.Hash = accept.Hash(string(w.Action), "/"+w.Collection+"/"+w.Key.ID, "", w.Body)
	return w
}

func (b *bundle) submit(t testing.TB, w *accept.Write) accept.Accepted {
	t.Helper()
	accepted, err := b.Submit(context.Background(), w)
	if err != nil {
		t.Fatalf("submit: %v", err)
	}
	return accepted
}

// marks returns the operations under way for a record of todos.
func (b *bundle) marks(t testing.TB, id string) []string {
	t.Helper()
	ids, _, err := accept.NewUnderWay(b.rc).Of(t.Context(), []record.Key{{Tenant: "default", Collection: "todos", ID: id}})
	if err != nil {
		t.Fatal(err)
	}
	return ids[0]
}

// keep stores operations, as a worker would.
func (b *bundle) keep(t testing.TB, operations ...record.Operation) {
	t.Helper()
	merge := func([]byte, []byte) ([]byte, error) { return nil, errors.New("no patches here") }
	_, err := b.store.Apply(t.Context(), operations, nil, time.Now(), func(r *record.Record, op *record.Operation) (*record.Record, record.Outcome) {
		return record.Apply(r, op, merge)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// inQueue says whether Redis has a task of that ID.
func (b *bundle) inQueue(t testing.TB, id string) bool {
	t.Helper()
	found, err := b.queue.Lookup(t.Context(), tasks.QueueWrites, id)
	if err != nil {
		t.Fatal(err)
	}
	return found[0] != nil
}

// keys returns the Redis keys that match.
func (b *bundle) keys(t testing.TB, pattern string) []string {
	t.Helper()
	found, err := b.rc.Keys(t.Context(), pattern).Result()
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func wantKind(t testing.TB, err error, want fault.Kind) {
	t.Helper()
	if fault.KindOf(err) != want {
		t.Fatalf("error %v (%s), want %s", err, fault.KindOf(err), want)
	}
}

// pending waits until n writes wait for the next batch.
func (b *bundle) pending(t testing.TB, n int) {
	t.Helper()
	testenv.Eventually(t, soon, "writes wait for the next batch", func() error {
		if got := b.Pending(); got != n {
			return fmt.Errorf("%d wait, want %d", got, n)
		}
		return nil
	})
}

func receive[T any](t testing.TB, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(soon):
		t.Fatalf("%s: not within %v", what, soon)
		panic("unreachable")
	}
}

// ownRedis is for tests that change how the whole server works.
func ownRedis(t testing.TB) string {
	t.Helper()
	return testenv.NewRedis(t).URL()
}
