package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/record"
)

// OperationQuery selects and pages a list of operations. What is "" selects all.
type OperationQuery struct {
	Collection string
	Record     string
	Status     record.Status
	Limit      int    // at least 1
	Before     string // ID of the last operation of the page before
}

const selectOperations = `SELECT tenant, id, collection, record, action, status, version, error_code, error_detail, principal, owner, attempts, stored_at`

// Operation returns a stored operation, or NotFound.
func (s *Store) Operation(ctx context.Context, tenant, id string) (*record.Stored, error) {
	var found *record.Stored
	if _, err := record.ParseID(id); err == nil && storable(tenant) {
		err := s.readOperations(ctx, selectOperations+" FROM operations WHERE tenant = $1 AND id = $2",
			arguments{tenant, id}, func(o record.Stored) { found = &o })
		if err != nil {
			return nil, err
		}
	}
	if found == nil {
		return nil, fault.New(fault.NotFound, "there is no operation %q", id)
	}
	return found, nil
}

// Operations returns a page of the stored operations, newest first, and whether
// there are more. A page costs the same at any depth, with two exceptions: a list
// of what is done in all collections passes over the failed ones, and one of a
// record passes over those on other collections' records of the same ID.
func (s *Store) Operations(ctx context.Context, tenant string, q OperationQuery) (items []record.Stored, more bool, err error) {
	if err := checkCursor(q.Before); err != nil {
		return nil, false, err
	}
	if !storable(tenant, q.Collection, q.Record) || !slices.Contains([]record.Status{"", record.Done, record.Failed}, q.Status) {
		return nil, false, nil
	}
	statement, args := operationsStatement(s.dialect, tenant, q)
	err = s.readOperations(ctx, statement, args, func(o record.Stored) { items = append(items, o) })
	if err != nil {
		return nil, false, err
	}
	items, more = cut(items, q.Limit)
	return items, more, nil
}

// indexRange is one range of an index: the index ("" for the primary key) and the
// condition that, besides the tenant and the place in the list, delimits it.
type indexRange struct{ index, condition string }

// operationsStatement returns the newest rows of each of the index ranges that
// the query's operations lie in, and of these the newest.
func operationsStatement(d dialect, tenant string, q OperationQuery) (string, arguments) {
	var args arguments
	where := " WHERE tenant = " + args.add(tenant)
	if q.Before != "" {
		where += " AND id < " + args.add(q.Before)
	}
	if q.Collection != "" {
		where += " AND collection = " + args.add(q.Collection)
	}
	newest := " ORDER BY id DESC LIMIT " + args.add(q.Limit+1)
	var parts []string
	for i, r := range operationRanges(q, &args) {
		parts = append(parts, fmt.Sprintf("SELECT * FROM (%s FROM operations%s%s%s%s) AS r%d",
			selectOperations, d.by(r.index), where, r.condition, newest, i))
	}
	return strings.Join(parts, " UNION ALL ") + newest, args
}

// operationRanges returns ranges that exclude each other. What the migrations
// have in a partial index is literal here, so that the planner sees it.
func operationRanges(q OperationQuery, args *arguments) []indexRange {
	statuses := []record.Status{record.Done, record.Failed}
	if q.Status != "" {
		statuses = []record.Status{q.Status}
	}
	var ranges []indexRange
	switch {
	case q.Record != "":
		same := " AND record = " + args.add(q.Record)
		for _, status := range statuses {
			condition := same + " AND status = '" + string(status) + "'"
			ranges = append(ranges, indexRange{"operations_by_record", condition + " AND record <> CAST(id AS TEXT)"})
			if _, err := record.ParseID(q.Record); err == nil { // the operation that made the record, if it gave it its ID
				ranges = append(ranges, indexRange{"", condition + " AND id = " + args.add(q.Record)})
			}
		}
	case q.Collection != "":
		for _, status := range statuses {
			ranges = append(ranges, indexRange{"operations_by_collection", " AND status = '" + string(status) + "'"})
		}
	case q.Status == record.Failed:
		ranges = []indexRange{{"operations_failed", " AND status = 'failed' AND version = 0"}}
	case q.Status == record.Done:
		ranges = []indexRange{{"", " AND status = 'done'"}}
	default:
		ranges = []indexRange{{}}
	}
	return ranges
}

// Known says which of the operations are stored, by ID; those that are not are
// left out.
func (s *Store) Known(ctx context.Context, keys []record.OperationKey) (map[string]bool, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	known, err := knownOperations(ctx, s.dialect, s.reads, keys)
	if err != nil {
		return nil, unavailable(err)
	}
	return known, nil
}

func knownOperations(ctx context.Context, d dialect, q querier, keys []record.OperationKey) (map[string]bool, error) {
	known := map[string]bool{}
	err := eachOperation(ctx, d, q, keys, "SELECT operations.id", func(rows *sql.Rows) error {
		var id string
		err := rows.Scan(&id)
		known[id] = true
		return err
	})
	return known, err
}

// OperationsOf returns the operations under keys that are stored, by ID.
func (s *Store) OperationsOf(ctx context.Context, keys []record.OperationKey) (map[string]record.Stored, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	found := map[string]record.Stored{}
	columns := strings.ReplaceAll(selectOperations, "tenant, id", "operations.tenant, operations.id")
	err := eachOperation(ctx, s.dialect, s.reads, keys, columns, func(rows *sql.Rows) error {
		o, err := scanOperation(rows)
		found[o.ID] = o
		return err
	})
	if err != nil {
		return nil, unavailable(err)
	}
	return found, nil
}

// eachOperation selects columns of the operations under keys. A key that no
// operation can have is passed over.
func eachOperation(ctx context.Context, d dialect, q querier, keys []record.OperationKey, columns string, scan func(*sql.Rows) error) error {
	keys = slices.DeleteFunc(slices.Clone(keys), func(k record.OperationKey) bool {
		_, err := record.ParseID(k.ID)
		return err != nil || !storable(k.Tenant)
	})
	if len(keys) == 0 {
		return nil
	}
	input := []column{
		pluck(keys, "tenant", "text", func(k *record.OperationKey) string { return k.Tenant }),
		pluck(keys, "id", "uuid", func(k *record.OperationKey) string { return k.ID }),
	}
	return d.query(ctx, q, input, columns+" FROM v JOIN operations ON operations.tenant = v.tenant AND operations.id = v.id", scan)
}

func (s *Store) readOperations(ctx context.Context, statement string, args arguments, each func(record.Stored)) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	rows, err := s.reads.QueryContext(ctx, statement, args...)
	if err == nil {
		err = eachRow(rows, func(rows *sql.Rows) error {
			o, err := scanOperation(rows)
			each(o)
			return err
		})
	}
	if err != nil {
		return unavailable(err)
	}
	return nil
}

// scanOperation reads a row of selectOperations.
func scanOperation(rows *sql.Rows) (o record.Stored, err error) {
	var storedAt instant
	err = rows.Scan(&o.Tenant, &o.ID, &o.Collection, &o.Key.ID, &o.Action, &o.Status, &o.Version, &o.Code, &o.Detail,
		&o.Principal, &o.Owner, &o.Attempts, &storedAt)
	o.AcceptedAt, o.StoredAt = record.AcceptedAt(o.ID), storedAt.Time
	return o, err
}
