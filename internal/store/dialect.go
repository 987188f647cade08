package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/waybill-dev/waybill/internal/fault"
)

// dialect is all that differs between the databases.
type dialect interface {
	// exec runs statement, which reads its input rows from the common table
	// expression v, and returns how many rows it changed. With Postgres that is
	// one round trip and one plan, whatever the number of rows.
	exec(ctx context.Context, tx *sql.Tx, input []column, statement string) (changed int64, err error)
	// query does the same with a statement that returns rows.
	query(ctx context.Context, q querier, input []column, statement string, scan func(*sql.Rows) error) error
	// begin starts a transaction that writes.
	begin(ctx context.Context, db *sql.DB) (*sql.Tx, error)
	// forUpdate ends a statement that reads records and locks them, in the order of record.Key.
	forUpdate() string
	// by follows a table's name and tells a planner that needs it the index ("": any).
	by(index string) string

	// field returns the expression for the text of a record's top-level field:
	// strings decoded, numbers and booleans as written, NULL for null or none.
	field(name string) string
	literal(text string) string

	// now is the expression for the database's own clock, some seconds from now.
	now(ahead int) string
	// at is how a time is given as a single argument.
	at(t time.Time) any
	// lockRow ends a statement that reads one row and locks it.
	lockRow() string
	// lockFree ends a statement that locks the rows of a table, and leaves out those
	// that somebody else has locked.
	lockFree(table string) string
	// relaxed is an expression that, evaluated in a transaction, lets its commit
	// return before it is on disk: for what a crash may undo.
	relaxed() string

	migrations() (directory string, d goose.Dialect, options []goose.ProviderOption)
	// locker excludes other processes that migrate or make indexes.
	locker(version int64) lock.SessionLocker
	// check returns why the server will not do.
	check(ctx context.Context, db *sql.DB) error
	indexes() indexStatements

	refused(err error) (kind fault.Kind, detail string, ok bool)
	unavailable(err error) bool
	tableMissing(err error) bool
}

// indexStatements are how a dialect handles the indexes on fields.
type indexStatements struct {
	before, after []string // run on the session around the others
	list          string   // returns the name and validity of each index on records
	create, drop  string   // up to the index's name
}

// querier is a *sql.DB or a *sql.Tx.
type querier interface {
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// column is one column of a statement's input: its name, its type in Postgres,
// and its value in each row.
type column struct {
	name, kind string
	values     any // []string, []int64, [][]byte, []bool or []time.Time
}

// pluck returns the column that has, for each of rows, what value says.
func pluck[R, V any](rows []R, name, kind string, value func(*R) V) column {
	values := make([]V, len(rows))
	for i := range rows {
		values[i] = value(&rows[i])
	}
	return column{name: name, kind: kind, values: values}
}

// eachRow calls scan for every row, and closes rows.
func eachRow(rows *sql.Rows, scan func(*sql.Rows) error) error {
	defer func() { _ = rows.Close() }() // Err has what matters
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// arguments collects a statement's arguments.
type arguments []any

// add returns the placeholder of one more argument.
func (a *arguments) add(v any) string {
	*a = append(*a, v)
	return "$" + strconv.Itoa(len(*a))
}

// instant scans a time: SQLite keeps text.
type instant struct{ time.Time }

// never is the time that stands for none, in columns that have no NULL.
var never = time.Unix(0, 0).UTC()

// orNever is t as it is kept, and orZero as it is read.
func orNever(t time.Time) time.Time {
	if t.IsZero() {
		return never
	}
	return t.UTC().Truncate(time.Microsecond)
}

func (i *instant) orZero() time.Time {
	if i.Time.Equal(never) {
		return time.Time{}
	}
	return i.Time
}

// timeLayout has a fixed width, so that the text sorts as the times do.
const timeLayout = "2006-01-02T15:04:05.000000Z07:00"

// Scan implements sql.Scanner.
func (i *instant) Scan(src any) error {
	switch v := src.(type) {
	case time.Time:
		i.Time = v.UTC()
		return nil
	case string:
		t, err := time.Parse(timeLayout, v)
		i.Time = t.UTC()
		return err
	}
	return fmt.Errorf("a time is stored as %T", src)
}

// listed is a list as it is kept, in text, and unlisted as it is read: "" for none.
func listed[T ~string](list []T) string {
	if len(list) == 0 {
		return ""
	}
	b, _ := json.Marshal(list) //nolint:errchkjson // strings
	return string(b)
}

func unlisted[T ~string](text string) (list []T, err error) {
	if text != "" {
		err = json.Unmarshal([]byte(text), &list)
	}
	return list, err
}
