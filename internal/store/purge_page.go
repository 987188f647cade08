package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// What Purge.Of may be.
const (
	Operations = "operations"
	Deliveries = "deliveries" // that have ended, with their attempts
	Events     = "events"     // of which no delivery is left
	Records    = "records"    // of one collection
)

// Purge names rows that are over.
type Purge struct {
	Of         string
	Collection string    // of Records
	Before     time.Time // operations: stored; deliveries: ended; events and records: accepted
}

// Place is how far a purge has come. The zero value is its beginning, and its end.
type Place struct{ tenant, after string }

// purging is how rows of a kind are removed. They are looked through in the order of
// key, whose values tell the time; what is selected is locked, and then removed.
type purging struct {
	table, key string
	index      string   // in the order of tenant and key; "" for the primary key
	where      string   // further condition on the rows that are looked through
	same       string   // joins t, a row of the table, to v (tenant, id: the key, name: the row's ID, collection)
	over       string   // condition on t to be removed: v.before is Purge.Before
	removes    []remove // in this order
}

// remove is a statement that reads v.
type remove struct{ table, statement string }

// nothing is lower than every ID.
const nothing = "00000000-0000-0000-0000-000000000000"

func (s *Store) purging(p *Purge) (purging, error) {
	switch p.Of {
	case Operations: // a row is one that is done or failed
		return purging{table: p.Of, key: "id", same: sameID, over: "t.stored_at < v.before", removes: []remove{{p.Of, purgeOperations}}}, nil
	case Deliveries:
		return purging{
			table: p.Of, key: "id", same: sameID, over: "t.status || '' <> 'pending' AND t.finished_at < v.before",
			removes: []remove{{"attempts", purgeAttempts}, {p.Of, purgeDeliveries}},
		}, nil
	case Events:
		return purging{table: p.Of, key: "id", same: sameID, over: storedBefore, removes: []remove{{p.Of, purgeEvents}}}, nil
	case Records:
		if !storable(p.Collection) {
			break
		}
		index, _ := s.expiry(p.Collection)
		return purging{
			table: p.Of, key: "updated_by", index: index, where: " AND collection = " + s.dialect.literal(p.Collection),
			same:    "t.tenant = v.tenant AND t.collection = v.collection AND t.id = v.name",
			over:    "t.updated_by = v.id",
			removes: []remove{{p.Of, purgeRecords}},
		}, nil
	}
	return purging{}, fmt.Errorf("store: a purge of %q %q", p.Of, p.Collection)
}

// An event may have waited in the queue until it was stored, and be older than it
// seems here. Whether it has deliveries is asked once it is locked, by a statement
// of its own, which sees what a replay that had it locked has made.
const (
	sameID          = "t.tenant = v.tenant AND t.id = v.id"
	storedBefore    = "NOT EXISTS (SELECT 1 FROM operations AS o WHERE o.tenant = t.tenant AND o.id = t.id AND o.stored_at >= v.before)"
	purgeOperations = "DELETE FROM operations WHERE (tenant, id) IN (SELECT tenant, id FROM v)"
	purgeAttempts   = "DELETE FROM attempts WHERE (tenant, delivery) IN (SELECT tenant, id FROM v)"
	purgeDeliveries = "DELETE FROM deliveries WHERE (tenant, id) IN (SELECT tenant, id FROM v)"
	purgeRecords    = "DELETE FROM records WHERE (tenant, collection, id) IN (SELECT tenant, collection, name FROM v)"
	purgeEvents     = "DELETE FROM events WHERE (tenant, id) IN (SELECT tenant, id FROM v)" +
		" AND NOT EXISTS (SELECT 1 FROM deliveries AS d WHERE d.tenant = events.tenant AND d.event = events.id)"
)

