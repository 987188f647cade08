package apply_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/waybill-dev/waybill/internal/accept"
	"github.com/waybill-dev/waybill/internal/apply"
	"github.com/waybill-dev/waybill/internal/collection"
	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/queue"
	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/store"
	"github.com/waybill-dev/waybill/internal/testenv"
	"github.com/waybill-dev/waybill/tasks"
)

// system is apis and workers on one Redis and one database, all real.
type system struct {
	apis  []*accept.Acceptor
	store *store.Store
	late  observer
}

// observer counts what may not happen while Redis loses nothing.
type observer struct {
	mu         sync.Mutex
	outOfOrder []string
}

func (o *observer) Applied(*record.Outcome, time.Time) {}
func (o *observer) HandedBack(int, string)             {}
func (o *observer) StaleDropped(int)                   {}
func (o *observer) Retried(error)                      {}

func (o *observer) OutOfOrder(op *record.Operation) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.outOfOrder = append(o.outOfOrder, op.ID)
}

func startSystem(t *testing.T, databaseURL string, apis, workers int) *system {
	t.Helper()
	s := &system{}
	var err error
	if s.store, err = store.Open(databaseURL, store.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.store.Close() })
	if err := s.store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	redisURL := testenv.RedisURL(t)
	for range apis {
		rc, q := connect(t, redisURL)
		s.apis = append(s.apis, accept.New(rc, q, s.store, accept.Options{Wait: time.Minute}))
	}
	for range workers {
		rc, q := connect(t, redisURL)
		h := apply.New(q, s.store, accept.NewUnderWay(rc), silent{}, collection.Default(), apply.Options{Observer: &s.late})
		server, err := queue.NewServer(rc, queue.ServerOptions{
			Queue: tasks.QueueWrites, Concurrency: 3, Logger: slog.New(slog.DiscardHandler), ShutdownTimeout: 10 * time.Second,
			RetryDelay: func(error, int) time.Duration { return 50 * time.Millisecond },
		}, h)
		if err != nil {
			t.Fatal(err)
		}
		if err := server.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(server.Stop)
	}
	return s
}

type silent struct{}

func (silent) Publish(context.Context, string, *tasks.Outcome) error { return nil }

// writer writes to the shared records, now and then twice under one key, and
// returns what was accepted.
func (s *system) writer(t *testing.T, n, writes int) (accepted []record.Operation) {
	actions := []record.Action{record.Replace, record.Patch, record.Patch, record.Delete}
	r := rand.New(rand.NewPCG(uint64(n), 0))
	for i := range writes {
		w := &accept.Write{Operation: record.Operation{
			Key:    record.Key{Tenant: "default", Collection: "todos", ID: fmt.Sprintf("r%d", r.IntN(5))},
			Action: actions[r.IntN(len(actions))], IfMatch: max(0, r.Int64N(12)-8), Principal: fmt.Sprintf("user:%d", n),
		}}
		if w.Action != record.Delete {
			w.Body = fmt.Appendf(nil, `{"text":"%d.%d"}`, n, i)
		}
		times := 1
		if r.IntN(4) == 0 {
			times, w.IdempotencyKey, w.Hash = 2, fmt.Sprintf("%d.%d", n, i), "same"
		}
		for j := range times {
			again := *w
			a, err := s.apis[(n+i+j)%len(s.apis)].Submit(context.Background(), &again)
			if err != nil {
				t.Errorf("submit: %v", err)
				return accepted
			}
			if a.Replayed != (j > 0) {
				t.Errorf("request %d under one key: replayed %v", j, a.Replayed)
			}
			if j == 0 {
				accepted = append(accepted, a.Operation)
			}
		}
	}
	return accepted
}

// databases are the URLs of an empty database of each kind.
var databases = map[string]func(testing.TB) string{
	"sqlite": func(t testing.TB) string {
		t.Helper()
		return "sqlite:" + filepath.Join(t.TempDir(), "waybill.db")
	},
	"postgres": testenv.PostgresURL,
}

func TestSystem_ConcurrentWritesToFewRecordsAreFoldedInOrder(t *testing.T) {
	t.Parallel()
	const writers, writes = 20, 15
	for name, databaseURL := range databases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startSystem(t, databaseURL(t), 2, 3)
			var mu sync.Mutex
			var all []record.Operation
			var wg sync.WaitGroup
			for n := range writers {
				wg.Go(func() {
					accepted := s.writer(t, n, writes)
					mu.Lock()
					defer mu.Unlock()
					all = append(all, accepted...)
				})
			}
			wg.Wait()
			accepted := time.Now()
			slices.SortFunc(all, func(a, b record.Operation) int { return strings.Compare(a.ID, b.ID) })
			s.stored(t, all)
			t.Logf("%d operations; the last was stored %v after the last 202", len(all), time.Since(accepted).Round(time.Millisecond))
			s.compare(t, all)
		})
	}
}

// stored waits until the store knows all operations.
func (s *system) stored(t *testing.T, operations []record.Operation) {
	t.Helper()
	keys := make([]record.OperationKey, len(operations))
	for i := range operations {
		keys[i] = record.OperationKey{Tenant: operations[i].Tenant, ID: operations[i].ID}
	}
	testenv.Eventually(t, 2*time.Minute, "all is stored", func() error {
		known, err := s.store.Known(context.Background(), keys)
		if err == nil && len(known) < len(keys) {
			err = fmt.Errorf("%d of %d are", len(known), len(keys))
		}
		return err
	})
}

// compare holds what is stored against the fold, in ID order, of operations.
func (s *system) compare(t *testing.T, operations []record.Operation) {
	t.Helper()
	todos, _ := collection.Default().Get("todos")
	records := map[record.Key]*record.Record{}
	wrong := 0
	for _, op := range operations {
		after, outcomes := record.Fold(records[op.Key], []record.Operation{op}, todos.Merge)
		records[op.Key] = after
		want := outcomes[0]
		got, err := s.store.Operation(t.Context(), op.Tenant, op.ID)
		if err != nil {
			t.Fatal(err)
		}
		if got.Status != want.Status || got.Version != want.Version || got.Code != want.Code || got.Detail != want.Detail || got.Owner != want.Owner {
			t.Errorf("%s of %s, %s: %s %d %s, want %s %d %s", op.Action, op.Key.ID, op.ID,
				got.Status, got.Version, got.Detail, want.Status, want.Version, want.Detail)
			if wrong++; wrong > 10 {
				t.FailNow()
			}
		}
	}
	for key, want := range records {
		got, err := s.store.Record(t.Context(), key)
		switch {
		case want == nil && fault.KindOf(err) != fault.NotFound:
			t.Errorf("record %s: %+v, %v; want none", key.ID, got, err)
		case want != nil && (err != nil || got.Version != want.Version || string(got.Data) != string(want.Data) || got.UpdatedBy != want.UpdatedBy || got.Owner != want.Owner):
			t.Errorf("record %s: %+v, %v; want %+v", key.ID, got, err, want)
		}
	}
	s.late.mu.Lock()
	defer s.late.mu.Unlock()
	if len(s.late.outOfOrder) > 0 {
		t.Errorf("came late: %v", s.late.outOfOrder)
	}
}

func connect(t *testing.T, redisURL string) (redis.UniversalClient, *queue.Client) {
	t.Helper()
	rc, err := queue.Connect(redisURL)
	if err != nil {
		t.Fatal(err)
	}
	q := queue.NewClient(rc)
	t.Cleanup(func() {
		if err := errors.Join(q.Close(), rc.Close()); err != nil {
			t.Error(err)
		}
	})
	return rc, q
}
