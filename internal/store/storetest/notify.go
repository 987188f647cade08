package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/waybill-dev/waybill/internal/collection"
	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/store"
	"github.com/waybill-dev/waybill/internal/subscription"
)

var notifyTests = map[string]func(*testing.T, *store.Store){
	"Subscription_IsKeptAsItWasMade":              testSubscriptionKept,
	"Subscription_AChangeThatFailsChangesNothing": testSubscriptionUpdate,
	"Subscription_Pages":                          testSubscriptionPages,
	"Apply_MakesADeliveryForEachMatch":            testDeliveriesMade,
	"Apply_SeesASubscriptionMadeElsewhere":        testSubscriptionSeen,
	"Delivery_EndsCanceledWithItsSubscription":    testCanceled,
	"Dispatch_HasOneOwner":                        testOneOwner,
	"Dispatch_IsNotReleasedWhileSomethingIsDue":   testRelease,
	"Attempts_AreRecordedOnce":                    testAttempts,
	"Failing_IsTheOwnersToSay":                    testFailing,
	"Delivery_IsRetried":                          testRetry,
	"Replay_OfDead":                               testReplayDead,
	"Replay_OfAll":                                testReplayAll,
	"Deliveries_AreListedByAnything":              testDeliveryLists,
	"Disable_TellsOthers":                         testDisable,
}

func newSubscription(events ...string) *subscription.Subscription {
	return &subscription.Subscription{
		Key: subscription.Key{Tenant: record.DefaultTenant, ID: uuid.Must(uuid.NewV7()).String()}, Name: "n", Events: events,
		Channel: subscription.Webhook, Target: []byte{0, 1, 0xff}, MaxInFlight: 10, Enabled: true, CreatedAt: storedAt, UpdatedAt: storedAt,
	}
}

func subscribe(t testing.TB, s *store.Store, events ...string) *subscription.Subscription {
	t.Helper()
	sub := newSubscription(events...)
	if err := s.CreateSubscription(t.Context(), sub); err != nil {
		t.Fatalf("CreateSubscription: %v", err)
	}
	return sub
}

func update(t testing.TB, s *store.Store, key subscription.Key, change func(*subscription.Subscription)) {
	t.Helper()
	if _, err := s.UpdateSubscription(t.Context(), key, func(sub *subscription.Subscription) error { change(sub); return nil }); err != nil {
		t.Fatalf("UpdateSubscription: %v", err)
	}
}

// deliveries returns what a query finds, newest first.
func deliveries(t testing.TB, s *store.Store, q store.DeliveryQuery) []subscription.Delivery {
	t.Helper()
	q.Limit = 100
	found, more, err := s.Deliveries(t.Context(), record.DefaultTenant, q)
	if err != nil || more {
		t.Fatalf("Deliveries(%+v): more %v, %v", q, more, err)
	}
	return found
}

func due(t testing.TB, s *store.Store, key subscription.Key) []store.Due {
	t.Helper()
	found, err := s.DueFor(t.Context(), key, 100, nil)
	if err != nil {
		t.Fatalf("DueFor: %v", err)
	}
	return found
}

// tried records an attempt at d that ended so.
func tried(t testing.TB, s *store.Store, d subscription.Delivery, status subscription.Status, delay time.Duration) {
	t.Helper()
	a := subscription.Attempt{ID: uuid.Must(uuid.NewV7()).String(), Tenant: d.Tenant, Delivery: d.ID, At: storedAt, Status: 500, Took: 1234 * time.Microsecond, Reply: []byte("a\x00b\xff"), Error: "answered 500"}
	err := s.RecordAttempts(t.Context(), []store.Tried{{Delivery: d, Attempt: a, Status: status, Delay: delay, Progress: "p"}}, nil)
	if err != nil {
		t.Fatalf("RecordAttempts: %v", err)
	}
}

func testSubscriptionKept(t *testing.T, s *store.Store) {
	sub := newSubscription("messages.*", "todos.created")
	sub.Filter, sub.Rate, sub.CreatedBy = []byte(`{"a":1}`), collection.Rate{N: 5, Per: time.Minute}, "somebody"
	if err := s.CreateSubscription(t.Context(), sub); err != nil {
		t.Fatal(err)
	}
	got, err := s.Subscription(t.Context(), sub.Key)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "subscription", got, sub)
	for _, key := range []subscription.Key{{Tenant: "other", ID: sub.ID}, {Tenant: sub.Tenant, ID: uuid.NewString()}, {Tenant: sub.Tenant, ID: "x"}, {Tenant: sub.Tenant}} {
		if _, err := s.Subscription(t.Context(), key); fault.KindOf(err) != fault.NotFound {
			t.Errorf("Subscription(%v) = %v, want NotFound", key, err)
		}
	}
}

