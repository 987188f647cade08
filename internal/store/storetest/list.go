package storetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/store"
)

var listTests = map[string]func(*testing.T, *store.Store){
	"Records_PagesAreTheSameAtAnyLimit":         pagesAtAnyLimit,
	"Records_PagesHoldStillWhileRecordsAreMade": pagesHoldStill,
	"Records_KeepTenantsAndCollectionsApart":    keepApart,
	"Records_Filters":                           filters,
	"Records_FiltersOnAnyFieldName":             filtersOnAnyName,
	"Records_FiltersOnLongValues":               filtersOnLongValues,
	"Records_RefuseABadCursor":                  refuseABadCursor,
	"EnsureIndexes_MakesAndDropsThem":           makesAndDropsIndexes,
	"Record_WhatNoDatabaseCouldHoldIsNotFound":  oddKeysAreNotFound,
	"Exists_SaysWhichRecordsExist":              saysWhichExist,
}

// pages reads a list to its end, a page at a time, and returns the records' IDs.
func pages(t testing.TB, s *store.Store, collection string, q store.RecordQuery, between func()) []string {
	t.Helper()
	var got []string
	for {
		items, more, err := s.Records(t.Context(), record.DefaultTenant, collection, q)
		if err != nil {
			t.Fatal(err)
		}
		if len(items) > q.Limit || more && len(items) < q.Limit {
			t.Fatalf("a page of %d with more %v, limit %d", len(items), more, q.Limit)
		}
		for _, r := range items {
			got = append(got, r.ID)
		}
		if !more {
			return got
		}
		last := items[len(items)-1].CreatedBy
		if last == q.After {
			t.Fatal("the next page is the same again")
		}
		q.After = last
		if between != nil {
			between()
		}
	}
}

func makeRecords(t testing.TB, s *store.Store, c *clock, collection string, n int) []string {
	t.Helper()
	var batch []record.Operation
	var ids []string
	for i := range n {
		op := c.create(collection, body(i%3))
		batch, ids = append(batch, op), append(ids, op.ID)
	}
	apply(t, s, batch...)
	return ids
}

func reversed(ids []string) []string {
	ids = slices.Clone(ids)
	slices.Reverse(ids)
	return ids
}

func pagesAtAnyLimit(t *testing.T, s *store.Store) {
	var c clock
	want := makeRecords(t, s, &c, "messages", 23)
	makeRecords(t, s, &c, "todos", 5)
	apply(t, s, c.replace(key("messages", want[3]), body(9))) // an update moves nothing
	for _, limit := range []int{1, 2, 7, 22, 23, 24, 500} {
		same(t, fmt.Sprint("ascending by ", limit), pages(t, s, "messages", store.RecordQuery{Limit: limit}, nil), want)
		same(t, fmt.Sprint("descending by ", limit), pages(t, s, "messages", store.RecordQuery{Limit: limit, Descending: true}, nil), reversed(want))
	}
	same(t, "none", pages(t, s, "empty", store.RecordQuery{Limit: 3}, nil), []string(nil))
}

func pagesHoldStill(t *testing.T, s *store.Store) {
	var c clock
	want := makeRecords(t, s, &c, "messages", 20)
	var late []string
	insert := func() { late = append(late, makeRecords(t, s, &c, "messages", 1)...) }
	same(t, "descending", pages(t, s, "messages", store.RecordQuery{Limit: 3, Descending: true}, insert), reversed(want))
	want = append(want, late...)
	late = nil
	got := pages(t, s, "messages", store.RecordQuery{Limit: 3}, insert)
	same(t, "ascending", got, append(want, late...))
}

func keepApart(t *testing.T, s *store.Store) {
	var c clock
	k := key("messages", "same")
	other, elsewhere := k, k
	other.Tenant, elsewhere.Collection = "other", "todos"
	apply(t, s, c.replace(k, body(1)), c.replace(other, body(2)), c.replace(elsewhere, body(3)))
	for i, k := range []record.Key{k, other, elsewhere} {
		same(t, "data", string(get(t, s, k).Data), body(i+1))
		items, _, err := s.Records(t.Context(), k.Tenant, k.Collection, store.RecordQuery{Limit: 10})
		if err != nil || len(items) != 1 || items[0].Key != k {
			t.Errorf("list of %v: %v, %v", k, items, err)
		}
	}
	apply(t, s, c.write(record.Delete, other, ""))
	same(t, "the other tenant's alone is gone", []bool{get(t, s, k) == nil, get(t, s, other) == nil, get(t, s, elsewhere) == nil}, []bool{false, true, false})
}

