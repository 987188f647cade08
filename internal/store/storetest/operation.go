package storetest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/store"
)

var operationTests = map[string]func(*testing.T, *store.Store){
	"Operations_Filters":               operationFilters,
	"Operations_KnowNothingOfTheQueue": operationsOfTheQueue,
	"Known_SaysWhichAreStored":         saysWhichAreKnown,
}

// writeHistory stores operations of both tenants, of every kind.
func writeHistory(t *testing.T, s *store.Store) []record.Stored {
	var c clock
	var all []record.Operation
	for i := range 30 {
		create := c.create([]string{"messages", "todos"}[i%2], body(i))
		all = append(all, create,
			c.write(record.Patch, create.Key, body(i)),
			c.replace(key("todos", fmt.Sprint("put", i%3)), body(i)),
			c.replace(key("messages", "put0"), body(i)),
			c.write(record.Patch, key("messages", fmt.Sprint("missing", i%2)), body(i)),
			c.write(record.Delete, key("todos", "missing1"), ""))
		if i%5 == 0 {
			other := c.create("messages", body(i))
			other.Tenant = "other"
			all = append(all, other)
		}
	}
	var stored []record.Stored
	for batch := range slices.Chunk(all, 50) {
		for _, o := range apply(t, s, batch...) {
			stored = append(stored, record.Stored{ID: o.Operation.ID, Key: o.Operation.Key, Action: o.Operation.Action, Status: o.Status, Version: o.Version,
				Code: o.Code, Detail: o.Detail, Attempts: 1, AcceptedAt: record.AcceptedAt(o.Operation.ID), StoredAt: storedAt})
		}
	}
	slices.Reverse(stored)
	return stored
}

func operationFilters(t *testing.T, s *store.Store) {
	history := writeHistory(t, s)
	created := history[len(history)-1].Key.ID
	for _, tenant := range []string{record.DefaultTenant, "other"} {
		for _, collection := range []string{"", "messages"} {
			for _, rec := range []string{"", created, "put0", "missing1"} {
				for _, status := range []record.Status{"", record.Done, record.Failed} {
					q := store.OperationQuery{Collection: collection, Record: rec, Status: status}
					var want []record.Stored
					for _, o := range history {
						if o.Tenant == tenant && (collection == "" || o.Collection == collection) && (rec == "" || o.Key.ID == rec) && (status == "" || o.Status == status) {
							want = append(want, o)
						}
					}
					for _, q.Limit = range []int{17, 500} {
						same(t, fmt.Sprintf("%s %+v", tenant, q), operationPages(t, s, tenant, q), want)
					}
				}
			}
		}
	}
}

// operationPages reads a list to its end.
func operationPages(t testing.TB, s *store.Store, tenant string, q store.OperationQuery) []record.Stored {
	t.Helper()
	var got []record.Stored
	for {
		items, more, err := s.Operations(t.Context(), tenant, q)
		if err != nil {
			t.Fatal(err)
		}
		if len(items) > q.Limit || more && len(items) < q.Limit {
			t.Fatalf("a page of %d with more %v, limit %d", len(items), more, q.Limit)
		}
		got = append(got, items...)
		if !more {
			return got
		}
		last := items[len(items)-1].ID
		if last == q.Before {
			t.Fatal("the next page is the same again")
		}
		q.Before = last
	}
}

func operationsOfTheQueue(t *testing.T, s *store.Store) {
	writeHistory(t, s)
	for _, q := range []store.OperationQuery{{Status: record.Queued}, {Status: record.Retrying}, {Status: "odd"}, {Record: "a\x00"}, {Collection: "\xff"}} {
		q.Limit = 5
		same(t, fmt.Sprintf("%+v", q), operationPages(t, s, record.DefaultTenant, q), []record.Stored(nil))
	}
}

func saysWhichAreKnown(t *testing.T, s *store.Store) {
	var c clock
	done, failed, never := c.create("messages", body(1)), c.write(record.Delete, key("messages", "none"), ""), c.id()
	apply(t, s, done, failed)
	got, err := s.Known(t.Context(), []record.OperationKey{
		{Tenant: done.Tenant, ID: done.ID}, {Tenant: done.Tenant, ID: failed.ID}, {Tenant: done.Tenant, ID: never},
		{Tenant: done.Tenant, ID: "no ID"}, {Tenant: "\x00", ID: never}, {Tenant: done.Tenant, ID: done.ID},
	})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "known", got, map[string]bool{done.ID: true, failed.ID: true})
	got, err = s.Known(t.Context(), []record.OperationKey{{Tenant: "other", ID: done.ID}})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "known to another tenant", got, map[string]bool{})
}
