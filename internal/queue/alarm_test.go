package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/waybill-dev/waybill/internal/subscription"
	"github.com/waybill-dev/waybill/internal/testenv"
	"github.com/waybill-dev/waybill/tasks"
)

var alarmed = []subscription.Key{{Tenant: "default", ID: "0198c0de-0001-7abc-8def-0123456789ab"}, {Tenant: "a tenant", ID: "0198c0de-0001-7abc-8def-0123456789ac"}}

func (b *bundle) inspector() *asynq.Inspector {
	return asynq.NewInspectorFromRedisClient(b.rc)
}

func TestAlarm_WakesAServer(t *testing.T) {
	t.Parallel()
	b := setup(t)
	named := make(chan []tasks.Subscription, 1)
	o := b.options()
	o.Queue = tasks.QueueNotify
	b.serve(b.rc, o, func(_ context.Context, task *asynq.Task) error {
		subscriptions, err := tasks.DecodeDeliver(task.Payload())
		named <- subscriptions
		return err
	})
	must(t, NewAlarm(b.rc, b.client()).Wake(t.Context(), alarmed...))
	select {
	case got := <-named:
		if want := []tasks.Subscription{{Tenant: "default", ID: alarmed[0].ID}, {Tenant: "a tenant", ID: alarmed[1].ID}}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("nobody was woken")
	}
}

func TestAlarm_WakesOnceAtATime(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a := NewAlarm(b.rc, b.client())
	at := time.Now().Add(time.Hour).Truncate(time.Second)
	for _, when := range []time.Time{at, at, at.Add(-time.Millisecond)} { // the same second, rounded up
		must(t, a.WakeAt(t.Context(), alarmed[0], when))
	}
	must(t, a.WakeAt(t.Context(), alarmed[1], at))
	must(t, a.WakeAt(t.Context(), alarmed[0], at.Add(time.Minute)))
	scheduled, err := b.inspector().ListScheduledTasks(tasks.QueueNotify)
	must(t, err)
	var got []string
	for _, task := range scheduled {
		named, err := tasks.DecodeDeliver(task.Payload)
		must(t, err)
		got = append(got, fmt.Sprint(named, " ", task.NextProcessAt.Sub(at)))
	}
	slices.Sort(got)
	want := []string{
		fmt.Sprintf("[{default %s}] 0s", alarmed[0].ID), fmt.Sprintf("[{default %s}] 1m0s", alarmed[0].ID), fmt.Sprintf("[{a tenant %s}] 0s", alarmed[1].ID),
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAlarm_TellsOneDispatcher(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a := NewAlarm(b.rc, b.client())
	ctx, stop := context.WithCancel(t.Context())
	heard := map[string]chan []subscription.Key{"one": make(chan []subscription.Key, 10), "two": make(chan []subscription.Key, 10)}
	ended := make(chan struct{}, len(heard))
	for owner, told := range heard {
		go func() {
			a.Hear(ctx, owner, func(keys ...subscription.Key) { told <- keys })
			ended <- struct{}{}
		}()
		testenv.Eventually(t, 10*time.Second, owner+" listens", func() error {
			n, err := b.rc.PubSubNumSub(t.Context(), tellPrefix+owner).Result()
			if err == nil && n[tellPrefix+owner] == 0 {
				err = errors.New("not yet")
			}
			return err
		})
	}
	must(t, a.Tell(t.Context(), "two", alarmed...))
	must(t, a.Tell(t.Context(), "nobody", alarmed...))
	must(t, a.Tell(t.Context(), "one", alarmed[0]))
	must(t, b.rc.Publish(t.Context(), tellPrefix+"one", "rubbish\n").Err()) // names nobody, and stops nothing
	must(t, a.Tell(t.Context(), "one", alarmed[1]))
	for _, want := range []struct {
		owner string
		keys  []subscription.Key
	}{{"two", alarmed}, {"one", alarmed[:1]}, {"one", nil}, {"one", alarmed[1:]}} {
		select {
		case got := <-heard[want.owner]:
			if !slices.Equal(got, want.keys) {
				t.Errorf("%s heard %v, want %v", want.owner, got, want.keys)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%s heard nothing of %v", want.owner, want.keys)
		}
	}
	stop()
	for range heard {
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			t.Fatal("Hear did not end with its context")
		}
	}
	for owner, told := range heard {
		if len(told) > 0 {
			t.Errorf("%s heard more: %v", owner, <-told)
		}
	}
}
