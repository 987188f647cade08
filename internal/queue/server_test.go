package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/waybill-dev/waybill/internal/testenv"
)

func TestServer_IsWokenByAnEnqueue(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.serve(b.rc, b.options(), nil)
	c := b.client()
	b.idle()
	var waits []time.Duration
	for i := range 11 { // a poll each second would take half a second at the median
		begin := time.Now()
		ids := b.enqueue(c, fmt.Sprint("woken-", i), 1)
		b.done.wait(t, 5*time.Second, ids...)
		waits = append(waits, time.Since(begin))
	}
	slices.Sort(waits)
	if median := waits[len(waits)/2]; median > 250*time.Millisecond {
		t.Errorf("the median from enqueue to handler is %v: nobody wakes the dequeue", median)
	}
}

func TestServer_ALostWakeUpCostsASecond(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.serve(b.rc, b.options(), nil)
	b.idle()
	silent := asynq.NewClientFromRedisClient(b.rc) // publishes nothing
	for i := range 3 {
		id := fmt.Sprint("silent-", i)
		_, err := silent.EnqueueContext(t.Context(), newTask(id))
		must(t, err)
		b.done.wait(t, lookAgain+2*time.Second, id)
	}
}

func TestServer_HearsTheForwarder(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.serve(b.rc, b.options(), nil)
	c := b.client()
	b.idle()
	must(t, c.Enqueue(t.Context(), newTask("later", asynq.ProcessIn(1500*time.Millisecond))))
	begin := time.Now()
	b.done.wait(t, 10*time.Second, "later")
	if early := time.Since(begin); early < time.Second {
		t.Errorf("handled after %v", early)
	}
}

func TestServer_SharesAQueueWithOthers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for range 3 {
		b.serve(connect(t, b.redis.URL()), b.options(), nil)
	}
	ids := b.enqueue(b.client(), "shared", 200)
	b.done.wait(t, 30*time.Second, ids...)
	b.empty(5 * time.Second)
	for _, id := range ids {
		if n := b.done.of(id); n != 1 {
			t.Errorf("%s was handled %d times", id, n)
		}
	}
}

func TestServer_WorksOnMiniredis(t *testing.T) { // `waybill up` without a Redis
	t.Parallel()
	b := &bundle{t: t, log: &logBook{}, done: &tally{count: map[string]int{}}}
	b.rc = connect(t, "redis://"+miniredis.RunT(t).Addr())
	s := b.serve(b.rc, b.options(), nil)
	b.idle()
	c := b.client()
	b.done.wait(t, 5*time.Second, b.enqueue(c, "mini", 20)...)
	b.empty(5 * time.Second)
	s.Stop()
	keys := keysOf(testQueue)
	ids := b.enqueue(c, "lost", 1)
	must(t, b.rc.LMove(t.Context(), keys.pending, keys.active, "right", "left").Err())
	must(t, b.rc.ZAdd(t.Context(), keys.lease, redis.Z{Member: ids[0], Score: 1}).Err())
	r := &recoverer{b.rc, keys, b.options().Logger, s.broker.bell, &lostLeases{}, func(int) {}}
	r.look(t.Context())
	if n := b.rc.LLen(t.Context(), keys.pending).Val(); n != 1 {
		t.Errorf("the lost task is not back")
	}
}

func TestServer_StopsAtOnceWhileWaiting(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for i := range 3 {
		s := b.serve(b.rc, b.options(), nil)
		b.idle()
		b.done.wait(t, 5*time.Second, b.enqueue(b.client(), fmt.Sprint("stop-", i), 1)...)
		<-time.After(100 * time.Millisecond) // until it surely waits: nothing shows that it does
		begin := time.Now()
		s.Stop()
		if took := time.Since(begin); took > lookAgain/2 {
			t.Errorf("took %v", took)
		}
		s.Stop()
		if err := s.Start(t.Context()); err == nil {
			t.Error("started again after Stop")
		}
	}
}