func testSubscriptionUpdate(t *testing.T, s *store.Store) {
	sub := subscribe(t, s, "*")
	update(t, s, sub.Key, func(c *subscription.Subscription) { c.Name = "changed" })
	refused := fault.New(fault.Conflict, "no")
	_, err := s.UpdateSubscription(t.Context(), sub.Key, func(c *subscription.Subscription) error {
		c.Name = "worse"
		return refused
	})
	if !errors.Is(err, refused) {
		t.Errorf("UpdateSubscription = %v, want the error of change", err)
	}
	got, err := s.Subscription(t.Context(), sub.Key)
	if err != nil || got.Name != "changed" {
		t.Errorf("name %q, %v; want changed", got.Name, err)
	}
}

func testSubscriptionPages(t *testing.T, s *store.Store) {
	var want []string
	for range 5 {
		want = append([]string{subscribe(t, s, "*").ID}, want...)
	}
	var got []string
	for before, more := "", true; more; {
		var page []subscription.Subscription
		var err error
		if page, more, err = s.Subscriptions(t.Context(), record.DefaultTenant, 2, before); err != nil {
			t.Fatal(err)
		}
		for i := range page {
			before = page[i].ID
			got = append(got, before)
		}
	}
	same(t, "subscriptions, newest first", got, want)
}

func testDeliveriesMade(t *testing.T, s *store.Store) {
	c := &clock{}
	created, all, failed := subscribe(t, s, "messages.created"), subscribe(t, s, "*"), subscribe(t, s, "messages.failed")
	filtered := newSubscription("messages.*")
	filtered.Filter = []byte(`{"n":2}`)
	off := newSubscription("*")
	off.Enabled = false
	for _, sub := range []*subscription.Subscription{filtered, off} {
		if err := s.CreateSubscription(t.Context(), sub); err != nil {
			t.Fatal(err)
		}
	}
	one, two := c.create("messages", body(1)), c.create("messages", body(2))
	missing := c.write(record.Patch, key("messages", "none"), body(2))
	remove := c.write(record.Delete, two.Key, "")
	outcomes := apply(t, s, one, two, missing, remove)
	want := map[string][]string{
		one.ID: {all.ID, created.ID}, two.ID: {all.ID, created.ID, filtered.ID}, missing.ID: {failed.ID}, remove.ID: {all.ID, filtered.ID},
	}
	for i := range outcomes {
		o := &outcomes[i]
		slices.Sort(o.Notify)
		slices.Sort(want[o.Operation.ID])
		same(t, "told of "+o.Operation.ID, o.Notify, want[o.Operation.ID])
		made := deliveries(t, s, store.DeliveryQuery{Event: o.Operation.ID})
		if len(made) != len(o.Notify) {
			t.Errorf("%d deliveries of %s, want %d", len(made), o.Operation.ID, len(o.Notify))
		}
	}
	got := due(t, s, filtered.Key)
	if len(got) != 2 || got[0].Event != two.ID || string(got[0].Body) != string(subscription.EventOf(&outcomes[1]).Body) || got[1].Type != "messages.deleted" {
		t.Errorf("due: %+v", got)
	}
	again := apply(t, s, one, two)
	if len(again) != 0 || len(deliveries(t, s, store.DeliveryQuery{})) != 8 {
		t.Errorf("applied again: %d outcomes, %d deliveries in all", len(again), len(deliveries(t, s, store.DeliveryQuery{})))
	}
	counts, err := s.DeliveryCounts(t.Context(), []record.OperationKey{{Tenant: record.DefaultTenant, ID: two.ID}, {Tenant: "other", ID: one.ID}})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "counts", counts, map[string]subscription.Counts{two.ID: {Pending: 3}})
}

