package storetest

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/store"
	"github.com/waybill-dev/waybill/internal/subscription"
)

var purgePageTests = map[string]func(*testing.T, *store.Store){
	"PurgePage_Operations":                  testPurgeOperations,
	"PurgePage_DeliveriesAndEvents":         testPurgeDeliveries,
	"PurgePage_RecordsOfACollection":        testPurgeRecords,
	"PurgePage_TwoAtOnceCountARowOnce":      testPurgeTogether,
	"PurgePage_AndReplayLoseNoEvent":        testPurgeAndReplay,
	"PurgeIdentity_RemovesRevokedKeysAlone": testPurgeKeys,
	"ClaimJob_IsOneCallers":                 testClaimJob,
	"ClaimJob_OutlivesAWrongClock":          testClaimWrongClock,
}

// purgeAll returns how many rows of each table all pages of p removed.
func purgeAll(t testing.TB, s *store.Store, p store.Purge, limit int) map[string]int64 {
	t.Helper()
	all := map[string]int64{}
	for place := (store.Place{}); ; {
		removed, next, err := s.PurgePage(t.Context(), p, place, limit)
		if err != nil {
			t.Fatalf("PurgePage: %v", err)
		}
		for table, n := range removed {
			if n > 0 {
				all[table] += n
			}
		}
		if place = next; place == (store.Place{}) {
			return all
		}
	}
}

func testPurgeOperations(t *testing.T, s *store.Store) {
	c := &clock{}
	apply(t, s, writesOf(c, record.DefaultTenant, 7)...)
	other := writesOf(c, "other", 3)
	apply(t, s, other...)
	late := writesOf(c, record.DefaultTenant, 2) // accepted with the others, and stored much later
	must2(t)(s.Apply(t.Context(), late, nil, storedAt.Add(48*time.Hour), fold))
	last := c.create("messages", body(1))
	apply(t, s, last)

	same(t, "before its time", purgeAll(t, s, store.Purge{Of: store.Operations, Before: storedAt}, 3), map[string]int64{})
	p := store.Purge{Of: store.Operations, Before: storedAt.Add(time.Hour)}
	same(t, "purged", purgeAll(t, s, p, 3), map[string]int64{"operations": 7 + 3 + 1})
	same(t, "purged again", purgeAll(t, s, p, 3), map[string]int64{})
	if _, err := s.Operation(t.Context(), "other", other[0].ID); fault.KindOf(err) != fault.NotFound {
		t.Errorf("one that is gone: %v", err)
	}
	items, more, err := s.Operations(t.Context(), record.DefaultTenant, store.OperationQuery{Limit: 10, Before: last.ID}) // a cursor that is gone
	must(t, err)
	if more || len(items) != 2 || items[0].ID != late[1].ID {
		t.Errorf("the list is %+v, more %v; want the two that were stored late", items, more)
	}
	if get(t, s, last.Key) == nil {
		t.Error("a record went with its operation")
	}
}

func must2(t testing.TB) func([]record.Outcome, error) {
	t.Helper()
	return func(_ []record.Outcome, err error) {
		t.Helper()
		must(t, err)
	}
}

func writesOf(c *clock, tenant string, n int) []record.Operation {
	all := make([]record.Operation, n)
	for i := range all {
		all[i] = c.create("messages", body(i))
		all[i].Tenant = tenant
	}
	return all
}

