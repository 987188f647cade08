package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// tables say where a system's rows are.
type tables struct {
	records string // a row a write
	stored  string // a row a write, with stored_at
	failed  string // counts what was stored as failed
}

var (
	waybillTables  = tables{"records", "operations", "SELECT count(*) FROM operations WHERE status <> 'done'"}
	baselineTables = tables{"messages", "messages", "SELECT 0"}
)

// parts is in how many pieces of equal length a window is looked at.
const parts = 10

// count checks that there are exactly as many rows as writes were accepted, and
// returns how many were stored a second in the window of d after from: on the
// whole, and in its slowest part.
func (t *tables) count(ctx context.Context, database string, accepted int, from time.Time, d time.Duration) (rate, slowest float64, err error) {
	db, err := pgx.Connect(ctx, database)
	if err != nil {
		return 0, 0, fmt.Errorf("connect: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close(ctx)) }()
	for _, check := range []struct {
		sql  string
		want int
	}{
		{"SELECT count(*) FROM " + t.records, accepted},
		{"SELECT count(*) FROM " + t.stored, accepted},
		{t.failed, 0},
	} {
		var got int
		if err := db.QueryRow(ctx, check.sql).Scan(&got); err != nil {
			return 0, 0, fmt.Errorf("%s: %w", check.sql, err)
		}
		if got != check.want {
			return 0, 0, fmt.Errorf("%s: %d, want %d: %d writes were accepted", check.sql, got, check.want, accepted)
		}
	}
	part := d / parts
	least, all := accepted, 0
	for i := range parts {
		begin := from.Add(time.Duration(i) * part)
		var n int
		err := db.QueryRow(ctx, "SELECT count(*) FROM "+t.stored+" WHERE stored_at >= $1 AND stored_at < $2", begin, begin.Add(part)).Scan(&n)
		if err != nil {
			return 0, 0, fmt.Errorf("count rows: %w", err)
		}
		least, all = min(least, n), all+n
	}
	return float64(all) / (parts * part).Seconds(), float64(least) / part.Seconds(), nil
}