func testSubscriptionSeen(t *testing.T, s *store.Store) {
	c := &clock{}
	apply(t, s, c.create("messages", body(1))) // the subscriptions are in memory now
	for range 3 {
		sub := subscribe(t, s, "messages.created")
		o := apply(t, s, c.create("messages", body(2)))
		if !slices.Contains(o[0].Notify, sub.ID) {
			t.Fatalf("told %v, not the new subscription %s", o[0].Notify, sub.ID)
		}
		update(t, s, sub.Key, func(u *subscription.Subscription) { u.Events = []string{"todos.*"} })
		if o := apply(t, s, c.create("messages", body(3))); slices.Contains(o[0].Notify, sub.ID) {
			t.Fatal("told one that no longer wants it")
		}
	}
}

func testCanceled(t *testing.T, s *store.Store) {
	c := &clock{}
	for name, end := range map[string]func(*subscription.Subscription){
		"disabled": func(sub *subscription.Subscription) {
			update(t, s, sub.Key, func(u *subscription.Subscription) { u.Enabled = false })
		},
		"deleted": func(sub *subscription.Subscription) {
			if err := s.DeleteSubscription(t.Context(), sub.Key); err != nil {
				t.Fatal(err)
			}
		},
	} {
		sub := subscribe(t, s, "messages.created")
		op := c.create("messages", body(1))
		apply(t, s, op)
		end(sub)
		got := deliveries(t, s, store.DeliveryQuery{Subscription: sub.ID})
		if len(got) != 1 || got[0].Status != subscription.Canceled || !got[0].NextAt.IsZero() || got[0].FinishedAt.IsZero() {
			t.Errorf("%s: %+v, want one canceled", name, got)
		}
		tried(t, s, got[0], subscription.Pending, time.Hour) // it was under way, and failed
		again := deliveries(t, s, store.DeliveryQuery{Subscription: sub.ID})[0]
		if again.Status != subscription.Canceled || again.Attempts != 1 || !again.NextAt.IsZero() || !again.FinishedAt.Equal(got[0].FinishedAt) {
			t.Errorf("%s: a canceled delivery became %+v", name, again)
		}
		if _, err := s.RetryDelivery(t.Context(), sub.Tenant, got[0].ID); fault.KindOf(err) != fault.Conflict {
			t.Errorf("%s: RetryDelivery = %v, want Conflict", name, err)
		}
		if n, err := s.CancelPending(t.Context(), sub.Key); n != 0 || err != nil {
			t.Errorf("%s: CancelPending = %d, %v", name, n, err)
		}
		tried(t, s, again, subscription.Delivered, 0) // it was under way, and the receiver has it
		if last := deliveries(t, s, store.DeliveryQuery{Subscription: sub.ID})[0]; last.Status != subscription.Delivered || last.Attempts != 2 {
			t.Errorf("%s: a delivery that succeeded is %+v", name, last)
		}
	}
}

func testOneOwner(t *testing.T, s *store.Store) {
	sub := subscribe(t, s, "*")
	d, err := s.Acquire(t.Context(), sub.Key, "a")
	if err != nil || d.Owner != "a" || d.Pause != 0 || !d.FailingSince.IsZero() {
		t.Fatalf("Acquire = %+v, %v", d, err)
	}
	if d, err = s.Acquire(t.Context(), sub.Key, "b"); err != nil || d.Owner != "a" {
		t.Errorf("Acquire by another = %+v, %v; want a", d, err)
	}
	if held, err := s.Renew(t.Context(), "a", []subscription.Key{sub.Key}); err != nil || len(held) != 1 || held[0] != sub.Key {
		t.Errorf("Renew = %v, %v", held, err)
	}
	if held, err := s.Renew(t.Context(), "b", []subscription.Key{sub.Key}); err != nil || len(held) != 0 {
		t.Errorf("Renew by another = %v, %v", held, err)
	}
	if ok, err := s.Release(t.Context(), sub.Key, "b", 0); ok || err != nil {
		t.Errorf("Release by another = %v, %v", ok, err)
	}
	if ok, err := s.Release(t.Context(), sub.Key, "a", time.Hour); !ok || err != nil {
		t.Errorf("Release = %v, %v", ok, err)
	}
	if d, err = s.Acquire(t.Context(), sub.Key, "b"); err != nil || d.Owner != "b" || d.Pause < 59*time.Minute {
		t.Errorf("Acquire after a release = %+v, %v", d, err)
	}
	if _, err := s.Acquire(t.Context(), subscription.Key{Tenant: "other", ID: sub.ID}, "a"); fault.KindOf(err) != fault.NotFound {
		t.Errorf("Acquire of none = %v, want NotFound", err)
	}
	owners := make([]string, 8)
	other := subscribe(t, s, "*")
	together(len(owners), func(i int) {
		d, err := s.Acquire(context.WithoutCancel(t.Context()), other.Key, fmt.Sprint(i))
		if err != nil {
			t.Error(err)
			return
		}
		owners[i] = d.Owner
	})
	slices.Sort(owners)
	if owners[0] != owners[len(owners)-1] {
		t.Errorf("owners %v, want one", owners)
	}
}