// PurgePage looks through at most limit rows, from a place on, and removes those that
// are over and that nobody else has locked, in one short transaction that waits for
// no other. It returns how many rows of which tables, and the place to go on at; zero
// says that it came to the end. Removing announces nothing.
func (s *Store) PurgePage(ctx context.Context, p Purge, from Place, limit int) (removed map[string]int64, next Place, err error) {
	how, err := s.purging(&p)
	if err != nil {
		return nil, Place{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	if from.after == "" {
		if from.tenant, err = s.tenantAfter(ctx, how.table, from.tenant); err != nil || from.tenant == "" {
			return nil, Place{}, asFault(err)
		}
		from.after = nothing
	}
	rows, err := readPaged(ctx, s.reads, how.page(s.dialect), from.tenant, from.after, firstID(p.Before), limit)
	if err != nil {
		return nil, from, asFault(err)
	}
	next = Place{tenant: from.tenant}
	if len(rows) == limit {
		next.after = rows[limit-1].id
	}
	if len(rows) > 0 {
		removed, err = s.purgeThose(ctx, &how, from.tenant, rows, &p)
	}
	return removed, next, err
}

// tenantAfter returns the next tenant that has rows in table, "" for none.
func (s *Store) tenantAfter(ctx context.Context, table, tenant string) (next string, err error) {
	err = s.reads.QueryRowContext(ctx, "SELECT tenant FROM "+table+" WHERE tenant > $1 ORDER BY tenant LIMIT 1", tenant).Scan(&next)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return next, err
}

// page is the statement that returns what is to be looked through.
func (p *purging) page(d dialect) string {
	return "SELECT " + p.key + ", id FROM " + p.table + d.by(p.index) + " WHERE tenant = $1 AND " + p.key + " > $2 AND " + p.key + " < $3" + p.where +
		" ORDER BY " + p.key + " LIMIT $4"
}

// lock is the statement that reads v and locks those of its rows that are over.
func (p *purging) lock(d dialect) string {
	return "SELECT v.id, v.name FROM v JOIN " + p.table + " AS t ON " + p.same + " WHERE " + p.over + d.lockFree("t")
}

// paged is a row that is looked through: its key and its ID.
type paged struct{ id, name string }

// purgeThose removes those of rows that are over.
func (s *Store) purgeThose(ctx context.Context, how *purging, tenant string, all []paged, p *Purge) (removed map[string]int64, err error) {
	err = s.transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
		removed = map[string]int64{}
		var over []paged
		input := append(purgeColumns(tenant, p.Collection, all), pluck(all, "before", "timestamptz", func(*paged) time.Time { return orNever(p.Before) }))
		err := s.dialect.query(ctx, tx, input, how.lock(s.dialect), func(rows *sql.Rows) error {
			var one paged
			err := rows.Scan(&one.id, &one.name)
			over = append(over, one)
			return err
		})
		if err != nil || len(over) == 0 {
			return err
		}
		for _, r := range how.removes {
			if removed[r.table], err = s.dialect.exec(ctx, tx, purgeColumns(tenant, p.Collection, over), r.statement); err != nil {
				return err
			}
		}
		return nil
	})
	return removed, err
}

// purgeColumns has the collection as a value: as a constant it would have a planner
// with old statistics find each row by reading the collection's other indexes.
func purgeColumns(tenant, collection string, rows []paged) []column {
	return []column{
		pluck(rows, "tenant", "text", func(*paged) string { return tenant }),
		pluck(rows, "id", "uuid", func(r *paged) string { return r.id }),
		pluck(rows, "collection", "text", func(*paged) string { return collection }),
		pluck(rows, "name", "text", func(r *paged) string { return r.name }),
	}
}

func readPaged(ctx context.Context, db *sql.DB, statement string, args ...any) (all []paged, err error) {
	rows, err := db.QueryContext(ctx, statement, args...)
	if err != nil {
		return nil, err
	}
	err = eachRow(rows, func(rows *sql.Rows) error {
		var one paged
		err := rows.Scan(&one.id, &one.name)
		all = append(all, one)
		return err
	})
	return all, err
}
