package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/store"
)

var applyTests = map[string]func(*testing.T, *store.Store){
	"Apply_StoresAFullBatchOfSeveralTenants":      storesAFullBatch,
	"Apply_KeepsBytes":                            keepsBytes,
	"Apply_FollowsARecordThroughItsLife":          followsARecord,
	"Apply_DoesABatchOnOneRecordInOrder":          doesABatchInOrder,
	"Apply_TheSameBatchTwiceDoesNothing":          sameBatchTwice,
	"Apply_TheSameBatchFromEightAtOnceCountsOnce": sameBatchAtOnce,
	"Apply_OverlappingBatchesCountEachOnce":       overlappingBatches,
	"Apply_CreateOverAnExistingRecordFails":       createOverExisting,
	"Apply_CreateAndDeleteOverAnExistingRecord":   createAndDeleteOverExisting,
	"Apply_EightMakeTheSameRecord":                eightMakeTheSame,
	"Apply_DeletesAndReplacesAtOnce":              deletesAndReplacesAtOnce,
	"Apply_KeepsWhyAnOperationFailed":             keepsWhy,
	"Apply_FoldSeesOnlyNewOperations":             foldSeesOnlyNew,
	"Apply_WhatTheDatabaseRefusesStoresNothing":   refusedStoresNothing,
	"Apply_ACancelledContextStoresNothing":        cancelledStoresNothing,
	"Apply_NothingIsNothing":                      nothingIsNothing,
}

func storesAFullBatch(t *testing.T, s *store.Store) {
	var c clock
	var batch []record.Operation
	for i := range 512 {
		op := c.create("messages", fmt.Sprintf(`{"content":"schön %d 🧾"}`, i))
		op.Tenant = []string{"default", "züri", "a'b\"c"}[i%3]
		op.Principal = fmt.Sprintf("key:%d", i%2)
		batch = append(batch, op)
	}
	outcomes, err := s.Apply(t.Context(), batch, map[string]int{batch[7].ID: 3}, storedAt, fold)
	if err != nil {
		t.Fatal(err)
	}
	for i, op := range batch {
		want := record.Record{Key: op.Key, Version: 1, Data: op.Body, CreatedBy: op.ID, UpdatedBy: op.ID, Owner: op.Principal}
		same(t, "outcome", outcomes[i], record.Outcome{Operation: op, Status: record.Done, Version: 1, Created: true, Owner: op.Principal, Record: &want})
		if i%50 != 7 {
			continue
		}
		same(t, "record", get(t, s, op.Key), &want)
		attempts := 1
		if i == 7 {
			attempts = 3
		}
		same(t, "operation", operation(t, s, op.Tenant, op.ID), &record.Stored{ID: op.ID, Key: op.Key, Action: record.Create, Status: record.Done,
			Version: 1, Principal: op.Principal, Owner: op.Principal, Attempts: attempts, AcceptedAt: record.AcceptedAt(op.ID), StoredAt: storedAt})
	}
}

func keepsBytes(t *testing.T, s *store.Store) {
	var c clock
	for _, data := range []string{
		`{"z":1,"a":2,"m":{"y":[],"b":{}}}`,
		`{"n":123456789012345678901234567890,"f":1.10,"e":1E+2,"big":1e400,"neg":-0,"tiny":0.1e-999}`,
		`{"s":"\u0041\/\b\f\n\r\t\"\\ \ud83d\ude00 🧾 ß 	"}`,
		`{"":"empty name","a\"b":null,"ü":true,"'":false}`,
		`{"<&>":"<script>` + "\u2028" + `"}`,
		`{"long":"` + strings.Repeat("ä", 120_000) + `"}`,
	} {
		data = strings.ReplaceAll(data, "\t", `\t`)
		op := c.create("messages", data)
		apply(t, s, op)
		if got := get(t, s, op.Key); string(got.Data) != data {
			t.Errorf("stored %.80s, read %.80s", data, got.Data)
		}
		patch := c.write(record.Patch, op.Key, data+" ") // a space at the end is a byte too
		apply(t, s, patch)
		if got := get(t, s, op.Key); string(got.Data) != data+" " {
			t.Errorf("after an update: stored %.80q, read %.80q", data+" ", got.Data)
		}
	}
}