func testRelease(t *testing.T, s *store.Store) {
	c := &clock{}
	sub := subscribe(t, s, "*")
	if _, err := s.Acquire(t.Context(), sub.Key, "a"); err != nil {
		t.Fatal(err)
	}
	apply(t, s, c.create("messages", body(1)))
	if ok, err := s.Release(t.Context(), sub.Key, "a", 0); ok || err != nil {
		t.Errorf("Release = %v, %v; want false: something is due", ok, err)
	}
	tried(t, s, due(t, s, sub.Key)[0].Delivery, subscription.Pending, time.Hour)
	if got := due(t, s, sub.Key); len(got) != 0 {
		t.Errorf("due before its time: %+v", got)
	}
	if ok, err := s.Release(t.Context(), sub.Key, "a", 0); !ok || err != nil {
		t.Errorf("Release = %v, %v; want true: nothing is due", ok, err)
	}
	if keys, err := s.Overdue(t.Context()); err != nil || len(keys) != 0 {
		t.Errorf("Overdue = %v, %v", keys, err)
	}
	if _, err := s.DB().ExecContext(t.Context(), "UPDATE deliveries SET next_at = created_at"); err != nil {
		t.Fatal(err)
	}
	if keys, err := s.Overdue(t.Context()); err != nil || len(keys) != 1 || keys[0] != sub.Key {
		t.Errorf("Overdue = %v, %v; want the subscription", keys, err)
	}
}

func testAttempts(t *testing.T, s *store.Store) {
	c := &clock{}
	sub := subscribe(t, s, "*")
	apply(t, s, c.create("messages", body(1)))
	d := due(t, s, sub.Key)[0].Delivery
	tried(t, s, d, subscription.Pending, 0)
	tried(t, s, d, subscription.Dead, 0) // another worker had it too
	got := deliveries(t, s, store.DeliveryQuery{})[0]
	if got.Status != subscription.Pending || got.Attempts != 1 || got.Tries != 1 || got.Error != "answered 500" || got.Progress != "p" || got.NextAt.IsZero() {
		t.Errorf("after the first attempt: %+v", got)
	}
	tried(t, s, got, subscription.Delivered, 0)
	got = deliveries(t, s, store.DeliveryQuery{})[0]
	if got.Status != subscription.Delivered || got.Attempts != 2 || !got.NextAt.IsZero() || got.FinishedAt.IsZero() {
		t.Errorf("after the last attempt: %+v", got)
	}
	attempts, err := s.Attempts(t.Context(), d.Tenant, d.ID)
	if err != nil || len(attempts) != 3 {
		t.Fatalf("Attempts = %+v, %v; want 3", attempts, err)
	}
	if a := attempts[0]; a.Status != 500 || a.Took != 1234*time.Microsecond || string(a.Reply) != "a\uFFFDb\uFFFD" || !a.At.Equal(storedAt) {
		t.Errorf("attempt: %+v", a)
	}
}

func testFailing(t *testing.T, s *store.Store) {
	c := &clock{}
	sub := subscribe(t, s, "*")
	apply(t, s, c.create("messages", body(1)))
	if _, err := s.Acquire(t.Context(), sub.Key, "a"); err != nil {
		t.Fatal(err)
	}
	d := due(t, s, sub.Key)[0].Delivery
	for _, step := range []struct {
		owner       string
		since, want time.Time
	}{{"b", storedAt, time.Time{}}, {"a", storedAt, storedAt}, {"b", time.Time{}, storedAt}, {"a", time.Time{}, time.Time{}}} {
		a := subscription.Attempt{ID: uuid.NewString(), Tenant: d.Tenant, Delivery: d.ID, At: storedAt}
		err := s.RecordAttempts(t.Context(), []store.Tried{{Delivery: d, Attempt: a, Status: subscription.Pending}},
			[]store.Failing{{Key: sub.Key, Owner: step.owner, Since: step.since}})
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Acquire(t.Context(), sub.Key, "a")
		if err != nil || !got.FailingSince.Equal(step.want) {
			t.Errorf("%s says since %v: %+v, %v; want %v", step.owner, step.since, got, err, step.want)
		}
	}
}

