package storetest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/principal"
	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/store"
	"github.com/waybill-dev/waybill/internal/subscription"
)

var auditTests = map[string]func(*testing.T, *store.Store){
	"Audit_SaysWhoDidWhat":               testAuditEntry,
	"Audit_ListsByAnything":              testAuditLists,
	"Audit_OfSubscriptionsAndDeliveries": testAuditSubscriptions,
	"Audit_OfAReplayOfMany":              testAuditReplay,
}

// lastEntry returns the newest of a tenant's audit.
func lastEntry(t testing.TB, s *store.Store, tenant string) principal.Entry {
	t.Helper()
	entries, _, err := s.Audit(t.Context(), tenant, store.AuditQuery{Limit: 1})
	if err != nil || len(entries) != 1 {
		t.Fatalf("audit of %s: %v, %v", tenant, entries, err)
	}
	return entries[0]
}

func testAuditEntry(t *testing.T, s *store.Store) {
	u := makeUser(t, s)
	got := lastEntry(t, s, u.Tenant)
	want := principal.Entry{ID: got.ID, Tenant: u.Tenant, At: got.At, Principal: "user:admin", Key: "K1", Action: "user.create", Target: u.ID,
		Detail: json.RawMessage(`{"email":"` + u.Email + `","role":"member"}`), Address: "192.0.2.1", RequestID: "r1"}
	same(t, "entry", got, want)
	if since := time.Since(got.At); since < -time.Minute || since > time.Minute || got.ID == "" {
		t.Errorf("entry %q at %v", got.ID, got.At)
	}
	must(t, s.CreateUser(t.Context(), newUser("other")))
	same(t, "without an actor", lastEntry(t, s, "other").Principal, "system")
	odd := principal.WithActor(t.Context(), principal.Actor{Address: "a\x00", RequestID: "\xff"})
	must(t, s.CreateUser(odd, newUser("other")))
	same(t, "of an odd actor", lastEntry(t, s, "other").Address, "a\uFFFD")
}

func testAuditLists(t *testing.T, s *store.Store) {
	u := makeUser(t, s)
	for i := range 9 {
		by := principal.WithActor(t.Context(), principal.Actor{Principal: fmt.Sprint("p", i%2)})
		made := newSession(u, principal.Login)
		must(t, s.CreateSession(by, made, nil))
		if i%3 == 0 {
			must(t, s.EndSession(by, made.ID, storedAt))
		}
	}
	all, more, err := s.Audit(t.Context(), u.Tenant, store.AuditQuery{Limit: 100})
	if err != nil || more || len(all) != 13 || !slices.IsSortedFunc(all, func(a, b principal.Entry) int { return strings.Compare(b.ID, a.ID) }) {
		t.Fatalf("%d entries, more %v, %v; want 13, newest first", len(all), more, err)
	}
	target := all[0].Target
	for _, by := range []string{"", "p0", "p1", "none"} {
		for _, action := range []string{"", "session.start", "session.end"} {
			for _, target := range []string{"", target, "none", "\x00"} {
				q := store.AuditQuery{Principal: by, Action: action, Target: target, Limit: 2}
				var want []string
				for _, e := range all {
					if (by == "" || e.Principal == by) && (action == "" || e.Action == action) && (target == "" || e.Target == target) {
						want = append(want, e.ID)
					}
				}
				got := collect(t, func(last string) (ids []string, more bool, err error) {
					q.Before = last
					page, more, err := s.Audit(t.Context(), u.Tenant, q)
					for _, e := range page {
						ids = append(ids, e.ID)
					}
					return ids, more, err
				})
				same(t, fmt.Sprintf("%+v", q), got, want)
			}
		}
	}
	if got, _, err := s.Audit(t.Context(), "other", store.AuditQuery{Limit: 10}); len(got) != 0 || err != nil {
		t.Errorf("another tenant's: %v, %v", got, err)
	}
}

