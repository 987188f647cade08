package queue

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/waybill-dev/waybill/internal/testenv"
)

func TestMain(m *testing.M) {
	if os.Getenv(envLostWorker) != "" {
		lostWorker()
	}
	os.Exit(testenv.Main(m))
}

const testQueue = "writes"

// bundle is what most tests here need: a Redis of their own, and a handler that
// counts.
type bundle struct {
	t     testing.TB
	redis *testenv.Redis
	rc    redis.UniversalClient
	log   *logBook
	done  *tally
}

func setup(t testing.TB) *bundle {
	t.Helper()
	b := &bundle{t: t, redis: testenv.NewRedis(t), log: &logBook{}, done: &tally{count: map[string]int{}}}
	b.rc = connect(t, b.redis.URL())
	return b
}

func connect(t testing.TB, url string) redis.UniversalClient {
	t.Helper()
	rc, err := Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rc.Close() })
	return rc
}

func (b *bundle) options() ServerOptions {
	return ServerOptions{
		Queue: testQueue, Concurrency: 4, Logger: slog.New(slog.NewTextHandler(b.log, nil)),
		ShutdownTimeout: 5 * time.Second,
		RetryDelay:      func(error, int) time.Duration { return time.Second },
	}
}

// serve starts a server on rc whose handler counts, after h if that is not nil.
func (b *bundle) serve(rc redis.UniversalClient, o ServerOptions, h asynq.HandlerFunc) *Server {
	b.t.Helper()
	s, err := NewServer(rc, o, asynq.HandlerFunc(func(ctx context.Context, task *asynq.Task) error {
		if h != nil {
			if err := h(ctx, task); err != nil {
				return err
			}
		}
		id, _ := asynq.GetTaskID(ctx)
		b.done.add(id)
		return nil
	}))
	if err != nil {
		b.t.Fatal(err)
	}
	if err := s.Start(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(s.Stop)
	return s
}

func (b *bundle) client() *Client {
	c := NewClient(b.rc)
	b.t.Cleanup(func() { _ = c.Close() })
	return c
}

func newTask(id string, more ...asynq.Option) *asynq.Task {
	options := append([]asynq.Option{asynq.Queue(testQueue), asynq.TaskID(id), asynq.MaxRetry(1 << 20)}, more...)
	return asynq.NewTask("test", []byte("payload of "+id), options...)
}

// enqueue enqueues n tasks and returns their IDs. A failure is repeated until
// Redis has confirmed the task, as a client of the API would.
func (b *bundle) enqueue(c *Client, prefix string, n int) []string {
	b.t.Helper()
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("%s-%d", prefix, i)
		testenv.Eventually(b.t, 30*time.Second, "enqueue", func() error {
			err := c.Enqueue(b.t.Context(), newTask(ids[i]))
			if errors.Is(err, ErrConflict) {
				return nil
			}
			return err
		})
	}
	return ids
}

// idle waits until the server waits for work with its subscription standing.
func (b *bundle) idle() {
	b.t.Helper()
	testenv.Eventually(b.t, 10*time.Second, "subscription", func() error {
		n, err := b.rc.PubSubNumSub(b.t.Context(), wakePrefix+testQueue).Result()
		if err == nil && n[wakePrefix+testQueue] == 0 {
			err = errors.New("nobody subscribed")
		}
		return err
	})
}

// empty waits until nothing is left of any task.
func (b *bundle) empty(within time.Duration) {
	b.t.Helper()
	keys := keysOf(testQueue)
	testenv.Eventually(b.t, within, "queue empty", func() error {
		left, err := b.rc.Keys(b.t.Context(), keys.task+"*").Result()
		if err == nil && len(left) > 0 {
			err = fmt.Errorf("left: %v", left)
		}
		return err
	})
}

// tally counts how often each task was handled.
type tally struct {
	mu    sync.Mutex
	count map[string]int
}

func (c *tally) add(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count[id]++
}

func (c *tally) of(id string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.count[id]
}

// wait waits until each of ids was handled at least once.
func (c *tally) wait(t testing.TB, within time.Duration, ids ...string) {
	t.Helper()
	testenv.Eventually(t, within, "every task handled", func() error {
		var missing []string
		for _, id := range ids {
			if c.of(id) == 0 {
				missing = append(missing, id)
			}
		}
		if len(missing) > 0 {
			return fmt.Errorf("%d of %d not handled: %v", len(missing), len(ids), missing[:min(3, len(missing))])
		}
		return nil
	})
}

// logBook is a log that tests read.
type logBook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// lines returns those that contain what.
func (l *logBook) lines(what string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []string
	for line := range strings.Lines(l.text.String()) {
		if strings.Contains(line, what) {
			found = append(found, line)
		}
	}
	return found
}

// commands returns how many commands Redis has processed.
func (b *bundle) commands() int {
	b.t.Helper()
	info, err := b.rc.Info(b.t.Context(), "stats").Result()
	if err != nil {
		b.t.Fatal(err)
	}
	for line := range strings.Lines(info) {
		if n, ok := strings.CutPrefix(line, "total_commands_processed:"); ok {
			var count int
			if _, err := fmt.Sscan(n, &count); err != nil {
				b.t.Fatal(err)
			}
			return count
		}
	}
	b.t.Fatal("INFO has no total_commands_processed")
	return 0
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
