package store

import (
	"context"
	"database/sql"
	"slices"
	"strings"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/record"
)

// Filter selects records by the value of a top-level field, as text: strings
// decoded, numbers and booleans as they are written. null matches nothing.
type Filter struct{ Field, Value string }

// RecordQuery selects and pages a list of records.
type RecordQuery struct {
	Limit      int    // at least 1
	After      string // CreatedBy of the last record of the page before; "" for the first page
	Descending bool   // newest first
	Filters    []Filter
	Owner      string // only that principal's records; "": any
}

const (
	selectRecords = "SELECT records.tenant, records.collection, records.id, records.version, records.data, records.created_by, records.updated_by, records.owner"
	sameRecord    = " records.tenant = v.tenant AND records.collection = v.collection AND records.id = v.id"
)

// Record returns a record, or NotFound.
func (s *Store) Record(ctx context.Context, key record.Key) (*record.Record, error) {
	var found *record.Record
	if storable(key.Tenant, key.Collection, key.ID) {
		err := s.readRecords(ctx, selectRecords+" FROM records WHERE tenant = $1 AND collection = $2 AND id = $3",
			arguments{key.Tenant, key.Collection, key.ID}, func(r record.Record) { found = &r })
		if err != nil {
			return nil, err
		}
	}
	if found == nil {
		return nil, fault.New(fault.NotFound, "there is no record %q in %s", key.ID, key.Collection)
	}
	return found, nil
}

// Records returns a page of a collection's records in the order in which they
// were created, and whether there are more. A page costs the same at any depth,
// a filtered one where EnsureIndexes has made an index for one of the fields.
func (s *Store) Records(ctx context.Context, tenant, collection string, q RecordQuery) (items []record.Record, more bool, err error) {
	if err := checkCursor(q.After); err != nil {
		return nil, false, err
	}
	if !storable(tenant, collection, q.Owner) || slices.ContainsFunc(q.Filters, func(f Filter) bool { return !storable(f.Field, f.Value) }) {
		return nil, false, nil
	}
	statement, args := s.recordsStatement(tenant, collection, q)
	err = s.readRecords(ctx, statement, args, func(r record.Record) { items = append(items, r) })
	if err != nil {
		return nil, false, err
	}
	items, more = cut(items, q.Limit)
	return items, more, nil
}

func (s *Store) recordsStatement(tenant, collection string, q RecordQuery) (string, arguments) {
	var b strings.Builder
	var args arguments
	b.WriteString(selectRecords + " FROM records" + s.ownedBy(q, &args) + " AND tenant = " + args.add(tenant))
	if len(q.Filters) == 0 {
		b.WriteString(" AND collection = " + args.add(collection))
	} else { // the planner must see that the collection's partial indexes apply
		b.WriteString(" AND collection = " + s.dialect.literal(collection))
	}
	for _, f := range q.Filters {
		field := s.dialect.field(f.Field)
		b.WriteString(" AND " + head(field) + " = " + args.add(headOf(f.Value)) + " AND " + field + " = " + args.add(f.Value))
	}
	order, beyond := "", " > "
	if q.Descending {
		order, beyond = " DESC", " < "
	}
	if q.After != "" {
		b.WriteString(" AND created_by" + beyond + args.add(q.After))
	}
	b.WriteString(" ORDER BY created_by" + order + " LIMIT " + args.add(q.Limit+1))
	return b.String(), args
}

// ownedBy begins the conditions of a list such that, without filters, one index
// alone serves it.
func (s *Store) ownedBy(q RecordQuery, args *arguments) string {
	if q.Owner == "" {
		return " WHERE version > 0"
	}
	index := ""
	if len(q.Filters) == 0 {
		index = "records_by_owner"
	}
	return s.dialect.by(index) + " WHERE owner <> '' AND owner = " + args.add(q.Owner)
}

// Exists says which of the records exist now; those that do not are left out.
func (s *Store) Exists(ctx context.Context, keys []record.Key) (map[record.Key]bool, error) {
	keys = slices.DeleteFunc(slices.Clone(keys), func(k record.Key) bool { return !storable(k.Tenant, k.Collection, k.ID) })
	exist := make(map[record.Key]bool, len(keys))
	if len(keys) == 0 {
		return exist, nil
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	statement := "SELECT records.tenant, records.collection, records.id FROM v JOIN records ON" + sameRecord
	err := s.dialect.query(ctx, s.reads, keyColumns(keys), statement, func(rows *sql.Rows) error {
		var k record.Key
		err := rows.Scan(&k.Tenant, &k.Collection, &k.ID)
		exist[k] = true
		return err
	})
	if err != nil {
		return nil, unavailable(err)
	}
	return exist, nil
}

func (s *Store) readRecords(ctx context.Context, statement string, args arguments, each func(record.Record)) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	rows, err := s.reads.QueryContext(ctx, statement, args...)
	if err == nil {
		err = eachRow(rows, func(rows *sql.Rows) error {
			r, err := scanRecord(rows)
			each(r)
			return err
		})
	}
	if err != nil {
		return unavailable(err)
	}
	return nil
}

// scanRecord reads a row of selectRecords.
func scanRecord(rows *sql.Rows) (r record.Record, err error) {
	err = rows.Scan(&r.Tenant, &r.Collection, &r.ID, &r.Version, &r.Data, &r.CreatedBy, &r.UpdatedBy, &r.Owner)
	return r, err
}

func keyColumns(keys []record.Key) []column {
	return []column{
		pluck(keys, "tenant", "text", func(k *record.Key) string { return k.Tenant }),
		pluck(keys, "collection", "text", func(k *record.Key) string { return k.Collection }),
		pluck(keys, "id", "text", func(k *record.Key) string { return k.ID }),
	}
}

// checkCursor refuses a place in a list that no operation's ID marks.
func checkCursor(id string) error {
	if id == "" {
		return nil
	}
	if _, err := record.ParseID(id); err != nil {
		return fault.At(fault.InvalidParameter, "query.cursor", "is not a cursor of this list")
	}
	return nil
}

// cut returns the first limit items, and whether there are others.
func cut[T any](items []T, limit int) ([]T, bool) {
	if len(items) > limit {
		return items[:limit], true
	}
	return items, false
}
