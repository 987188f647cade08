package store

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/testenv"
)

// planCases are statements and the indexes that they must go by. residual are
// those that may pass over rows which their index does not tell apart.
func planCases(s *Store) []planCase {
	id := record.NewID(1_767_225_600_000_000, 1, 1)
	list := func(name, index string, q RecordQuery) planCase {
		q.Limit = 50
		statement, args := s.recordsStatement("default", "messages", q)
		return planCase{name, statement, args, []string{index}, len(q.Filters) > 0}
	}
	operations := func(name string, q OperationQuery, residual bool, indexes ...string) planCase {
		q.Limit, q.Before = 50, id
		statement, args := operationsStatement(s.dialect, "default", q)
		return planCase{name, statement, args, indexes, residual}
	}
	filter := []Filter{{"n", "3"}}
	primary := map[bool]string{true: "operations_pkey", false: "PRIMARY KEY"}[s.reads == s.writes]
	return []planCase{
		list("a list", "records_by_creation", RecordQuery{}),
		list("a later page", "records_by_creation", RecordQuery{After: id}),
		list("the other way", "records_by_creation", RecordQuery{After: id, Descending: true}),
		list("an owner's", "records_by_owner", RecordQuery{Owner: "user:1"}),
		list("an owner's, a later page", "records_by_owner", RecordQuery{Owner: "user:1", After: id, Descending: true}),
		list("filtered", "records_field_", RecordQuery{Filters: filter}),
		list("filtered, a later page", "records_field_", RecordQuery{Filters: filter, After: id, Descending: true}),
		operations("operations", OperationQuery{}, false, primary),
		operations("failed ones", OperationQuery{Status: record.Failed}, false, "operations_failed"),
		operations("done ones", OperationQuery{Status: record.Done}, true, primary),
		operations("a collection's", OperationQuery{Collection: "messages"}, false, "operations_by_collection"),
		operations("a collection's failed", OperationQuery{Collection: "messages", Status: record.Failed}, false, "operations_by_collection"),
		operations("a record's", OperationQuery{Record: "r"}, false, "operations_by_record"),
		operations("a made record's", OperationQuery{Record: id}, true, "operations_by_record", primary),
		operations("a record's in its collection", OperationQuery{Collection: "messages", Record: "r"}, true, "operations_by_record"),
	}
}

type planCase struct {
	name, statement string
	args            arguments
	indexes         []string
	residual        bool
}

func TestPlans_GoByAnIndex(t *testing.T) {
	t.Parallel()
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		s := filled(t, testenv.PostgresURL(t))
		if _, err := s.writes.ExecContext(t.Context(), "ANALYZE"); err != nil {
			t.Fatal(err)
		}
		for _, c := range planCases(s) {
			plan := explain(t, s.reads, "EXPLAIN "+c.statement, c.args...)
			c.check(t, plan, "Seq Scan", "Bitmap")
			if !c.residual && strings.Contains(plan, "Filter:") {
				t.Errorf("%s: passes over rows:\n%s", c.name, plan)
			}
		}
	})
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		s := filled(t, "sqlite:"+filepath.Join(t.TempDir(), "x.db"))
		for _, c := range planCases(s) {
			c.check(t, explain(t, s.reads, "EXPLAIN QUERY PLAN "+c.statement, c.args...), "SCAN records", "SCAN operations")
		}
	})
}

func (c planCase) check(t *testing.T, plan string, never ...string) {
	t.Helper()
	for _, index := range c.indexes {
		if !strings.Contains(plan, index) {
			t.Errorf("%s: does not go by %s:\n%s", c.name, index, plan)
		}
	}
	for _, bad := range never {
		if strings.Contains(plan, bad) {
			t.Errorf("%s: %s:\n%s", c.name, bad, plan)
		}
	}
}

// TestPlans_OfPurges: neither what they look through nor what they remove is found
// by reading a table, however fresh its statistics are.
func TestPlans_OfPurges(t *testing.T) {
	t.Parallel()
	purges := map[Purge][]string{
		{Of: Operations}:                      {"operations_pkey", "PRIMARY KEY"},
		{Of: Deliveries}:                      {"deliveries_pkey", "sqlite_autoindex_deliveries"},
		{Of: Events}:                          {"events_pkey", "sqlite_autoindex_events"},
		{Of: Records, Collection: "messages"}: {"records_expiry_", "records_expiry_"},
	}
	for kind, url := range []string{testenv.PostgresURL(t), "sqlite:" + filepath.Join(t.TempDir(), "x.db")} {
		s := filled(t, url)
		if err := s.EnsureIndexes(t.Context(), map[string][]string{"messages": {"n"}}, "messages"); err != nil {
			t.Fatal(err)
		}
		for _, analyze := range []bool{false, true} {
			if analyze {
				if _, err := s.writes.ExecContext(t.Context(), "ANALYZE"); err != nil {
					t.Fatal(err)
				}
			}
			for p, indexes := range purges {
				how, err := s.purging(&p)
				if err != nil {
					t.Fatal(err)
				}
				name := fmt.Sprintf("%s of %T, analyzed %v", p.Of, s.dialect, analyze)
				how.checkPlans(t, s, name, indexes[kind])
			}
		}
	}
}

