package queue

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// envLostWorker makes the test binary a worker on the Redis that it names, which
// says so when it has a task and never finishes it.
const envLostWorker = "WAYBILL_TEST_LOST_WORKER"

func lostWorker() {
	rc, err := Connect(os.Getenv(envLostWorker))
	if err != nil {
		panic(err)
	}
	o := (&bundle{log: &logBook{}}).options()
	s, err := NewServer(rc, o, asynq.HandlerFunc(func(context.Context, *asynq.Task) error {
		fmt.Println("in hand")
		select {}
	}))
	if err != nil {
		panic(err)
	}
	if err := s.Start(context.Background()); err != nil {
		panic(err)
	}
	select {}
}

func TestRecoverer_BringsBackTheTaskOfAKilledWorker(t *testing.T) {
	if testing.Short() {
		t.Skip("a lease takes half a minute to run out")
	}
	t.Parallel()
	b := setup(t)
	ids := b.enqueue(b.client(), "killed", 1)
	worker := exec.Command(os.Args[0])
	worker.Env = append(os.Environ(), envLostWorker+"="+b.redis.URL())
	worker.Stderr = os.Stderr
	out, err := worker.StdoutPipe()
	must(t, err)
	must(t, worker.Start())
	t.Cleanup(func() { _ = worker.Process.Kill(); _ = worker.Wait() })
	if !bufio.NewScanner(out).Scan() {
		t.Fatal("the worker ended before it had the task")
	}
	b.serve(b.rc, b.options(), nil)
	b.serve(connect(t, b.redis.URL()), b.options(), nil)
	must(t, worker.Process.Kill())
	begin := time.Now()
	// 30 s of lease, the grace, a tick, and some air for a slow machine.
	b.done.wait(t, 30*time.Second+recoverGrace*time.Second+recoverEvery+10*time.Second, ids...)
	t.Logf("back after %v", time.Since(begin))
	b.empty(5 * time.Second)
	if n := b.done.of(ids[0]); n != 1 {
		t.Errorf("handled %d times", n)
	}
}

func TestRecoverer_TakesOnlyWhatIsLost(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx, keys, c := t.Context(), keysOf(testQueue), b.client()
	ids := b.enqueue(c, "lease", 4) // leased until: long ago, just now, later, long ago but without a message
	now, err := b.rc.Time(ctx).Result()
	must(t, err)
	for i, until := range []time.Duration{-time.Minute, -time.Second, time.Minute, -time.Minute} {
		must(t, b.rc.LRem(ctx, keys.pending, 0, ids[i]).Err())
		must(t, b.rc.LPush(ctx, keys.active, ids[i]).Err())
		must(t, b.rc.HSet(ctx, keys.task+ids[i], "state", "active").Err())
		must(t, b.rc.ZAdd(ctx, keys.lease, redis.Z{Member: ids[i], Score: float64(now.Add(until).Unix())}).Err())
	}
	must(t, b.rc.HDel(ctx, keys.task+ids[3], "msg").Err())
	r := &recoverer{b.rc, keys, slog.New(slog.NewTextHandler(b.log, nil)), NewWakeups(b.rc).bell(testQueue), &lostLeases{}, func(int) {}}
	rung := r.bell.next()
	r.look(ctx)
	select {
	case <-rung:
	default:
		t.Error("nobody was woken")
	}
	found, err := c.Lookup(ctx, testQueue, ids...)
	must(t, err)
	for i, want := range []asynq.TaskState{asynq.TaskStatePending, asynq.TaskStateActive, asynq.TaskStateActive} {
		if found[i].State != want {
			t.Errorf("%d: %v, want %v", i, found[i].State, want)
		}
	}
	if n := b.rc.Exists(ctx, keys.task+ids[3]).Val(); n != 0 {
		t.Error("a hash that blocks its ID is left")
	}
	if n := len(b.log.lines("tasks=1")); n != 1 {
		t.Errorf("logged %d times", n)
	}
	if info, err := asynq.NewInspectorFromRedisClient(b.rc).GetQueueInfo(testQueue); err != nil || info.Pending != 1 || info.Active != 2 {
		t.Errorf("asynq sees %+v, %v", info, err)
	}
}

func TestRecoverer_RunsBesideAsynqsOwn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx, keys, c := t.Context(), keysOf(testQueue), b.client()
	ids := b.enqueue(c, "both", 50)
	for _, id := range ids {
		must(t, b.rc.LMove(ctx, keys.pending, keys.active, "right", "left").Err())
		must(t, b.rc.HSet(ctx, keys.task+id, "state", "active").Err())
		must(t, b.rc.ZAdd(ctx, keys.lease, redis.Z{Member: id, Score: 1}).Err())
	}
	for range 3 { // asynq's looks when it starts
		b.serve(connect(t, b.redis.URL()), b.options(), nil)
		r := &recoverer{b.rc, keys, slog.New(slog.DiscardHandler), NewWakeups(b.rc).bell(testQueue), &lostLeases{}, func(int) {}}
		r.look(ctx)
	}
	b.done.wait(t, 20*time.Second, ids...)
	b.empty(5 * time.Second)
	for _, id := range ids {
		if n := b.done.of(id); n != 1 {
			t.Errorf("%s was handled %d times", id, n)
		}
	}
}

func TestRecoverer_BringsBackATaskWhoseDequeueWasLost(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p := newProxy(t, b.redis.Addr())
	b.serve(connect(t, p.url()), b.options(), nil)
	b.idle()
	silent := asynq.NewClientFromRedisClient(b.rc) // without a wake-up, the next dequeue is up to a second away
	p.loseReply("asynq:{writes}:paused")
	_, err := silent.EnqueueContext(t.Context(), newTask("lost"))
	must(t, err)
	b.done.wait(t, lookAgain+2*recoverEvery+5*time.Second, "lost")
	b.empty(5 * time.Second)
	if n := b.done.of("lost"); n != 1 || p.replies() != 1 {
		t.Errorf("handled %d times, %d replies lost", n, p.replies())
	}
}
