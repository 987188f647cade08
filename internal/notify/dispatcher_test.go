package notify_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waybill-dev/waybill/internal/collection"
	"github.com/waybill-dev/waybill/internal/notify"
	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/subscription"
	"github.com/waybill-dev/waybill/internal/testenv"
	"github.com/waybill-dev/waybill/tasks"
)

func TestDispatcher_DeliversEachOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := w.subscribe(answers(good))
	d := w.dispatcher(notify.Options{})
	w.write("messages", 700)
	d.Poke(key)
	w.awaits(key, subscription.Delivered, 700)
	seen := map[string]bool{}
	for _, m := range w.messages(key) {
		if seen[m.Event.ID] {
			t.Errorf("event %s was sent twice", m.Event.ID)
		}
		seen[m.Event.ID] = true
	}
	one := w.deliveries(key, subscription.Delivered)[0]
	attempts, err := w.store.Attempts(t.Context(), one.Tenant, one.ID)
	if err != nil || len(attempts) != 1 || attempts[0].Status != 200 || string(attempts[0].Reply) != "thanks" || attempts[0].Error != "" || attempts[0].At.IsZero() {
		t.Errorf("attempts %+v, %v", attempts, err)
	}
}

func TestDispatcher_IsWokenByTasks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := w.subscribe(answers(good))
	d := w.dispatcher(notify.Options{})
	w.write("messages", 1)
	task, err := tasks.NewDeliver(nil, tasks.Subscription{Tenant: key.Tenant, ID: key.ID}, tasks.Subscription{Tenant: "none", ID: "none"})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.ProcessTask(t.Context(), task); err != nil {
		t.Fatal(err)
	}
	w.awaits(key, subscription.Delivered, 1)
}

func TestDispatcher_TriesAgainUntilItIsDead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := w.subscribe(answers(notify.Result{Status: 500, Error: "answered 500", Reply: bytes.Repeat([]byte("x"), 2*notify.MaxReply), Progress: "so far"}))
	d := w.dispatcher(notify.Options{Retries: []time.Duration{10 * time.Millisecond, 20 * time.Millisecond}})
	w.write("todos", 1)
	d.Poke(key)
	w.awaits(key, subscription.Dead, 1)
	sent := w.messages(key)
	if len(sent) != 3 {
		t.Fatalf("%d attempts, want 3", len(sent))
	}
	for i, m := range sent {
		if m.Attempt != i+1 || !bytes.Equal(m.Event.Body, sent[0].Event.Body) || m.Delivery != sent[0].Delivery || i > 0 && m.Progress != "so far" {
			t.Errorf("attempt %d: %+v", i+1, m)
		}
	}
	attempts, err := w.store.Attempts(t.Context(), key.Tenant, sent[0].Delivery)
	if err != nil || len(attempts) != 3 || len(attempts[0].Reply) != notify.MaxReply || attempts[0].Error != "answered 500" {
		t.Errorf("%d attempts, %v", len(attempts), err)
	}
	if _, err := w.store.RetryDelivery(t.Context(), key.Tenant, sent[0].Delivery); err != nil {
		t.Fatal(err)
	}
	d.Poke(key)
	testenv.Eventually(t, soon, "a manual retry has the whole schedule", func() error {
		if n := len(w.messages(key)); n != 6 {
			return fmt.Errorf("%d attempts", n)
		}
		return nil
	})
}

func TestDispatcher_EndsWhatCannotSucceed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := w.subscribe(answers(notify.Result{Status: 550, Error: "no such user", Permanent: true}))
	d := w.dispatcher(notify.Options{})
	w.write("messages", 1)
	d.Poke(key)
	w.awaits(key, subscription.Dead, 1)
	if n := len(w.messages(key)); n != 1 {
		t.Errorf("%d attempts, want 1", n)
	}
}

func TestDispatcher_DisablesWhoIsGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var first atomic.Bool
	key := w.subscribe(func(ctx context.Context, m *notify.Message) notify.Result {
		if first.CompareAndSwap(false, true) {
			return notify.Result{Status: 410, Error: "answered 410", Gone: true}
		}
		return hangs(ctx, m)
	}, inFlight(1))
	told := w.subscribe(answers(good), func(s *subscription.Subscription) { s.Events = []string{subscription.TypeDisabled} })
	d := w.dispatcher(notify.Options{})
	w.write("messages", 50)
	d.Poke(key)
	w.awaits(told, subscription.Delivered, 1)
	testenv.Eventually(t, soon, "nothing is pending", func() error {
		for _, x := range w.deliveries(key, subscription.Pending) {
			return fmt.Errorf("%+v", x)
		}
		return nil
	})
	if dead, canceled := len(w.deliveries(key, subscription.Dead)), len(w.deliveries(key, subscription.Canceled)); dead != 1 || canceled != 49 {
		t.Errorf("%d dead and %d canceled, want 1 and 49", dead, canceled)
	}
	s, err := w.store.Subscription(t.Context(), key)
	if err != nil || s.Enabled || s.Reason == "" || s.DisabledAt.IsZero() {
		t.Errorf("subscription %+v, %v", s, err)
	}
	if body := string(w.messages(told)[0].Event.Body); !bytes.Contains([]byte(body), []byte(key.ID)) {
		t.Errorf("told %s", body)
	}
}