func followsARecord(t *testing.T, s *store.Store) {
	var c clock
	k := key("todos", "my.own-id~1")
	create := c.replace(k, `{"v":1}`)
	update := c.replace(k, `{"v":2}`)
	patch := c.write(record.Patch, k, `{"v":3}`)
	remove := c.write(record.Delete, k, "")
	again := c.replace(k, `{"v":4}`)
	for _, step := range []struct {
		op   record.Operation
		want *record.Record
	}{
		{create, &record.Record{Key: k, Version: 1, Data: create.Body, CreatedBy: create.ID, UpdatedBy: create.ID}},
		{update, &record.Record{Key: k, Version: 2, Data: update.Body, CreatedBy: create.ID, UpdatedBy: update.ID}},
		{patch, &record.Record{Key: k, Version: 3, Data: patch.Body, CreatedBy: create.ID, UpdatedBy: patch.ID}},
		{remove, nil},
		{again, &record.Record{Key: k, Version: 1, Data: again.Body, CreatedBy: again.ID, UpdatedBy: again.ID}},
	} {
		outcomes := apply(t, s, step.op)
		same(t, "status", outcomes[0].Status, record.Done)
		same(t, string(step.op.Action), get(t, s, k), step.want)
	}
	same(t, "the delete's version", operation(t, s, k.Tenant, remove.ID).Version, int64(3))
	missing := c.write(record.Delete, key("todos", "nobody"), "")
	same(t, "a delete of nothing", apply(t, s, missing)[0].Code, fault.NotFound)
	same(t, "is stored as such", operation(t, s, k.Tenant, missing.ID).Code, fault.NotFound)
}

func doesABatchInOrder(t *testing.T, s *store.Store) {
	var c clock
	k := key("todos", "one")
	apply(t, s, c.replace(k, body(0)))
	// Deleted and made anew: version 1 before and after, and still another record.
	remove, again := c.write(record.Delete, k, ""), c.replace(k, body(1))
	apply(t, s, remove, again)
	same(t, "made anew", get(t, s, k), &record.Record{Key: k, Version: 1, Data: again.Body, CreatedBy: again.ID, UpdatedBy: again.ID})

	other := c.create("todos", body(9))
	var batch []record.Operation
	for i := range 20 {
		batch = append(batch, c.write(record.Patch, k, body(i+2)), c.write(record.Patch, other.Key, body(i)))
	}
	apply(t, s, append([]record.Operation{other}, batch...)...)
	last := batch[38]
	same(t, "patched", get(t, s, k), &record.Record{Key: k, Version: 21, Data: last.Body, CreatedBy: again.ID, UpdatedBy: last.ID})
	same(t, "created and patched", get(t, s, other.Key).Version, int64(21))

	gone := c.create("todos", body(1))
	apply(t, s, gone, c.write(record.Delete, gone.Key, ""))
	if r := get(t, s, gone.Key); r != nil {
		t.Errorf("created and deleted in one batch, yet there: %+v", r)
	}
}

// mixed returns records to write on, and a batch of every action on them.
func mixed(t *testing.T, s *store.Store, c *clock) []record.Operation {
	var made, batch []record.Operation
	for i := range 20 {
		made = append(made, c.create("todos", body(i)))
	}
	apply(t, s, made...)
	for i, m := range made {
		batch = append(batch, c.create("todos", body(i)), c.write(record.Patch, m.Key, body(i+1)),
			c.replace(key("todos", fmt.Sprint("put", i)), body(i)), c.write(record.Patch, m.Key, body(i+2)))
		if i%4 == 0 {
			batch = append(batch, c.write(record.Delete, m.Key, ""), c.write(record.Patch, m.Key, body(0)))
		}
	}
	return batch
}

func sameBatchTwice(t *testing.T, s *store.Store) {
	var c clock
	batch := mixed(t, s, &c)
	same(t, "new the first time", len(apply(t, s, batch...)), len(batch))
	before, _, err := s.Records(t.Context(), record.DefaultTenant, "todos", store.RecordQuery{Limit: 500})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "new the second time", len(apply(t, s, batch...)), 0)
	after, _, err := s.Records(t.Context(), record.DefaultTenant, "todos", store.RecordQuery{Limit: 500})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "records", after, before)
	more := append(slices.Clone(batch[:10]), c.create("todos", body(1)))
	same(t, "one new among ten known", ids(apply(t, s, more...)), []string{more[10].ID})
}

