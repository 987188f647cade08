package storetest

import (
	"fmt"
	"testing"

	"github.com/waybill-dev/waybill/internal/principal"
	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/store"
	"github.com/waybill-dev/waybill/internal/subscription"
)

var ownerTests = map[string]func(*testing.T, *store.Store){
	"Records_AreTheirCreators":      testOwnerKept,
	"Records_PageByOwner":           testOwnerPages,
	"Subscription_KeepsItsReach":    testReachKept,
	"Event_KeepsItsOwnerForReplays": testEventOwner,
}

// by makes op somebody's.
func by(who string, op record.Operation) record.Operation {
	op.Principal = who
	return op
}

func testOwnerKept(t *testing.T, s *store.Store) {
	var c clock
	k := key("todos", "mine")
	first, second := by("user:a", c.replace(k, body(1))), by("user:b", c.replace(k, body(2)))
	missing := by("user:b", c.write(record.Patch, key("todos", "none"), body(1)))
	apply(t, s, first)
	apply(t, s, second, missing)
	same(t, "the record's owner", get(t, s, k).Owner, "user:a")
	remove, again := by("user:b", c.write(record.Delete, k, "")), by("user:b", c.replace(k, body(3)))
	apply(t, s, remove, again)
	same(t, "the owner of one that was made anew", get(t, s, k).Owner, "user:b")
	for op, want := range map[string]string{first.ID: "user:a", second.ID: "user:a", missing.ID: "user:b", remove.ID: "user:a", again.ID: "user:b"} {
		same(t, "the operation's owner", operation(t, s, k.Tenant, op).Owner, want)
		all, err := s.OperationsOf(t.Context(), []record.OperationKey{{Tenant: k.Tenant, ID: op}})
		must(t, err)
		same(t, "the operation's owner, of many", all[op].Owner, want)
	}
}

func testOwnerPages(t *testing.T, s *store.Store) {
	var c clock
	want := map[string][]string{}
	filtered := map[string][]string{}
	for i := range 30 {
		who := []string{"user:a", "", "key:b"}[i%3]
		op := by(who, c.create("messages", body(i%2)))
		apply(t, s, op, by(who, c.create("todos", body(i))))
		want[who] = append(want[who], op.ID)
		if i%2 == 0 {
			filtered[who] = append(filtered[who], op.ID)
		}
	}
	for _, who := range []string{"user:a", "key:b", "none", "\x00"} {
		for _, limit := range []int{1, 3, 10, 500} {
			q := store.RecordQuery{Limit: limit, Owner: who}
			what := fmt.Sprintf("%q by %d", who, limit)
			same(t, what, pages(t, s, "messages", q, nil), want[who])
			q.Filters = []store.Filter{{Field: "n", Value: "0"}}
			same(t, what+", filtered", pages(t, s, "messages", q, nil), filtered[who])
			q = store.RecordQuery{Limit: limit, Owner: who, Descending: true}
			if want[who] != nil {
				same(t, what+", the other way", pages(t, s, "messages", q, nil), reversed(want[who]))
			}
		}
	}
	items, _, err := s.Records(t.Context(), "other", "messages", store.RecordQuery{Limit: 5, Owner: "user:a"})
	if len(items) != 0 || err != nil {
		t.Errorf("in another tenant: %v, %v", items, err)
	}
}

func testReachKept(t *testing.T, s *store.Store) {
	sub := newSubscription("*")
	sub.Reach = subscription.Reach{Role: principal.Admin, Principal: "key:1", Collections: []string{"messages", "todos"}}
	must(t, s.CreateSubscription(t.Context(), sub))
	for _, reach := range []subscription.Reach{sub.Reach, {Role: principal.Member, Principal: "user:2"}, {}} {
		update(t, s, sub.Key, func(u *subscription.Subscription) { u.Reach = reach })
		got, err := s.Subscription(t.Context(), sub.Key)
		must(t, err)
		same(t, "reach", got.Reach, reach)
	}
}

func testEventOwner(t *testing.T, s *store.Store) {
	c := &clock{}
	sub := subscribe(t, s, "*")
	e := subscription.Notice(sub.Tenant, c.id(), subscription.TypeTest, storedAt, []byte(`{}`))
	e.Owner = "user:a"
	_, err := s.Announce(t.Context(), &e, sub.Key)
	must(t, err)
	rows, err := s.DB().QueryContext(t.Context(), "SELECT owner FROM events")
	must(t, err)
	got, err := texts(rows)
	must(t, err)
	same(t, "owners of events", got, []string{"user:a"})
}