func TestDispatcher_DisablesAfterFiveDaysOfFailures(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := w.subscribe(answers(notify.Result{Status: 500, Error: "answered 500"}))
	healthy := w.subscribe(answers(good))
	var later atomic.Int64
	d := w.dispatcher(notify.Options{Now: func() time.Time { return time.Now().Add(time.Duration(later.Load())) }, Retries: []time.Duration{time.Hour}})
	w.write("messages", 1)
	d.Poke(key, healthy)
	testenv.Eventually(t, soon, "a first failure", func() error {
		if p := w.deliveries(key, subscription.Pending); len(p) != 1 || p[0].Attempts != 1 {
			return fmt.Errorf("%+v", p)
		}
		return nil
	})
	for _, step := range []struct {
		later   time.Duration
		enabled bool
	}{{4 * 24 * time.Hour, true}, {5*24*time.Hour + time.Minute, false}} {
		later.Store(int64(step.later))
		w.write("messages", 1)
		d.Poke(key, healthy)
		testenv.Eventually(t, soon, fmt.Sprintf("%v later, enabled is %v", step.later, step.enabled), func() error {
			s, err := w.store.Subscription(t.Context(), key)
			if err != nil || s.Enabled != step.enabled {
				return fmt.Errorf("%+v, %w", s, err)
			}
			if step.enabled { // the attempt must have been made
				for _, x := range w.deliveries(key, subscription.Pending) {
					if x.Attempts == 0 {
						return fmt.Errorf("%+v", x)
					}
				}
			}
			return nil
		})
	}
	if s, err := w.store.Subscription(t.Context(), healthy); err != nil || !s.Enabled {
		t.Errorf("the healthy one: %+v, %v", s, err)
	}
}

func TestDispatcher_HoldsLimitsAcrossWorkers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var now, most atomic.Int32
	limited := w.subscribe(func(context.Context, *notify.Message) notify.Result {
		n := now.Add(1)
		defer now.Add(-1)
		for {
			m := most.Load()
			if n <= m || most.CompareAndSwap(m, n) {
				break
			}
		}
		<-time.After(5 * time.Millisecond)
		return good
	}, inFlight(3))
	paced := w.subscribe(answers(good), rate(50, time.Second))
	workers := []*notify.Dispatcher{w.dispatcher(notify.Options{}), w.dispatcher(notify.Options{}), w.dispatcher(notify.Options{})}
	begun := time.Now()
	for range 20 { // whoever is not busy gets the next
		w.write("messages", 3)
		for _, d := range workers {
			d.Poke(limited, paced)
		}
	}
	w.awaits(limited, subscription.Delivered, 60)
	w.awaits(paced, subscription.Delivered, 60)
	if n := most.Load(); n > 3 || n < 2 {
		t.Errorf("%d attempts at once, want up to 3", n)
	}
	if took := time.Since(begun); took < 1100*time.Millisecond {
		t.Errorf("60 attempts at 50 a second took %v", took)
	}
	if n := len(w.messages(limited)) + len(w.messages(paced)); n != 120 {
		t.Errorf("%d attempts, want 120", n)
	}
}

func TestDispatcher_ARateThatIsLiftedHoldsNothingUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := w.subscribe(answers(good), rate(1, time.Hour))
	d := w.dispatcher(notify.Options{})
	w.write("messages", 3)
	d.Poke(key)
	w.awaits(key, subscription.Delivered, 1)
	_, err := w.store.UpdateSubscription(t.Context(), key, func(s *subscription.Subscription) error {
		s.Rate, s.UpdatedAt = collection.Rate{}, time.Now()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	w.awaits(key, subscription.Delivered, 3)
}

func TestDispatcher_HangingReceiversLeaveSlotsToOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var hanging []subscription.Key
	for range 10 {
		hanging = append(hanging, w.subscribe(hangs))
	}
	healthy := w.subscribe(answers(good))
	d := w.dispatcher(notify.Options{Concurrency: 64})
	w.write("messages", 100)
	d.Poke(hanging...)
	testenv.Eventually(t, soon, "they hang", func() error {
		for _, key := range hanging {
			if len(w.messages(key)) == 0 {
				return fmt.Errorf("nothing was sent to one")
			}
		}
		return nil
	})
	d.Poke(healthy)
	w.awaits(healthy, subscription.Delivered, 100)
	for _, key := range hanging { // so that the end does not wait for their time out
		if err := w.store.DeleteSubscription(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	limit, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	d.Stop(limit)
	for _, key := range hanging {
		for _, x := range w.deliveries(key, "") {
			if x.Attempts > 0 {
				t.Errorf("an attempt that was cut off is on record: %+v", x)
			}
		}
	}
}

func TestDispatcher_StopFinishesWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	begun, finish := make(chan struct{}, 100), make(chan struct{})
	key := w.subscribe(func(context.Context, *notify.Message) notify.Result {
		begun <- struct{}{}
		<-finish
		return good
	}, inFlight(2))
	d := w.dispatcher(notify.Options{})
	w.write("messages", 10)
	d.Poke(key)
	<-begun
	<-begun
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		d.Stop(context.WithoutCancel(t.Context()))
	}()
	testenv.Eventually(t, soon, "it takes no more", func() error {
		if d.Poke(key) {
			return fmt.Errorf("it does")
		}
		return nil
	})
	close(finish)
	<-stopped
	if n := len(w.deliveries(key, subscription.Delivered)); n != 2 || len(w.messages(key)) != 2 {
		t.Errorf("%d delivered and %d sent, want the 2 that were under way", n, len(w.messages(key)))
	}
	w.dispatcher(notify.Options{}).Poke(key) // the lease is free at once
	w.awaits(key, subscription.Delivered, 10)
	if n := len(w.messages(key)); n != 10 {
		t.Errorf("%d sent, want 10", n)
	}
}

