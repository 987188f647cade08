package app_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waybill-dev/waybill/internal/collection"
	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/testenv"
)

// audit compares what the clients know (the ledger), what the queue took (the
// append-only file) and what is stored (the tables).
type audit struct {
	*system
	ledger *ledger
	aof    string

	enqueued map[string]record.Operation
	stored   map[string]storedOperation
	records  map[record.Key]record.Record
	folded   map[string]record.Outcome // of each enqueued operation, as it should be
	shown    int                       // histories
}

// storedOperation is a row of the operations table.
type storedOperation struct {
	ID, Collection, Record, Action, Status, Code, Detail string
	Version                                              int64
}

// outcome is how it ended, as operation.outcome has it.
func (o *storedOperation) outcome() string { return outcomeLine(o.Status, o.Version, o.Code, o.Detail) }

func outcomeLine(status string, version int64, code, detail string) string {
	if status == "failed" {
		return fmt.Sprintf("%s %s: %s", status, code, detail)
	}
	return fmt.Sprintf("%s at version %d", status, version)
}

func (a *audit) run(t *testing.T) {
	t.Helper()
	from := time.Now()
	a.settle(t)
	t.Logf("the queue was empty %v after the last write", time.Since(from).Round(time.Second))
	a.enqueued = enqueued(t, a.aof)
	a.readTables(t)
	a.foldAll(t)

	a.checkAnswered(t)
	a.checkMaybes(t)
	a.checkStored(t)
	a.checkRecords(t)
	a.checkStampOrder(t)
	a.checkUnderWay(t)
	a.checkThroughAPI(t)
}

// settle waits until nothing is left to do. A killed worker's tasks come back
// when its lease of 30 s has run out; a write that a killed api had stamped and
// not enqueued holds up its record for a minute.
func (a *audit) settle(t *testing.T) {
	t.Helper()
	rc := connectRedis(t, a.redisURL)
	within := 4*time.Minute + time.Duration(*crashWrites)*10*time.Millisecond
	testenv.Eventually(t, within, "the queue is empty", func() error { return checkQueueEmpty(t.Context(), rc) })
}

func (a *audit) readTables(t *testing.T) {
	t.Helper()
	db := connectPostgres(t, a.databaseURL)
	a.stored, a.records = map[string]storedOperation{}, map[record.Key]record.Record{}
	rows, err := db.Query(t.Context(), "SELECT id::text, collection, record, action, status, error_code, error_detail, version FROM operations")
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		var o storedOperation
		if err := rows.Scan(&o.ID, &o.Collection, &o.Record, &o.Action, &o.Status, &o.Code, &o.Detail, &o.Version); err != nil {
			t.Fatal(err)
		}
		a.stored[o.ID] = o
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	rows, err = db.Query(t.Context(), "SELECT tenant, collection, id, version, data::text, created_by::text, updated_by::text FROM records")
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		var r record.Record
		if err := rows.Scan(&r.Tenant, &r.Collection, &r.ID, &r.Version, &r.Data, &r.CreatedBy, &r.UpdatedBy); err != nil {
			t.Fatal(err)
		}
		a.records[r.Key] = r
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
}

// foldAll folds each record's operations in ID order, and compares the record.
func (a *audit) foldAll(t *testing.T) {
	t.Helper()
	byRecord := map[record.Key][]record.Operation{}
	for _, op := range a.enqueued {
		byRecord[op.Key] = append(byRecord[op.Key], op)
	}
	a.folded = map[string]record.Outcome{}
	for key, operations := range byRecord {
		slices.SortFunc(operations, func(a, b record.Operation) int { return strings.Compare(a.ID, b.ID) })
		c, ok := collection.Default().Get(key.Collection)
		if !ok {
			t.Fatalf("collection %q in the queue", key.Collection)
		}
		_, outcomes := record.Fold(nil, operations, c.Merge)
		for _, o := range outcomes {
			a.folded[o.Operation.ID] = o
		}
	}
}