func (p *purging) checkPlans(t *testing.T, s *Store, name, index string) {
	t.Helper()
	low, high := record.NewID(1, 0, 0), record.NewID(1_767_225_600_000_001, 0, 0)
	input := append(purgeColumns("default", "messages", []paged{{low, low}}), column{"before", "timestamptz", []time.Time{time.Now()}})
	check := func(what, statement string, args ...any) {
		t.Helper()
		prefix := map[bool]string{true: "EXPLAIN ", false: "EXPLAIN QUERY PLAN "}[s.reads == s.writes]
		plan := explain(t, s.writes, prefix+statement, args...)
		c := planCase{name: name + ", " + what, indexes: []string{index}}
		switch {
		case what == "attempts":
			c.indexes = []string{"attempts"}
		case p.table == Records && what != "page":
			c.indexes = []string{map[bool]string{true: "records_pkey", false: "sqlite_autoindex_records"}[s.reads == s.writes]}
		}
		c.check(t, plan, "Seq Scan on "+p.table, "Seq Scan on attempts", "SCAN "+p.table, "SCAN attempts", "SCAN t")
	}
	check("page", p.page(s.dialect), "default", low, high, 500)
	withInput := func(input []column, statement string) (string, []any) {
		if _, ok := s.dialect.(postgresDialect); ok {
			with, args := postgresDialect{}.input(input)
			return with + statement, args
		}
		args := make([]any, len(input))
		for i := range input {
			args[i] = input[i].sqlite(0)
		}
		return sqliteDialect{}.input(input) + statement, args
	}
	lock, args := withInput(input, p.lock(s.dialect))
	check("lock", lock, args...)
	for _, r := range p.removes {
		statement, args := withInput(input[:4], r.statement)
		check(r.table, statement, args...)
	}
}

// TestPlans_OfAFreshTable is about plans made before there are statistics: a
// batch must not read the collection once for each record.
func TestPlans_OfAFreshTable(t *testing.T) {
	t.Parallel()
	s := filled(t, testenv.PostgresURL(t))
	d := postgresDialect{}
	keys := []change{{Record: record.Record{Key: record.Key{Tenant: "default", Collection: "messages", ID: "x"}}}}
	for _, statement := range []string{
		selectRecords + " FROM v JOIN records ON" + sameRecord + d.forUpdate(),
		deleteRecords,
		"UPDATE records SET version = 2 FROM v WHERE" + sameRecord + " AND records.version = v.expected",
	} {
		withV, args := d.input(append(nameColumns(keys), expectedColumn(keys)))
		plan := explain(t, s.writes, "EXPLAIN "+withV+statement, args...)
		if !strings.Contains(plan, "records_pkey") || !strings.Contains(plan, "(id = ") {
			t.Errorf("%s does not find records by their key:\n%s", statement, plan)
		}
	}
}

// filled returns a store with thousands of records and operations, and an index
// on messages.n.
func filled(t *testing.T, url string) *Store {
	t.Helper()
	s, err := Open(url, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	ctx := t.Context()
	if err := s.Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	if err := s.EnsureIndexes(ctx, map[string][]string{"messages": {"n"}}); err != nil {
		t.Fatal(err)
	}
	for number := range 3 {
		fill(ctx, t, s, number)
	}
	return s
}

func fill(ctx context.Context, t *testing.T, s *Store, number int) {
	t.Helper()
	batch := make([]record.Operation, 400)
	for i := range batch {
		id := record.NewID(1_767_225_600_000_000+int64(number), 1, i)
		batch[i] = record.Operation{ID: id, Key: record.Key{Tenant: "default", Collection: []string{"messages", "todos"}[i%2], ID: id},
			Action: record.Create, Body: fmt.Appendf(nil, `{"n":%d}`, i), Principal: []string{"", "user:1", "user:2"}[i%3]}
		if i%8 == 7 {
			batch[i].Action, batch[i].Key.ID = []record.Action{record.Patch, record.Replace}[i/8%2], fmt.Sprint("r", i%64)
		}
	}
	_, err := s.Apply(ctx, batch, nil, time.Now(), func(current *record.Record, op *record.Operation) (*record.Record, record.Outcome) {
		after, outcome := record.Apply(current, op, func(_, patch []byte) ([]byte, error) { return patch, nil })
		if current == nil && after != nil {
			after.Owner = op.Principal
		}
		return after, outcome
	})
	if err != nil {
		t.Fatal(err)
	}
}

// explain returns the last column of each row.
func explain(t *testing.T, db *sql.DB, statement string, args ...any) string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), statement, args...)
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var plan strings.Builder
	err = eachRow(rows, func(rows *sql.Rows) error {
		values := make([]any, len(columns))
		var line string
		for i := range values {
			values[i] = new(any)
		}
		values[len(values)-1] = &line
		err := rows.Scan(values...)
		plan.WriteString(line + "\n")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return plan.String()
}