func sameBatchAtOnce(t *testing.T, s *store.Store) {
	var c clock
	batch := mixed(t, s, &c)
	var mu sync.Mutex
	got := map[string]record.Outcome{}
	together(8, func(int) {
		outcomes, err := s.Apply(t.Context(), batch, nil, storedAt, fold)
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		for _, o := range outcomes {
			if _, twice := got[o.Operation.ID]; twice {
				t.Errorf("%s %s was new twice", o.Operation.Action, o.Operation.ID)
			}
			got[o.Operation.ID] = o
		}
	})
	same(t, "operations that were new", len(got), len(batch))
	for _, op := range batch {
		stored := operation(t, s, op.Tenant, op.ID)
		same(t, "stored as told", []any{stored.Status, stored.Version, stored.Code}, []any{got[op.ID].Status, got[op.ID].Version, got[op.ID].Code})
	}
}

func overlappingBatches(t *testing.T, s *store.Store) {
	var c clock
	var made, patches []record.Operation
	for i := range 10 {
		made = append(made, c.create("todos", body(i)))
	}
	for i := range 200 {
		patches = append(patches, c.write(record.Patch, made[i%10].Key, body(i)))
	}
	everything := append(slices.Clone(made), patches...)
	news := make([]int, 8)
	together(8, func(i int) {
		random := rand.New(rand.NewPCG(1, uint64(i)))
		for range 5 {
			subset := slices.Clone(made) // so that every patch has its record
			for _, op := range patches {
				if random.IntN(4) == 0 {
					subset = append(subset, op)
				}
			}
			outcomes, err := s.Apply(t.Context(), subset, nil, storedAt, fold)
			if err != nil {
				t.Error(err)
			}
			news[i] += len(outcomes)
		}
	})
	total := len(apply(t, s, everything...))
	for _, n := range news {
		total += n
	}
	same(t, "operations that were new", total, len(everything))
	for _, m := range made {
		same(t, "version", get(t, s, m.Key).Version, int64(21))
	}
}

func createOverExisting(t *testing.T, s *store.Store) {
	var c clock
	first := c.create("messages", body(1))
	apply(t, s, first)
	second := c.create("messages", body(2))
	second.Key = first.Key
	good := c.create("messages", body(3))
	outcomes := apply(t, s, second, good)
	same(t, "codes", []fault.Kind{outcomes[0].Code, outcomes[1].Code}, []fault.Kind{fault.Conflict, ""})
	same(t, "the record", get(t, s, first.Key).UpdatedBy, first.ID)
	same(t, "the failed one", operation(t, s, first.Tenant, second.ID).Status, record.Failed)
	same(t, "the good one", operation(t, s, first.Tenant, good.ID).Status, record.Done)
}

func createAndDeleteOverExisting(t *testing.T, s *store.Store) {
	var c clock
	first := c.create("messages", body(1))
	apply(t, s, first)
	second := c.create("messages", body(2))
	second.Key = first.Key
	outcomes := apply(t, s, second, c.write(record.Delete, first.Key, ""))
	same(t, "statuses", []record.Status{outcomes[0].Status, outcomes[1].Status}, []record.Status{record.Failed, record.Done})
	if r := get(t, s, first.Key); r != nil {
		t.Errorf("still there: %+v", r)
	}
}

func eightMakeTheSame(t *testing.T, s *store.Store) {
	var c clock
	for round := range 5 {
		k := key("todos", fmt.Sprint(round))
		versions := make([]int64, 8)
		batches := make([][]record.Operation, 8)
		for i := range batches {
			batches[i] = []record.Operation{c.replace(k, body(i)), c.create("todos", body(i))}
		}
		together(8, func(i int) {
			outcomes, err := s.Apply(t.Context(), batches[i], nil, storedAt, fold)
			if err != nil {
				t.Error(err)
				return
			}
			versions[i] = outcomes[0].Version
		})
		slices.Sort(versions)
		same(t, "versions", versions, []int64{1, 2, 3, 4, 5, 6, 7, 8})
		same(t, "the record's", get(t, s, k).Version, int64(8))
	}
}

func deletesAndReplacesAtOnce(t *testing.T, s *store.Store) {
	var c clock
	k := key("todos", "flicker")
	var mu sync.Mutex
	done := map[record.Action]int{}
	together(8, func(i int) {
		for range 6 {
			op := c.replace(k, body(i))
			if i%2 == 0 {
				op = c.write(record.Delete, k, "")
			}
			outcomes, err := s.Apply(t.Context(), []record.Operation{op}, nil, storedAt, fold)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			if o := outcomes[0]; o.Status == record.Done && (o.Created || op.Action == record.Delete) {
				done[op.Action]++
			}
			mu.Unlock()
		}
	})
	left := 0
	if get(t, s, k) != nil {
		left = 1
	}
	same(t, "made less deleted", done[record.Replace]-done[record.Delete], left)
}