func TestServer_StopFinishesWhatIsInHand(t *testing.T) {
	t.Parallel()
	b := setup(t)
	o := b.options()
	o.ShutdownTimeout = time.Second
	started, end := make(chan struct{}, 2), make(chan struct{})
	s := b.serve(b.rc, o, func(_ context.Context, task *asynq.Task) error {
		started <- struct{}{}
		if string(task.Payload()) == "payload of slow" {
			<-end // longer than Stop waits
		} else {
			<-time.After(300 * time.Millisecond)
		}
		return nil
	})
	c := b.client()
	must(t, errors.Join(c.Enqueue(t.Context(), newTask("quick")), c.Enqueue(t.Context(), newTask("slow"))))
	<-started
	<-started
	s.Stop()
	defer close(end)
	found, err := c.Lookup(t.Context(), testQueue, "quick", "slow")
	must(t, err)
	if found[0] != nil || b.done.of("quick") != 1 {
		t.Errorf("what could be finished was not: %+v", found[0])
	}
	if found[1] == nil || found[1].State != asynq.TaskStatePending {
		t.Errorf("what could not be finished is not back in the queue: %+v", found[1])
	}
}

func TestStopAll_StopsSideBySide(t *testing.T) {
	t.Parallel()
	b := setup(t)
	o := b.options()
	o.ShutdownTimeout = time.Second
	end := make(chan struct{})
	var started atomic.Int32
	stuck := func(context.Context, *asynq.Task) error { started.Add(1); <-end; return nil }
	var servers []*Server
	c := b.client()
	for i := range 4 {
		o.Queue = fmt.Sprint("queue-", i)
		servers = append(servers, b.serve(b.rc, o, stuck))
		must(t, c.Enqueue(t.Context(), asynq.NewTask("test", nil, asynq.Queue(o.Queue))))
	}
	testenv.Eventually(t, 10*time.Second, "all stuck", func() error {
		if n := started.Load(); n < 4 {
			return fmt.Errorf("%d are", n)
		}
		return nil
	})
	begin := time.Now()
	StopAll(servers...)
	close(end)
	if took := time.Since(begin); took > 3*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestServer_RetriesAPanicAndLogsItOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var tries atomic.Int32
	b.serve(b.rc, b.options(), func(context.Context, *asynq.Task) error {
		if tries.Add(1) == 1 {
			panic("at the disco")
		}
		return nil
	})
	begin := time.Now()
	b.done.wait(t, 15*time.Second, b.enqueue(b.client(), "panic", 1)...)
	if took := time.Since(begin); took < 500*time.Millisecond {
		t.Errorf("tried again after %v, without the delay", took)
	}
	lines := b.log.lines("at the disco")
	if len(lines) != 1 || !strings.Contains(lines[0], "server_test.go") || !strings.Contains(lines[0], "panic-0") {
		t.Errorf("logged %q", lines)
	}
}

func TestServer_WaitingIsNoFailure(t *testing.T) {
	t.Parallel()
	b := setup(t)
	o := b.options()
	o.RetryDelay = func(error, int) time.Duration { return 0 }
	waits := errors.New("waits for its turn")
	o.Failure = func(err error) bool { return !errors.Is(err, waits) }
	var tries, counted atomic.Int32
	b.serve(b.rc, o, func(ctx context.Context, _ *asynq.Task) error {
		switch n := tries.Add(1); {
		case n <= 3: // more often than its retries
			return waits
		case n == 4:
			return errors.New("broken")
		}
		retried, _ := asynq.GetRetryCount(ctx)
		counted.Store(int32(retried))
		return nil
	})
	must(t, b.client().Enqueue(t.Context(), newTask("stubborn", asynq.MaxRetry(2))))
	b.done.wait(t, 30*time.Second, "stubborn")
	if n := counted.Load(); n != 1 {
		t.Errorf("1 failure was counted %d times", n)
	}
	if n := len(b.log.lines("task failed, to be tried again")); n != 1 {
		t.Errorf("1 failure was logged %d times", n)
	}
}

