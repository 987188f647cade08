package queue

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/waybill-dev/waybill/internal/testenv"
)

func TestServer_OutlivesARestartOfRedis(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"while waiting", "while working"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			work := func(context.Context, *asynq.Task) error { return nil }
			if how == "while working" {
				work = func(ctx context.Context, _ *asynq.Task) error {
					select {
					case <-ctx.Done():
						return ctx.Err()
					case <-time.After(20 * time.Millisecond):
						return nil
					}
				}
			}
			b.serve(b.rc, b.options(), work)
			c := b.client()
			b.idle()
			var ids []string
			if how == "while working" {
				ids = b.enqueue(c, "before", 200)
				b.done.wait(t, 10*time.Second, ids[:20]...)
			}
			must(t, b.redis.Kill())
			testenv.Eventually(t, 10*time.Second, "failure noticed", func() error {
				if len(b.log.lines("redis does not")) == 0 {
					return errors.New("not logged")
				}
				return nil
			})
			must(t, b.redis.Start(t.Context()))
			ids = append(ids, b.enqueue(c, "after", 10)...)
			// A task whose dequeue's reply died with Redis comes back long before its lease is over.
			b.done.wait(t, 25*time.Second, ids...)
			b.empty(10 * time.Second)
			b.idle() // subscribed again
			if lines := b.log.lines("msg=\"asynq: "); len(lines) > 15 {
				t.Errorf("%d lines of asynq's for one outage", len(lines))
			}
			for _, lines := range [][2]string{
				{"redis does not give out tasks", "redis gives out tasks again"},
				{"redis does not take acknowledgements", "redis takes acknowledgements again"},
			} {
				began, ended := len(b.log.lines(lines[0])), len(b.log.lines(lines[1]))
				if began > 1 || ended != began {
					t.Errorf("%q was logged %d times, %q %d times", lines[0], began, lines[1], ended)
				}
			}
		})
	}
}

func TestServer_OutlivesAFrozenRedis(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.serve(b.rc, b.options(), nil)
	c := b.client()
	b.idle()
	ids := b.enqueue(c, "before", 20)
	must(t, b.redis.Pause())
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	begin := time.Now()
	err := c.Enqueue(ctx, newTask("frozen"))
	if took := time.Since(begin); err == nil || Certain(err) || took > time.Second {
		t.Errorf("enqueue into a frozen Redis: %v (certain: %v) after %v", err, Certain(err), took)
	}
	<-time.After(3 * time.Second) // how long it is frozen: longer than a dequeue waits for its answer
	must(t, b.redis.Resume())
	ids = append(ids, b.enqueue(c, "after", 20)...)
	ids = append(ids, b.enqueue(c, "frozen-again", 1)...)
	// So does a task that was dequeued for a connection given up.
	b.done.wait(t, 25*time.Second, ids...)
	b.empty(25 * time.Second)
}

func TestServer_StopsWhileRedisIsDown(t *testing.T) {
	t.Parallel()
	b := setup(t)
	o := b.options()
	o.ShutdownTimeout = 500 * time.Millisecond
	end := make(chan struct{})
	s := b.serve(b.rc, o, func(context.Context, *asynq.Task) error { <-end; return nil })
	b.enqueue(b.client(), "stuck", 1)
	testenv.Eventually(t, 5*time.Second, "in hand", func() error {
		found, err := b.client().Lookup(t.Context(), testQueue, "stuck-0")
		if err == nil && found[0].State != asynq.TaskStateActive {
			err = fmt.Errorf("it is %v", found[0].State)
		}
		return err
	})
	must(t, b.redis.Kill())
	begin := time.Now()
	s.Stop()
	close(end)
	if took := time.Since(begin); took > o.ShutdownTimeout+4*stopGrace {
		t.Errorf("took %v", took)
	}
}

func TestServer_StartsBeforeRedis(t *testing.T) {
	t.Parallel()
	b := setup(t)
	must(t, b.redis.Stop())
	begin := time.Now()
	b.serve(b.rc, b.options(), nil)
	if took := time.Since(begin); took > time.Second {
		t.Errorf("Start took %v", took)
	}
	testenv.Eventually(t, 5*time.Second, "failure noticed", func() error {
		if len(b.log.lines("redis does not give out tasks")) == 0 {
			return errors.New("not logged")
		}
		return nil
	})
	must(t, b.redis.Start(t.Context()))
	b.done.wait(t, 10*time.Second, b.enqueue(b.client(), "up", 3)...)
}