func testRetry(t *testing.T, s *store.Store) {
	c := &clock{}
	sub := subscribe(t, s, "*")
	apply(t, s, c.create("messages", body(1)))
	d := due(t, s, sub.Key)[0].Delivery
	if _, err := s.RetryDelivery(t.Context(), d.Tenant, d.ID); fault.KindOf(err) != fault.Conflict {
		t.Errorf("retry of one that is due = %v, want Conflict", err)
	}
	for _, from := range []subscription.Status{subscription.Pending, subscription.Dead, subscription.Delivered} {
		tried(t, s, d, from, time.Hour)
		again, err := s.RetryDelivery(t.Context(), d.Tenant, d.ID)
		if err != nil || again.Status != subscription.Pending || again.Generation != d.Generation+1 || again.Tries != 0 || again.Attempts != d.Attempts+1 || again.Progress != "" {
			t.Fatalf("retry of a %s one = %+v, %v", from, again, err)
		}
		if got := due(t, s, sub.Key); len(got) != 1 {
			t.Fatalf("retry of a %s one: %d due", from, len(got))
		}
		d = *again
	}
	if _, err := s.RetryDelivery(t.Context(), "other", d.ID); fault.KindOf(err) != fault.NotFound {
		t.Errorf("retry by another tenant = %v, want NotFound", err)
	}
}

func testReplayDead(t *testing.T, s *store.Store) {
	c := &clock{}
	sub, other := subscribe(t, s, "*"), subscribe(t, s, "*")
	for i := range 6 {
		apply(t, s, c.create("messages", body(i)))
	}
	for _, d := range due(t, s, other.Key) {
		tried(t, s, d.Delivery, subscription.Dead, 0)
	}
	all := due(t, s, sub.Key)
	for i, status := range []subscription.Status{subscription.Dead, subscription.Dead, subscription.Delivered, subscription.Pending, subscription.Dead} {
		tried(t, s, all[i].Delivery, status, time.Hour)
	}
	q := store.ReplayQuery{Since: record.AcceptedAt(all[1].Event), Until: time.Now(), Dead: true}
	if n, err := s.Replay(t.Context(), sub.Key, q); n != 2 || err != nil {
		t.Errorf("Replay = %d, %v; want 2", n, err)
	}
	if got := due(t, s, sub.Key); len(got) != 3 {
		t.Errorf("%d are due, want 3", len(got))
	}
	if n, err := s.Replay(t.Context(), sub.Key, q); n != 0 || err != nil {
		t.Errorf("Replay again = %d, %v; want 0", n, err)
	}
}

func testReplayAll(t *testing.T, s *store.Store) {
	c := &clock{}
	sub := subscribe(t, s, "messages.*")
	first := c.create("messages", body(1))
	apply(t, s, first)
	update(t, s, sub.Key, func(u *subscription.Subscription) { u.Enabled = false })
	missed := c.create("messages", body(2))
	apply(t, s, missed, c.create("todos", body(3)))
	if made := deliveries(t, s, store.DeliveryQuery{Event: missed.ID}); len(made) != 0 {
		t.Errorf("a disabled subscription's event made deliveries: %+v", made)
	}
	q := store.ReplayQuery{Since: record.AcceptedAt(first.ID), Until: record.AcceptedAt(missed.ID)}
	if _, err := s.Replay(t.Context(), sub.Key, q); fault.KindOf(err) != fault.Conflict {
		t.Errorf("replay to a disabled one = %v, want Conflict", err)
	}
	update(t, s, sub.Key, func(u *subscription.Subscription) { u.Enabled = true })
	if n, err := s.Replay(t.Context(), sub.Key, q); n != 2 || err != nil {
		t.Errorf("Replay = %d, %v; want 2", n, err)
	}
	if n, err := s.Replay(t.Context(), sub.Key, q); n != 0 || err != nil {
		t.Errorf("Replay of what is due = %d, %v; want 0", n, err)
	}
	got := due(t, s, sub.Key)
	if len(got) != 2 || got[0].Generation+got[1].Generation != 3 {
		t.Errorf("due: %+v; want the canceled one in its second generation and a new one", got)
	}
	q.Until = q.Since.Add(-time.Microsecond)
	if n, err := s.Replay(t.Context(), sub.Key, q); n != 0 || err != nil {
		t.Errorf("Replay of an empty time = %d, %v", n, err)
	}
}