func testAuditSubscriptions(t *testing.T, s *store.Store) {
	c := &clock{}
	sub := newSubscription("messages.*")
	sub.Target = []byte("hunter2")
	change := func(f func(*subscription.Subscription) error) func() error {
		return func() error {
			_, err := s.UpdateSubscription(acting(t), sub.Key, f)
			return err
		}
	}
	enable := func(on bool) func() error {
		return change(func(u *subscription.Subscription) error { u.Enabled = on; return nil })
	}
	notice := func(of *subscription.Subscription) subscription.Event {
		return subscription.Notice(of.Tenant, c.id(), subscription.TypeDisabled, storedAt, []byte(`{}`))
	}
	disable := func() error {
		_, err := s.Disable(t.Context(), sub.Key, "it answered 410", storedAt, notice)
		return err
	}
	announce := func() error {
		e := subscription.Notice(sub.Tenant, c.id(), subscription.TypeTest, storedAt, []byte(`{}`))
		_, err := s.Announce(acting(t), &e, sub.Key)
		return err
	}
	var delivery string
	retry := func() error { _, err := s.RetryDelivery(acting(t), sub.Tenant, delivery); return err }
	remove := func() error { return s.DeleteSubscription(acting(t), sub.Key) }
	says := func(entry string) []string { return []string{entry} }
	follow(t, s,
		step{name: "create", do: func() error { return s.CreateSubscription(acting(t), sub) }, audits: says("subscription.create")},
		step{name: "no change", do: change(func(u *subscription.Subscription) error { u.UpdatedAt = time.Now(); return nil })},
		step{name: "target", do: change(func(u *subscription.Subscription) error { u.Target = []byte("hunter3"); return nil }), audits: says("subscription.update")},
		step{name: "in place", do: change(func(u *subscription.Subscription) error { u.Events[0] = "*"; return nil }), audits: says("subscription.update")},
		step{name: "refused", do: change(func(*subscription.Subscription) error { return fault.New(fault.Conflict, "no") }), fails: fault.Conflict},
		step{name: "disable", do: enable(false), audits: says("subscription.disable")},
		step{name: "test of a disabled one", do: announce, fails: fault.Conflict},
		step{name: "enable", do: enable(true), audits: says("subscription.enable")},
		step{name: "test", do: announce, audits: says("subscription.test")})
	d := due(t, s, sub.Key)[0].Delivery
	delivery = d.ID
	follow(t, s, step{name: "retry of one that is due", do: retry, fails: fault.Conflict})
	tried(t, s, d, subscription.Dead, 0)
	follow(t, s, step{name: "retry", do: retry, audits: says("delivery.retry")},
		step{name: "a worker disables", do: disable, audits: says("subscription.disable")},
		step{name: "again", do: disable})
	same(t, "a worker's", lastEntry(t, s, sub.Tenant).Principal, "system")
	follow(t, s, step{name: "delete", do: remove, audits: says("subscription.delete")}, step{name: "delete again", do: remove, fails: fault.NotFound})
	entries, _, err := s.Audit(t.Context(), sub.Tenant, store.AuditQuery{Limit: 100})
	must(t, err)
	for _, e := range entries {
		if strings.Contains(string(e.Detail), "hunter") {
			t.Errorf("%s tells a secret: %s", e.Action, e.Detail)
		}
	}
}

func testAuditReplay(t *testing.T, s *store.Store) {
	c := &clock{}
	sub := subscribe(t, s, "messages.created")
	var batch []record.Operation
	for i := range 1200 { // more than one transaction replays
		batch = append(batch, c.create("messages", body(i)))
	}
	apply(t, s, batch...)
	update(t, s, sub.Key, func(u *subscription.Subscription) { u.Enabled = false })
	update(t, s, sub.Key, func(u *subscription.Subscription) { u.Enabled = true })
	q := store.ReplayQuery{Since: record.AcceptedAt(batch[0].ID), Until: time.Now()}
	follow(t, s, step{name: "replay", audits: []string{"subscription.replay"}, do: func() error {
		n, err := s.Replay(acting(t), sub.Key, q)
		same(t, "count", n, 1200)
		return err
	}})
	e := lastEntry(t, s, sub.Tenant)
	same(t, "entry", []string{e.Principal, e.Target, string(e.Detail)}, []string{"user:admin", sub.ID, `{"count":1200}`})
}