func testPurgeDeliveries(t *testing.T, s *store.Store) {
	c := &clock{}
	sub := subscribe(t, s, "*")
	ops := writesOf(c, record.DefaultTenant, 3)
	apply(t, s, ops...)
	byEvent := map[string]subscription.Delivery{}
	for _, d := range deliveries(t, s, store.DeliveryQuery{}) {
		byEvent[d.Event] = d
	}
	tried(t, s, byEvent[ops[0].ID], subscription.Delivered, 0)
	tried(t, s, byEvent[ops[1].ID], subscription.Dead, 0)
	tried(t, s, byEvent[ops[2].ID], subscription.Pending, time.Hour)
	quiet := c.create("messages", body(1)) // its event is kept without a delivery
	update(t, s, sub.Key, func(u *subscription.Subscription) { u.Events = []string{"todos.*"} })
	_, err := s.Announce(t.Context(), &subscription.Event{ID: uuid.Must(uuid.NewV7()).String(), Tenant: sub.Tenant, Type: "subscription.test", Body: []byte("{}")}, sub.Key)
	must(t, err)
	apply(t, s, quiet)

	past, future := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	same(t, "young", purgeAll(t, s, store.Purge{Of: store.Deliveries, Before: past}, 2), map[string]int64{})
	same(t, "events with deliveries", purgeAll(t, s, store.Purge{Of: store.Events, Before: future}, 2), map[string]int64{})
	same(t, "ended", purgeAll(t, s, store.Purge{Of: store.Deliveries, Before: future}, 2), map[string]int64{"deliveries": 2, "attempts": 2})
	same(t, "events of operations stored since", purgeAll(t, s, store.Purge{Of: store.Events, Before: storedAt}, 2), map[string]int64{})
	same(t, "events", purgeAll(t, s, store.Purge{Of: store.Events, Before: future}, 2), map[string]int64{"events": 2})
	left := deliveries(t, s, store.DeliveryQuery{})
	if len(left) != 2 {
		t.Fatalf("%d deliveries left, want the two that are pending", len(left))
	}
	attempts, err := s.Attempts(t.Context(), sub.Tenant, byEvent[ops[2].ID].ID)
	if must(t, err); len(attempts) != 1 {
		t.Errorf("%d attempts at one that is pending", len(attempts))
	}
	if _, err := s.RetryDelivery(t.Context(), sub.Tenant, byEvent[ops[2].ID].ID); err != nil {
		t.Error(err)
	}
	if got := due(t, s, sub.Key); len(got) != 2 || len(got[0].Body) == 0 {
		t.Errorf("due: %+v, want both, with their events", got)
	}
}

func testPurgeRecords(t *testing.T, s *store.Store) {
	must(t, s.EnsureIndexes(t.Context(), nil, "it's", "todos"))
	c := &clock{}
	old, touched, elsewhere := c.create("it's", body(1)), c.create("it's", body(2)), c.create("messages", body(3))
	abroad := c.create("it's", body(4))
	abroad.Tenant = "other"
	apply(t, s, old, touched, elsewhere, abroad)
	border := c.write(record.Patch, touched.Key, body(5))
	apply(t, s, border)
	p := store.Purge{Of: store.Records, Collection: "it's", Before: record.AcceptedAt(border.ID)}
	same(t, "purged", purgeAll(t, s, p, 1), map[string]int64{"records": 2})
	for name, want := range map[string]struct {
		record.Key
		stays bool
	}{"old": {old.Key, false}, "abroad": {abroad.Key, false}, "written since": {touched.Key, true}, "of another collection": {elsewhere.Key, true}} {
		if stays := get(t, s, want.Key) != nil; stays != want.stays {
			t.Errorf("the record %s: stays %v", name, stays)
		}
	}
	again := apply(t, s, c.replace(old.Key, body(6)), c.write(record.Patch, abroad.Key, body(7)))
	if again[0].Version != 1 || again[1].Code != fault.NotFound {
		t.Errorf("after it: %+v", again)
	}
	same(t, "operations known", known(t, s, old.ID), 1)
}

func known(t testing.TB, s *store.Store, id string) int {
	t.Helper()
	found, err := s.Known(t.Context(), []record.OperationKey{{Tenant: record.DefaultTenant, ID: id}})
	must(t, err)
	return len(found)
}

func testPurgeTogether(t *testing.T, s *store.Store) {
	c := &clock{}
	const rows = 300
	apply(t, s, writesOf(c, record.DefaultTenant, rows)...)
	var removed atomic.Int64
	together(4, func(int) {
		n := purgeAll(t, s, store.Purge{Of: store.Operations, Before: storedAt.Add(time.Hour)}, 20)
		removed.Add(n["operations"])
	})
	removed.Add(purgeAll(t, s, store.Purge{Of: store.Operations, Before: storedAt.Add(time.Hour)}, 20)["operations"]) // what each thought another would take
	same(t, "removed", removed.Load(), int64(rows))
}