func keepsWhy(t *testing.T, s *store.Store) {
	var c clock
	for _, detail := range []struct{ given, kept string }{
		{"body.content: is required; body.x: 'a' \"b\" \\ ß 🧾\n", "body.content: is required; body.x: 'a' \"b\" \\ ß 🧾\n"},
		{"a\x00b\xff\xfec", "a\uFFFDb\uFFFDc"},
		{strings.Repeat("long ", 20_000), strings.Repeat("long ", 20_000)},
	} {
		op := c.create("messages", body(1))
		outcomes, err := s.Apply(t.Context(), []record.Operation{op}, nil, storedAt,
			func(_ *record.Record, op *record.Operation) (*record.Record, record.Outcome) {
				return nil, record.Outcome{Operation: *op, Status: record.Failed, Code: fault.InvalidRecord, Detail: detail.given}
			})
		if err != nil {
			t.Fatal(err)
		}
		same(t, "outcome", outcomes[0].Detail, detail.kept)
		stored := operation(t, s, op.Tenant, op.ID)
		same(t, "stored", []any{stored.Status, stored.Code, stored.Detail}, []any{record.Failed, fault.InvalidRecord, detail.kept})
	}
}

func foldSeesOnlyNew(t *testing.T, s *store.Store) {
	var c clock
	first := c.create("todos", body(1))
	known := c.write(record.Patch, first.Key, body(2))
	apply(t, s, first, known)
	fresh := c.write(record.Patch, first.Key, body(3))
	var seen []string
	_, err := s.Apply(t.Context(), []record.Operation{first, known, fresh}, nil, storedAt,
		func(current *record.Record, op *record.Operation) (*record.Record, record.Outcome) {
			if op.ID == first.ID {
				seen = append(seen, "optimistic") // of that round nothing stays
			} else {
				seen = append(seen, fmt.Sprint(op.ID, " on ", current.Version))
			}
			return fold(current, op)
		})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "folded", seen, []string{"optimistic", known.ID + " on 1", fresh.ID + " on 2", fresh.ID + " on 2"})
}

// refusedStoresNothing has a unique index such as a user may add. It must refuse
// the operation, not make Apply believe in a race for ever.
func refusedStoresNothing(t *testing.T, s *store.Store) {
	var c clock
	_, err := s.DB().ExecContext(t.Context(), "CREATE UNIQUE INDEX only_one ON records (collection, version) WHERE collection = 'singletons'")
	if err != nil {
		t.Fatal(err)
	}
	first := c.create("singletons", `{"secret":"of another row"}`)
	apply(t, s, first)
	good, bad := c.create("messages", body(1)), c.create("singletons", body(2))
	_, err = s.Apply(t.Context(), []record.Operation{good, bad}, nil, storedAt, fold)
	kind, detail, refused := store.Refused(err)
	if !refused || kind != fault.Conflict || !strings.Contains(strings.ToLower(detail), "unique") {
		t.Errorf("refused %v as %s %q: %v", refused, kind, detail, err)
	}
	for _, secret := range []string{"INSERT", "another row", first.ID, "127.0.0.1"} {
		if strings.Contains(detail, secret) {
			t.Errorf("detail shows %q: %s", secret, detail)
		}
	}
	if store.Unavailable(err) {
		t.Errorf("taken for an outage: %v", err)
	}
	if r := get(t, s, good.Key); r != nil {
		t.Error("the other record was stored")
	}
	if _, err := s.Operation(t.Context(), good.Tenant, good.ID); fault.KindOf(err) != fault.NotFound {
		t.Errorf("the other operation was stored: %v", err)
	}
	same(t, "alone", apply(t, s, good)[0].Status, record.Done)
}

func cancelledStoresNothing(t *testing.T, s *store.Store) {
	var c clock
	op := c.create("messages", body(1))
	ctx, cancel := context.WithCancel(t.Context())
	_, err := s.Apply(ctx, []record.Operation{op}, nil, storedAt,
		func(current *record.Record, op *record.Operation) (*record.Record, record.Outcome) {
			cancel()
			return fold(current, op)
		})
	if !errors.Is(err, ctx.Err()) || store.Unavailable(err) {
		t.Errorf("error: %v", err)
	}
	same(t, "afterwards", len(apply(t, s, op)), 1)
}

func nothingIsNothing(t *testing.T, s *store.Store) {
	same(t, "outcomes", len(apply(t, s)), 0)
}