func TestServer_DoesNotSpinWhenRedisRefuses(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name       string
		refuse, ok [][]any
		refused    func(error) bool
	}{
		{
			"out of memory", [][]any{{"config", "set", "maxmemory", "1"}}, [][]any{{"config", "set", "maxmemory", "0"}},
			Full,
		},
		{
			"read only", [][]any{{"replicaof", "127.0.0.1", "1"}}, [][]any{{"replicaof", "no", "one"}},
			func(err error) bool { return strings.Contains(err.Error(), "READONLY") },
		},
	}
	for _, refusal := range cases {
		t.Run(refusal.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.serve(b.rc, b.options(), nil)
			c := b.client()
			b.idle()
			ids := b.enqueue(c, "before", 1)
			b.done.wait(t, 5*time.Second, ids...)
			inspector := asynq.NewInspectorFromRedisClient(b.rc)
			must(t, inspector.PauseQueue(testQueue)) // so that there is a task to refuse
			ids = b.enqueue(c, "refused", 1)
			must(t, inspector.UnpauseQueue(testQueue))
			for _, command := range refusal.refuse {
				must(t, b.rc.Do(t.Context(), command...).Err())
			}
			err := c.Enqueue(t.Context(), newTask("no room"))
			if err == nil || !Certain(err) || !refusal.refused(err) {
				t.Errorf("enqueue: %v (certain: %v)", err, Certain(err))
			}
			before := b.commands()
			<-time.After(3 * time.Second) // what is measured takes time
			if n := b.commands() - before; n > 3*idleBudget {
				t.Errorf("%d commands in 3 s", n)
			}
			for _, command := range refusal.ok {
				must(t, b.rc.Do(t.Context(), command...).Err())
			}
			b.done.wait(t, 10*time.Second, ids...)
			b.empty(40 * time.Second)
			if n := len(b.log.lines("does not give out tasks")); n > 1 {
				t.Errorf("logged %d times", n)
			}
		})
	}
}

func TestServer_RepeatsAnAcknowledgementThatFailed(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, marker string // marker: part of the script's request that no other has
		first        error  // of the first try
		handled      int
	}{
		{"done", ":processed", nil, 1},
		{"retry", "asynq:{writes}:retry\r\n", errors.New("once more"), 1},
	}
	for _, ack := range cases {
		t.Run(ack.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			p := newProxy(t, b.redis.Addr())
			var tries atomic.Int32
			b.serve(connect(t, p.url()), b.options(), func(ctx context.Context, task *asynq.Task) error {
				if tries.Add(1) == 1 {
					p.loseReply(ack.marker)
					return ack.first
				}
				return nil
			})
			ids := b.enqueue(b.client(), "ack", 1)
			b.done.wait(t, 10*time.Second, ids...)
			b.empty(10 * time.Second)
			if p.replies() != 1 {
				t.Fatalf("%d replies were lost", p.replies())
			}
			if n := b.done.of(ids[0]); n != ack.handled {
				t.Errorf("handled %d times", n)
			}
			if lines := b.log.lines("Will retry syncing"); len(lines) != 0 {
				t.Errorf("left to asynq: %q", lines)
			}
		})
	}
}

func TestServer_AcknowledgesAfterARestartOfRedis(t *testing.T) {
	t.Parallel()
	b := setup(t)
	inHand, finish := make(chan struct{}), make(chan struct{})
	var once sync.Once
	b.serve(b.rc, b.options(), func(context.Context, *asynq.Task) error {
		once.Do(func() { close(inHand) })
		<-finish
		return nil
	})
	ids := b.enqueue(b.client(), "outage", 1)
	<-inHand
	must(t, b.redis.Kill())
	close(finish) // so that it is acknowledged while Redis is down
	b.done.wait(t, 5*time.Second, ids...)
	<-time.After(2 * time.Second) // how long Redis is down
	must(t, b.redis.Start(t.Context()))
	b.empty(10 * time.Second)
	if n := b.done.of(ids[0]); n != 1 {
		t.Errorf("handled %d times", n)
	}
}

func TestBroker_TakesAForwardForAWakeUp(t *testing.T) {
	t.Parallel()
	keys := keysOf(testQueue)
	for moved, want := range map[int64]bool{0: false, 2: true} {
		b := &broker{keys: keys, bell: &bell{rung: make(chan struct{})}}
		rung := b.bell.next()
		b.run(t.Context(), []string{keys.retry, keys.pending}, nil,
			func([]any) *redis.Cmd { return redis.NewCmdResult(moved, nil) })
		select {
		case <-rung:
			if !want {
				t.Errorf("woken for %d tasks", moved)
			}
		default:
			if want {
				t.Errorf("not woken for %d tasks", moved)
			}
		}
	}
}