// testPurgeAndReplay: whatever a replay made a delivery of is there to be delivered.
func testPurgeAndReplay(t *testing.T, s *store.Store) {
	c := &clock{}
	off := newSubscription("*")
	off.Enabled = false
	must(t, s.CreateSubscription(t.Context(), off))
	sub := subscribe(t, s, "todos.*")
	for range 8 {
		apply(t, s, writesOf(c, record.DefaultTenant, 30)...)
		update(t, s, sub.Key, func(u *subscription.Subscription) { u.Events = []string{"*"} })
		together(2, func(i int) {
			if i == 0 {
				purgeAll(t, s, store.Purge{Of: store.Events, Before: storedAt.Add(time.Hour)}, 7)
				return
			}
			if _, err := s.Replay(t.Context(), sub.Key, store.ReplayQuery{Since: time.Unix(0, 0), Until: storedAt}); err != nil {
				t.Error(err)
			}
		})
		made := deliveries(t, s, store.DeliveryQuery{Subscription: sub.ID, Status: subscription.Pending})
		got := due(t, s, sub.Key)
		if len(got) != len(made) {
			t.Fatalf("%d deliveries are pending, and %d have their events", len(made), len(got))
		}
		for i := range got {
			tried(t, s, got[i].Delivery, subscription.Delivered, 0)
		}
		purgeAll(t, s, store.Purge{Of: store.Deliveries, Before: time.Now().Add(time.Hour)}, 50)
		purgeAll(t, s, store.Purge{Of: store.Events, Before: time.Now().Add(time.Hour)}, 50)
		update(t, s, sub.Key, func(u *subscription.Subscription) { u.Events = []string{"todos.*"} })
	}
}

func testPurgeKeys(t *testing.T, s *store.Store) {
	u := makeUser(t, s)
	for i, by := range []string{u.ID, u.ID, u.ID, ""} {
		k := newKey(u.Tenant, u.ID)
		k.ID = fmt.Sprint("k", i)
		k.CreatedBy = by
		must(t, s.CreateKey(acting(t), k))
		if i > 0 {
			must(t, s.RevokeKey(acting(t), k.Tenant, k.ID, "", storedAt.Add(time.Duration(i)*time.Hour)))
		}
	}
	_, err := s.PurgeIdentity(t.Context(), storedAt.Add(90*time.Minute), storedAt.Add(100*time.Hour), 10)
	must(t, err)
	for id, want := range map[string]fault.Kind{"k0": "", "k1": fault.NotFound, "k2": "", "k3": ""} {
		_, _, err := s.KeyOwner(t.Context(), id)
		same(t, id, fault.KindOf(err), want)
	}
}

func testClaimJob(t *testing.T, s *store.Store) {
	var claimed atomic.Int32
	together(8, func(int) {
		mine, err := s.ClaimJob(t.Context(), "j", time.Hour, 3*time.Hour)
		if err != nil {
			t.Error(err)
		}
		if mine {
			claimed.Add(1)
		}
	})
	same(t, "claimed", claimed.Load(), int32(1))
	claim := func(want bool) {
		t.Helper()
		mine, err := s.ClaimJob(t.Context(), "j", time.Hour, 3*time.Hour)
		must(t, err)
		same(t, "claimed", mine, want)
	}
	must(t, s.EndJob(t.Context(), "j", time.Hour))
	claim(false)
	must(t, s.EndJob(t.Context(), "j", 0))
	claim(true)
	must(t, s.EndJob(t.Context(), "j", -time.Second)) // as a lease that ran out
	claim(true)
}

func testClaimWrongClock(t *testing.T, s *store.Store) {
	must2nd(t)(s.ClaimJob(t.Context(), "j", 365*24*time.Hour, time.Hour))
	mine, err := s.ClaimJob(t.Context(), "j", time.Minute, 2*time.Hour)
	must(t, err)
	same(t, "claimed", mine, true)
	now, err := s.Now(t.Context())
	must(t, err)
	if d := time.Since(now).Abs(); d > time.Minute {
		t.Errorf("the database's clock is %v off", d)
	}
}

func must2nd(t testing.TB) func(bool, error) {
	t.Helper()
	return func(_ bool, err error) {
		t.Helper()
		must(t, err)
	}
}
