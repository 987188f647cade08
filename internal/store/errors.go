package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"

	"github.com/waybill-dev/waybill/internal/fault"
)

// dialects are asked in turn what an error means: each knows its own.
var dialects = []dialect{postgresDialect{}, sqliteDialect{}}

// Refused says whether err means that the database refused the data itself:
// InvalidRecord if it is no value of its type (SQLSTATE class 22, SQLite's
// TOOBIG and MISMATCH), Conflict if it breaks a constraint (class 23,
// CONSTRAINT). The detail is the database's own message and fit for a client.
func Refused(err error) (kind fault.Kind, detail string, refused bool) {
	for _, d := range dialects {
		if kind, detail, ok := d.refused(err); ok {
			return kind, detail, true
		}
	}
	return "", "", false
}

// Unavailable says whether err means that the database cannot be used by anyone
// now (not reached, starting, stopping, out of connections or disk, too slow to
// answer), rather than something about this one statement. A context that the
// caller cancelled is not that.
func Unavailable(err error) bool {
	if err == nil || errors.Is(err, context.Canceled) {
		return false
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) {
		return true
	}
	for _, d := range dialects {
		if d.unavailable(err) {
			return true
		}
	}
	return false
}