// filtered are values of a field f and the filters that find them.
var filtered = []struct{ data, value string }{
	{`{"f":"plain"}`, "plain"},
	{`{"f":"\u0041\/\n\ud83d\ude00"}`, "A/\n😀"},
	{`{"\u0066":"escaped name"}`, "escaped name"},
	{`{"f":""}`, ""},
	{`{"f":" "}`, " "},
	{`{"f":"it's \"quoted\" \\ $1 ?"}`, `it's "quoted" \ $1 ?`},
	{`{"f":1.10}`, "1.10"},
	{`{"f":1.1}`, "1.1"},
	{`{"f":1e400}`, "1e400"},
	{`{"f":1E+2}`, "1E+2"},
	{`{"f":100}`, "100"},
	{`{"f":-0}`, "-0"},
	{`{"f":0}`, "0"},
	{`{"f":123456789012345678901234567890}`, "123456789012345678901234567890"},
	{`{"f":123456789012345678901234567891}`, "123456789012345678901234567891"},
	{`{"f":true}`, "true"},
	{`{"f":false}`, "false"},
	{`{"f":"Ä"}`, "Ä"},
	{`{"f":"ä"}`, "ä"},
}

func filters(t *testing.T, s *store.Store) {
	var c clock
	want := map[string]string{}
	for _, f := range filtered {
		op := c.create("things", f.data)
		apply(t, s, op)
		want[f.value] = op.ID
	}
	for _, data := range []string{`{"f":null}`, `{}`, `{"g":"plain"}`, `{"f":{"f":"plain"}}`} {
		apply(t, s, c.create("things", data))
	}
	both := c.create("things", `{"f":"both","g":"x"}`)
	apply(t, s, both, c.create("things", `{"f":"both","g":"y"}`))

	find := func(filters ...store.Filter) []string {
		return pages(t, s, "things", store.RecordQuery{Limit: 2, Filters: filters}, nil)
	}
	check := func(when string) {
		for value, id := range want {
			same(t, fmt.Sprintf("%s: f=%q", when, value), find(store.Filter{Field: "f", Value: value}), []string{id})
		}
		for _, value := range []string{"null", "PLAIN", "1", "1.100", "Infinity", "+Inf", "1e2", "a\x00b", "\xff", "'", "%"} {
			same(t, fmt.Sprintf("%s: f=%q", when, value), find(store.Filter{Field: "f", Value: value}), []string(nil))
		}
		same(t, when+": two filters", find(store.Filter{Field: "f", Value: "both"}, store.Filter{Field: "g", Value: "x"}), []string{both.ID})
		same(t, when+": two that exclude each other", find(store.Filter{Field: "f", Value: "both"}, store.Filter{Field: "f", Value: "plain"}), []string(nil))
		same(t, when+": a bad name", find(store.Filter{Field: "f\x00", Value: "x"}), []string(nil))
	}
	check("without an index")
	if err := s.EnsureIndexes(t.Context(), map[string][]string{"things": {"f", "g"}}); err != nil {
		t.Fatal(err)
	}
	check("with an index")
}

func filtersOnAnyName(t *testing.T, s *store.Store) {
	var c clock
	names := []string{"f", "", "a b", `a"b`, "a'b", `a\b`, `a\u0041b`, "a.b", "$", "$.f", "$1", "[0]", "#", "0", "data", "ü", "😀", "?", "%s", "-- x", "a/b", "A", "a\tb", "<b>",
		strings.Repeat("n", 64), strings.Repeat("n", 63) + "m", strings.Repeat("長", 100)}
	want := make([]string, len(names))
	for i, name := range names {
		op := c.create("things", fmt.Sprintf(`{"x":0,%s:"v"}`, jsonName(name)))
		apply(t, s, op)
		want[i] = op.ID
	}
	check := func() {
		for i, name := range names {
			got := pages(t, s, "things", store.RecordQuery{Limit: 10, Filters: []store.Filter{{Field: name, Value: "v"}}}, nil)
			same(t, fmt.Sprintf("field %q", name), got, []string{want[i]})
		}
	}
	check()
	if err := s.EnsureIndexes(t.Context(), map[string][]string{"things": append(names, "\x00", "\xff"), "it's": {"f"}}); err != nil {
		t.Fatal(err)
	}
	check()
}