// checkAnswered: every write that was answered is stored, as it was written, and
// ended as every reader was told.
func (a *audit) checkAnswered(t *testing.T) {
	t.Helper()
	by := map[string]*write{}
	for _, w := range a.ledger.answered {
		op, ok := a.enqueued[w.operation]
		row, stored := a.stored[w.operation]
		switch {
		case by[w.operation] != nil:
			t.Errorf("one operation for two writes: %v and %v", by[w.operation], w)
		case !ok || !stored:
			t.Errorf("%v: in the queue ever: %t; stored: %t", w, ok, stored)
		case signature(string(op.Action), op.Collection, op.Key.ID, string(op.Body)) != signature(w.action, w.collection, w.record, w.body):
			t.Errorf("%v: was enqueued as %v", w, op)
		case !strings.HasPrefix(row.outcome(), w.told):
			t.Errorf("%v: ended %s", w, row.outcome())
			a.history(t, op.Key)
		}
		by[w.operation] = w
	}
	for id, outcome := range a.ledger.seen {
		if row := a.stored[id]; row.outcome() != outcome {
			t.Errorf("operation %s was seen %s and ended %s", id, outcome, row.outcome())
			a.history(t, a.enqueued[id].Key)
		}
	}
}

// checkMaybes: an operation that nobody was told of belongs to a write that was
// not answered, and to each such write at most one does.
func (a *audit) checkMaybes(t *testing.T) {
	t.Helper()
	maybe, answered := map[string]int{}, map[string]bool{}
	for _, w := range a.ledger.writes {
		if w.operation == "" {
			maybe[signature(w.action, w.collection, w.record, w.body)]++
		}
		answered[w.operation] = true
	}
	in := 0
	for id, op := range a.enqueued {
		if answered[id] {
			continue
		}
		in++
		s := signature(string(op.Action), op.Collection, op.Key.ID, string(op.Body))
		if maybe[s]--; maybe[s] < 0 {
			t.Errorf("operation %s (%s) is in, and there is no unanswered write for it, or another operation is that already", id, s)
			a.history(t, op.Key)
		}
	}
	t.Logf("%d unanswered writes are in", in)
}

// checkStored: what was enqueued is stored, nothing else, and with the outcome
// of the fold.
func (a *audit) checkStored(t *testing.T) {
	t.Helper()
	for id := range a.stored {
		if _, ok := a.enqueued[id]; !ok {
			t.Errorf("operation %s is stored, and never was in the queue", id)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(a.enqueued)) {
		row, ok := a.stored[id]
		want := a.folded[id]
		if wanted := outcomeLine(string(want.Status), want.Version, string(want.Code), want.Detail); !ok || row.outcome() != wanted {
			t.Errorf("operation %s is stored: %t; ended %q, want %q", id, ok, row.outcome(), wanted)
			a.history(t, a.enqueued[id].Key)
		}
	}
}

// checkRecords: every record is what its operations make of it.
func (a *audit) checkRecords(t *testing.T) {
	t.Helper()
	last := map[record.Key]record.Outcome{} // that took effect
	for _, id := range slices.Sorted(maps.Keys(a.folded)) {
		if o := a.folded[id]; o.Status == record.Done {
			last[o.Operation.Key] = o
		}
	}
	for key, o := range last {
		got, exists := a.records[key]
		deleted := o.Operation.Action == record.Delete
		if exists == deleted || exists && fmt.Sprint(got) != fmt.Sprint(*o.Record) {
			t.Errorf("record %v exists: %t, is %v; want %v (deleted: %t)", key, exists, got, o.Record, deleted)
			a.history(t, key)
		}
	}
	for key := range a.records {
		if _, ok := last[key]; !ok {
			t.Errorf("record %v exists, and no operation made it", key)
		}
	}
}

// checkStampOrder: a write sent after another's answer has the higher ID.
func (a *audit) checkStampOrder(t *testing.T) {
	t.Helper()
	bySent := slices.SortedFunc(slices.Values(a.ledger.answered), func(a, b *write) int { return a.sent.Compare(b.sent) })
	byAcked := slices.SortedFunc(slices.Values(a.ledger.answered), func(a, b *write) int { return a.acked.Compare(b.acked) })
	highest := &write{}
	for _, w := range bySent {
		for len(byAcked) > 0 && byAcked[0].acked.Before(w.sent) {
			if byAcked[0].operation > highest.operation {
				highest = byAcked[0]
			}
			byAcked = byAcked[1:]
		}
		if w.operation < highest.operation {
			t.Errorf("%v\nhas a lower ID than a write answered before it was sent:\n%v", w, highest)
		}
	}
}

// checkUnderWay: no under-way set names an operation that is stored.
func (a *audit) checkUnderWay(t *testing.T) {
	t.Helper()
	rc := connectRedis(t, a.redisURL)
	keys, err := rc.Keys(t.Context(), "waybill:{writes}:under-way:*").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		for _, id := range rc.SMembers(t.Context(), key).Val() {
			if _, stored := a.stored[id]; stored {
				t.Errorf("operation %s is stored and still in %s", id, key)
			}
		}
	}
}