func testDeliveryLists(t *testing.T, s *store.Store) {
	c := &clock{}
	subs := []*subscription.Subscription{subscribe(t, s, "*"), subscribe(t, s, "*")}
	for i := range 8 {
		apply(t, s, c.create("messages", body(i)))
	}
	statuses := []subscription.Status{subscription.Dead, subscription.Delivered, subscription.Canceled, subscription.Pending}
	for _, sub := range subs {
		for i, d := range due(t, s, sub.Key) {
			tried(t, s, d.Delivery, statuses[i%4], time.Hour)
		}
	}
	all := deliveries(t, s, store.DeliveryQuery{})
	if len(all) != 16 || !slices.IsSortedFunc(all, func(a, b subscription.Delivery) int { return -strings.Compare(a.ID, b.ID) }) {
		t.Fatalf("%d deliveries, want 16, newest first", len(all))
	}
	for _, sub := range append([]string{""}, subs[0].ID, subs[1].ID) {
		for _, status := range append(statuses, "") {
			for _, event := range []string{"", all[3].Event} {
				q := store.DeliveryQuery{Subscription: sub, Status: status, Event: event, Limit: 2}
				want := slices.DeleteFunc(slices.Clone(all), func(d subscription.Delivery) bool {
					return sub != "" && d.Subscription != sub || status != "" && d.Status != status || event != "" && d.Event != event
				})
				var got []subscription.Delivery
				for more := true; more; {
					var page []subscription.Delivery
					var err error
					if page, more, err = s.Deliveries(t.Context(), record.DefaultTenant, q); err != nil {
						t.Fatal(err)
					}
					got = append(got, page...)
					if len(page) > 0 {
						q.Before = page[len(page)-1].ID
					}
				}
				same(t, fmt.Sprintf("list %+v", q), got, append([]subscription.Delivery(nil), want...))
			}
		}
	}
	if got, _, err := s.Deliveries(t.Context(), "other", store.DeliveryQuery{Limit: 10}); len(got) != 0 || err != nil {
		t.Errorf("another tenant's deliveries: %v, %v", got, err)
	}
}

func testDisable(t *testing.T, s *store.Store) {
	c := &clock{}
	sub, all, named := subscribe(t, s, "*"), subscribe(t, s, "*"), subscribe(t, s, "subscription.disabled")
	apply(t, s, c.create("messages", body(1)))
	notice := func(sub *subscription.Subscription) subscription.Event {
		return subscription.Notice(sub.Tenant, c.id(), subscription.TypeDisabled, storedAt, []byte(`{"id":"`+sub.ID+`"}`))
	}
	told, err := s.Disable(t.Context(), sub.Key, "gone", storedAt, notice)
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(told, func(a, b subscription.Key) int { return strings.Compare(a.ID, b.ID) })
	same(t, "told", told, []subscription.Key{all.Key, named.Key})
	if told, err = s.Disable(t.Context(), sub.Key, "again", storedAt, notice); len(told) != 0 || err != nil {
		t.Errorf("Disable again = %v, %v", told, err)
	}
	got, err := s.Subscription(t.Context(), sub.Key)
	if err != nil || got.Enabled || got.Reason != "gone" || !got.DisabledAt.Equal(storedAt) {
		t.Errorf("disabled: %+v, %v", got, err)
	}
	if canceled := deliveries(t, s, store.DeliveryQuery{Subscription: sub.ID, Status: subscription.Canceled}); len(canceled) != 1 {
		t.Errorf("canceled: %+v, want its pending one", canceled)
	}
	if pending := due(t, s, named.Key); len(pending) != 1 || pending[0].Type != subscription.TypeDisabled {
		t.Errorf("due for the one that named it: %+v", pending)
	}
}