func TestServer_WaitsUntilReady(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var ready atomic.Bool
	var asked atomic.Int32
	o := b.options()
	o.Ready = func() bool { asked.Add(1); return ready.Load() }
	b.serve(b.rc, o, nil)
	c := b.client()
	ids := b.enqueue(c, "early", 20) // each with a wake-up
	testenv.Eventually(t, 5*time.Second, "asked", func() error {
		if n := asked.Load(); n < 4 {
			return fmt.Errorf("%d times", n)
		}
		return nil
	})
	found, err := c.Lookup(t.Context(), testQueue, ids[0])
	must(t, err)
	if found[0].State != asynq.TaskStatePending || b.done.of(ids[0]) != 0 {
		t.Fatalf("taken although not ready: %v", found[0].State)
	}
	ready.Store(true)
	b.done.wait(t, 5*time.Second, ids...)
}

func TestServer_HonoursAPausedQueue(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.serve(b.rc, b.options(), nil)
	b.idle()
	c := b.client()
	b.done.wait(t, 5*time.Second, b.enqueue(c, "registers", 1)...)
	inspector := asynq.NewInspectorFromRedisClient(b.rc)
	must(t, inspector.PauseQueue(testQueue))
	ids := b.enqueue(c, "paused", 1)
	looked := b.commands() + 20
	testenv.Eventually(t, 10*time.Second, "a few looks", func() error {
		if n := b.commands(); n < looked {
			return fmt.Errorf("%d commands", n)
		}
		return nil
	})
	if b.done.of(ids[0]) != 0 {
		t.Fatal("a paused queue was served")
	}
	must(t, inspector.UnpauseQueue(testQueue))
	b.done.wait(t, 5*time.Second, ids...)
}

func TestNewServer_ChecksItsOptions(t *testing.T) {
	t.Parallel()
	b := &bundle{log: &logBook{}}
	for name, spoil := range map[string]func(*ServerOptions){
		"no queue":         func(o *ServerOptions) { o.Queue = "" },
		"braces":           func(o *ServerOptions) { o.Queue = "{writes}" },
		"no concurrency":   func(o *ServerOptions) { o.Concurrency = 0 },
		"no logger":        func(o *ServerOptions) { o.Logger = nil },
		"no timeout":       func(o *ServerOptions) { o.ShutdownTimeout = 0 },
		"no delay":         func(o *ServerOptions) { o.RetryDelay = nil },
		"nothing but zero": func(o *ServerOptions) { *o = ServerOptions{} },
	} {
		o := b.options()
		spoil(&o)
		if _, err := NewServer(nil, o, nil); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// idleBudget is the most commands a second that an idle api and worker with one
// queue may send.
const idleBudget = 40

func TestServer_IsQuietAtIdle(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.serve(b.rc, b.options(), nil)
	c := b.client()
	b.idle()
	b.done.wait(t, 5*time.Second, b.enqueue(c, "first", 5)...)
	begin, before := time.Now(), b.commands()
	<-time.After(10 * time.Second) // what is measured takes time
	rate := float64(b.commands()-before) / time.Since(begin).Seconds()
	t.Logf("%.1f commands a second at idle", rate)
	if rate > idleBudget {
		t.Errorf("%.1f commands a second at idle, more than %d", rate, idleBudget)
	}
	if rate < 1 {
		t.Errorf("%.1f commands a second: nobody looks", rate)
	}
}

func TestWakeups_NeedOneConnection(t *testing.T) {
	t.Parallel()
	b := setup(t)
	o := b.options()
	o.Wakeups = NewWakeups(b.rc)
	for i := range 3 { // the later ones join a subscription that stands
		o.Queue = fmt.Sprint("queue-", i)
		b.serve(b.rc, o, nil)
		testenv.Eventually(t, 5*time.Second, "subscription", func() error {
			n, err := b.rc.PubSubNumSub(t.Context(), wakePrefix+o.Queue).Result()
			if err == nil && n[wakePrefix+o.Queue] != 1 {
				err = fmt.Errorf("%d subscribers", n[wakePrefix+o.Queue])
			}
			return err
		})
	}
	clients, err := b.rc.Do(t.Context(), "client", "list", "type", "pubsub").Text()
	must(t, err)
	// Each asynq server has one of its own besides, to one channel.
	if strings.Count(clients, " sub=3 ") != 1 || strings.Count(clients, "id=") > 4 {
		t.Errorf("connections:\n%s", clients)
	}
}
