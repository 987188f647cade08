package queue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

func TestClient_AConflictWithOneselfMeansAccepted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p := newProxy(t, b.redis.Addr())
	c := NewClient(connect(t, p.url()))
	b.enqueue(c, "first", 1) // now Redis knows the script
	p.loseReply("asynq:{writes}:t:mine")
	err := c.Enqueue(t.Context(), newTask("mine"))
	if err == nil || Certain(err) {
		t.Fatalf("the reply was lost, yet: %v (certain: %v)", err, Certain(err))
	}
	if err := c.Enqueue(t.Context(), newTask("mine")); !errors.Is(err, ErrConflict) {
		t.Fatalf("enqueued again: %v", err)
	}
	found, err := c.Lookup(t.Context(), testQueue, "mine")
	must(t, err)
	if found[0] == nil {
		t.Error("a conflict, but no task")
	}
}

func TestClient_PublishesAfterEveryBurst(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := NewClient(b.rc)
	sub := b.rc.Subscribe(t.Context(), wakePrefix+testQueue)
	defer func() { _ = sub.Close() }()
	if _, err := sub.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	const burst = 200
	var atOnce sync.WaitGroup
	for i := range burst {
		atOnce.Go(func() {
			if err := c.Enqueue(t.Context(), newTask(fmt.Sprint("burst-", i))); err != nil {
				t.Error(err)
			}
		})
	}
	atOnce.Wait()
	must(t, c.Close()) // the last wake-up is out
	published := 0
	for {
		if _, err := sub.ReceiveTimeout(t.Context(), 300*time.Millisecond); err != nil {
			break
		}
		published++
	}
	if published < 1 || published >= burst {
		t.Errorf("%d wake-ups for %d tasks", published, burst)
	}
	t.Logf("%d wake-ups for %d tasks", published, burst)
}

func TestCertain_TellsWhatDidNotArrive(t *testing.T) {
	t.Parallel()
	timeout := &net.OpError{Op: "read", Err: context.DeadlineExceeded}
	refusedDial := &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	cases := []struct {
		err  error
		want bool
	}{
		{nil, false},
		{refusedDial, true},
		{fmt.Errorf("wrapped: %w", refusedDial), true},
		{redis.ErrPoolTimeout, true},
		{redis.ErrClosed, true},
		{timeout, false},
		{io.EOF, false},
		{&net.OpError{Op: "read", Err: syscall.ECONNRESET}, false},
		{context.DeadlineExceeded, false},
		{context.Canceled, false},
		{reply("OOM command not allowed when used memory > 'maxmemory'."), true},
		{reply("READONLY You can't write against a read only replica."), true},
		{reply("LOADING Redis is loading the dataset in memory"), true},
		{reply("MISCONF Redis is configured to save RDB snapshots"), true},
		{reply("NOAUTH Authentication required."), true},
		{reply("ERR max number of clients reached"), true},
		{reply("ERR something in the middle of a script"), false},
		{ErrConflict, false},
		{&maybeTwice{refusedDial}, false},
		{&enqueueError{"t", refusedDial, false}, false},
		{&enqueueError{"t", timeout, true}, true},
	}
	for _, c := range cases {
		if got := Certain(c.err); got != c.want {
			t.Errorf("%v: %v", c.err, got)
		}
	}
}

// reply is an error reply of Redis.
type reply string

func (r reply) Error() string { return string(r) }
func (reply) RedisError()     {}

func TestCertain_OnARealRedis(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.client()
	b.enqueue(c, "up", 1)
	must(t, b.redis.Kill())
	for range poolSize + 5 { // beyond which the pool answers without dialling
		if err := c.Enqueue(t.Context(), newTask("down")); err == nil || !Certain(err) {
			t.Fatalf("refused: %v (certain: %v)", err, Certain(err))
		}
	}
	fresh := NewClient(connect(t, b.redis.URL())) // fails in registering the queue, before the script
	if err := fresh.Enqueue(t.Context(), newTask("down")); err == nil || !Certain(err) {
		t.Errorf("refused: %v (certain: %v)", err, Certain(err))
	}
	cluster := connect(t, strings.Replace(b.redis.URL(), "redis://", "redis-cluster://", 1))
	if err := cluster.Get(t.Context(), "x").Err(); err == nil || Certain(err) {
		t.Errorf("a cluster client: %v (certain: %v)", err, Certain(err))
	}
	if err := c.Enqueue(t.Context(), asynq.NewTask("", nil)); err == nil || !Certain(err) {
		t.Errorf("a task that asynq refuses: %v (certain: %v)", err, Certain(err))
	}
	if _, err := c.Lookup(t.Context(), testQueue, "down"); err == nil {
		t.Error("looked up without Redis")
	}
	must(t, b.redis.Start(t.Context()))
	b.enqueue(c, "up-again", 1)
	found, err := c.Lookup(t.Context(), testQueue, "down", "up-0")
	must(t, err)
	if found[0] != nil || found[1] == nil {
		t.Errorf("got %v", found)
	}
}