func TestDispatcher_SweepsWhatNobodyLooksAfter(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key, gone := w.subscribe(answers(good)), w.subscribe(answers(good))
	w.write("messages", 5)
	if _, err := w.store.Acquire(t.Context(), key, "a worker that died"); err != nil {
		t.Fatal(err)
	}
	for _, change := range []string{
		"UPDATE dispatches SET lease_until = '2026-01-01T00:00:00.000000Z'", // it ran out
		"DELETE FROM subscriptions WHERE id = '" + gone.ID + "'",            // by an api that died before it canceled anything
		"UPDATE deliveries SET next_at = '2026-01-01T00:00:00.000000Z'",
	} {
		if _, err := w.store.DB().ExecContext(t.Context(), change); err != nil {
			t.Fatal(err)
		}
	}
	w.dispatcher(notify.Options{SweepEvery: 10 * time.Millisecond})
	w.awaits(key, subscription.Delivered, 5)
	w.awaits(gone, subscription.Canceled, 5)
	if n := len(w.messages(gone)); n != 0 {
		t.Errorf("%d were sent to a deleted subscription", n)
	}
}

func TestDispatcher_TellsTheWorkerThatDelivers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	release := make(chan struct{})
	var sent atomic.Int32
	key := w.subscribe(func(context.Context, *notify.Message) notify.Result {
		if sent.Add(1) == 1 {
			<-release
		}
		return good
	})
	first, second := w.dispatcher(notify.Options{}), w.dispatcher(notify.Options{})
	w.write("messages", 1)
	first.Poke(key)
	testenv.Eventually(t, soon, "the first is sent", func() error {
		if sent.Load() == 0 {
			return fmt.Errorf("not yet")
		}
		return nil
	})
	w.write("messages", 1)
	second.Poke(key)
	w.awaits(key, subscription.Delivered, 1) // while the first hangs
	close(release)
	w.awaits(key, subscription.Delivered, 2)
}

func TestDispatcher_APanicIsAFailedAttempt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := w.subscribe(func(context.Context, *notify.Message) notify.Result { panic("whsec_secret") })
	d := w.dispatcher(notify.Options{Retries: []time.Duration{}})
	w.write("messages", 1)
	d.Poke(key)
	w.awaits(key, subscription.Dead, 1)
	if e := w.deliveries(key, subscription.Dead)[0].Error; e == "" || bytes.Contains([]byte(e), []byte("whsec")) {
		t.Errorf("error %q", e)
	}
}

func TestDispatcher_SettingsOfAnotherSecretFailAndSaySo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := w.subscribe(answers(good), func(s *subscription.Subscription) { s.Target = slices.Clone(s.Target); s.Target[20] ^= 1 })
	d := w.dispatcher(notify.Options{Retries: []time.Duration{}})
	w.write("messages", 1)
	d.Poke(key)
	w.awaits(key, subscription.Dead, 1)
	if e := w.deliveries(key, subscription.Dead)[0].Error; !bytes.Contains([]byte(e), []byte("sealed with another secret")) {
		t.Errorf("error %q", e)
	}
}

func TestDispatcher_ReadsWhatItCannotHoldAtOnceInParts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := w.subscribe(answers(good), inFlight(subscription.MostInFlight))
	d := w.dispatcher(notify.Options{})
	for range 3 {
		w.write("messages", 400)
	}
	d.Poke(key)
	w.awaits(key, subscription.Delivered, 1200)
	if len(w.messages(key)) != 1200 {
		t.Errorf("%d sent, want 1200", len(w.messages(key)))
	}
}

func TestDispatcher_UnreadableTasksAreHandedBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.dispatcher(notify.Options{})
	task := tasks.NewApply(record.NewID(1, 1, 0), []byte(`{"v":99}`), nil)
	if err := d.ProcessTask(t.Context(), task); err == nil {
		t.Error("a task that cannot be read was taken")
	}
}
