package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/waybill-dev/waybill/internal/record"
)

// changes are what an application does to the records, in the order of their keys.
type changes struct {
	inserts, updates, deletes []change
}

// change is a record as it shall be, and the version that it must have until
// then. Of a delete, the key and that version count.
type change struct {
	record.Record
	expected int64
}

// add notes the change from before (version 0: does not exist) to after (nil:
// does not exist), if it is one.
func (c *changes) add(key record.Key, before, after *record.Record) {
	switch {
	case before.Version == 0 && after == nil:
	case before.Version == 0:
		c.inserts = append(c.inserts, change{*after, 0})
	case after == nil:
		c.deletes = append(c.deletes, change{record.Record{Key: key}, before.Version})
	case after.Version != before.Version || after.UpdatedBy != before.UpdatedBy: // deleted and made anew, the version may be the same
		c.updates = append(c.updates, change{*after, before.Version})
	}
}

// write does them, all or errRaced.
func (c *changes) write(ctx context.Context, tx *sql.Tx, d dialect) error {
	if n := len(c.inserts); n > 0 {
		input := append(append(nameColumns(c.inserts), ownerColumn(c.inserts)), stateColumns(c.inserts)...)
		statement := insertInto("records", input) + " ON CONFLICT (tenant, collection, id) DO NOTHING"
		if err := all(n)(d.exec(ctx, tx, input, statement)); err != nil {
			return err
		}
	}
	if n := len(c.updates); n > 0 {
		input := append(append(nameColumns(c.updates), expectedColumn(c.updates)), stateColumns(c.updates)...)
		if err := all(n)(d.exec(ctx, tx, input, updateRecords)); err != nil {
			return err
		}
	}
	if n := len(c.deletes); n > 0 {
		input := append(nameColumns(c.deletes), expectedColumn(c.deletes))
		if err := all(n)(d.exec(ctx, tx, input, deleteRecords)); err != nil {
			return err
		}
	}
	return nil
}

const updateRecords = `UPDATE records SET version = v.version, data = v.data,
	created_by = v.created_by, updated_by = v.updated_by, created_at = v.created_at, updated_at = v.updated_at
	FROM v WHERE` + sameRecord + ` AND records.version = v.expected`

const deleteRecords = `DELETE FROM records
	WHERE (tenant, collection, id, version) IN (SELECT tenant, collection, id, expected FROM v)`

func nameColumns(in []change) []column {
	return []column{
		pluck(in, "tenant", "text", func(c *change) string { return c.Tenant }),
		pluck(in, "collection", "text", func(c *change) string { return c.Collection }),
		pluck(in, "id", "text", func(c *change) string { return c.ID }),
	}
}

func expectedColumn(in []change) column {
	return pluck(in, "expected", "bigint", func(c *change) int64 { return c.expected })
}

// ownerColumn is for records that are created: the owner never changes.
func ownerColumn(in []change) column {
	return pluck(in, "owner", "text", func(c *change) string { return c.Owner })
}

func stateColumns(in []change) []column {
	return []column{
		pluck(in, "version", "bigint", func(c *change) int64 { return c.Version }),
		pluck(in, "data", "json", func(c *change) []byte { return c.Data }),
		pluck(in, "created_by", "uuid", func(c *change) string { return c.CreatedBy }),
		pluck(in, "updated_by", "uuid", func(c *change) string { return c.UpdatedBy }),
		pluck(in, "created_at", "timestamptz", func(c *change) time.Time { return c.CreatedAt() }),
		pluck(in, "updated_at", "timestamptz", func(c *change) time.Time { return c.UpdatedAt() }),
	}
}