// jsonName writes a name as a client may: what JSON need not escape is not.
func jsonName(name string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\t", `\t`).Replace(name) + `"`
}

func filtersOnLongValues(t *testing.T, s *store.Store) {
	var c clock
	if err := s.EnsureIndexes(t.Context(), map[string][]string{"things": {"f"}}); err != nil {
		t.Fatal(err)
	}
	base := strings.Repeat("ä", 200)
	for _, value := range []string{base, base + "x", base + "y", strings.Repeat("ß🧾", 20_000), base[:398]} {
		op := c.create("things", `{"f":"`+value+`"}`)
		apply(t, s, op)
		got := pages(t, s, "things", store.RecordQuery{Limit: 10, Filters: []store.Filter{{Field: "f", Value: value}}}, nil)
		same(t, fmt.Sprintf("a value of %d bytes", len(value)), got, []string{op.ID})
	}
}

func refuseABadCursor(t *testing.T, s *store.Store) {
	for _, cursor := range []string{"x", "'", "\x00", "00000000-0000-0000-0000-000000000000"} {
		_, _, err := s.Records(t.Context(), record.DefaultTenant, "messages", store.RecordQuery{Limit: 1, After: cursor})
		same(t, "records after "+cursor, fault.KindOf(err), fault.InvalidParameter)
		_, _, err = s.Operations(t.Context(), record.DefaultTenant, store.OperationQuery{Limit: 1, Before: cursor})
		same(t, "operations before "+cursor, fault.KindOf(err), fault.InvalidParameter)
	}
}

func makesAndDropsIndexes(t *testing.T, s *store.Store) {
	var c clock
	want := makeRecords(t, s, &c, "things", 9)
	for _, wanted := range []map[string][]string{
		{"things": {"n"}, "others": {"n", "m"}},
		{"things": {"n", "m"}},
		{"things": {"n", "m"}},
		nil,
		{"things": {"n", "n"}},
	} {
		if err := s.EnsureIndexes(t.Context(), wanted); err != nil {
			t.Fatal(err)
		}
		got := pages(t, s, "things", store.RecordQuery{Limit: 2, Filters: []store.Filter{{Field: "n", Value: "1"}}}, nil)
		same(t, "found", got, []string{want[1], want[4], want[7]})
	}
	together(4, func(int) {
		if err := s.EnsureIndexes(t.Context(), map[string][]string{"things": {"a", "b", "n"}}); err != nil {
			t.Error(err)
		}
	})
}

func oddKeysAreNotFound(t *testing.T, s *store.Store) {
	for _, id := range []string{"", "none", "a\x00b", "\xff", "019a0000-0000-7000-8000-00000000000", "019A0000-0000-7000-8000-000000000000", "'; --"} {
		_, err := s.Record(t.Context(), key("messages", id))
		same(t, fmt.Sprintf("record %q", id), fault.KindOf(err), fault.NotFound)
		_, err = s.Record(t.Context(), record.Key{Tenant: id, Collection: id, ID: "x"})
		same(t, fmt.Sprintf("tenant %q", id), fault.KindOf(err), fault.NotFound)
		_, err = s.Operation(t.Context(), record.DefaultTenant, id)
		same(t, fmt.Sprintf("operation %q", id), fault.KindOf(err), fault.NotFound)
		items, more, err := s.Records(t.Context(), id, id, store.RecordQuery{Limit: 1})
		if len(items) > 0 || more || err != nil {
			t.Errorf("records of %q: %v, %v, %v", id, items, more, err)
		}
	}
}

func saysWhichExist(t *testing.T, s *store.Store) {
	var c clock
	ids := makeRecords(t, s, &c, "messages", 3)
	there, gone, elsewhere := key("messages", ids[0]), key("messages", "gone"), key("todos", ids[0])
	got, err := s.Exists(t.Context(), []record.Key{there, gone, elsewhere, key("messages", "\x00"), there})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "exist", got, map[record.Key]bool{there: true})
	got, err = s.Exists(t.Context(), nil)
	if err != nil || len(got) != 0 {
		t.Errorf("of none: %v, %v", got, err)
	}
}