// checkThroughAPI reads operations and shared records as a client does.
func (a *audit) checkThroughAPI(t *testing.T) {
	t.Helper()
	for _, p := range a.processes() {
		p.awaitReady(t)
	}
	const most = 1000
	for i := 0; i < len(a.ledger.answered); i += 1 + len(a.ledger.answered)/most {
		id := a.ledger.answered[i].operation
		o := mustCall(t, http.MethodGet, a.ledger.bases[i%2]+"/api/operations/"+id, "").want(t, http.StatusOK).operation(t)
		if row := a.stored[id]; o.outcome() != row.outcome() {
			t.Errorf("operation %s is %s at the API and %s in the table", id, o.outcome(), row.outcome())
		}
	}
	for i := range sharedRecords {
		key := record.Key{Tenant: record.DefaultTenant, Collection: "todos", ID: fmt.Sprintf("shared-%d", i)}
		got := mustCall(t, http.MethodGet, a.ledger.bases[i%2]+"/api/todos/"+key.ID, "")
		want, exists := a.records[key]
		if !exists {
			got.want(t, http.StatusNotFound)
			continue
		}
		var v struct{ Version int64 }
		got.want(t, http.StatusOK).decode(t, &v)
		if v.Version != want.Version || !strings.Contains(string(got.body), strings.Trim(string(want.Data), "{}")) {
			t.Errorf("record %s at the API: %v, want %v", key.ID, got, want)
		}
	}
}

// history shows all that is known of a record; of the first few that are wrong.
func (a *audit) history(t *testing.T, key record.Key) {
	t.Helper()
	const most = 3
	if a.shown++; a.shown > most {
		return
	}
	writes := map[string]*write{}
	for _, w := range a.ledger.answered {
		writes[w.operation] = w
	}
	var b strings.Builder
	fmt.Fprintf(&b, "history of %v, seed %d:\n", key, a.ledger.seed)
	for _, id := range slices.Sorted(maps.Keys(a.enqueued)) {
		op := a.enqueued[id]
		if op.Key != key {
			continue
		}
		row, want := a.stored[id], a.folded[id]
		fmt.Fprintf(&b, "%s %s %s if_match=%d if_none_match=%t\n    stored %q\n    wanted %q\n    ledger %v\n", id, op.Action, op.Body,
			op.IfMatch, op.IfNoneMatch, row.outcome(), outcomeLine(string(want.Status), want.Version, string(want.Code), want.Detail), writes[id])
	}
	r, exists := a.records[key]
	fmt.Fprintf(&b, "record exists: %t, %v", exists, r)
	t.Log(b.String())
}
