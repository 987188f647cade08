package store

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/waybill-dev/waybill/internal/fault"
)

// openSQLite returns two pools for the file at path: the one connection that
// writes, and readers, which WAL lets read meanwhile.
func openSQLite(path string, o Options) (writes, reads *sql.DB, err error) {
	switch {
	case path == "" || path == ":memory:" || !storable(path):
		return nil, nil, fmt.Errorf("%w: sqlite: needs the path of a file", ErrURL)
	case strings.HasPrefix(path, "//") && !strings.HasPrefix(path, "///"):
		return nil, nil, fmt.Errorf("%w: sqlite: takes a path, not a host: sqlite:data/waybill.db or sqlite:///srv/waybill.db", ErrURL)
	}
	if path, err = filepath.Abs(path); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrURL, err)
	}
	// WAL needs a lock to be switched on: busy_timeout comes first.
	pragmas := []string{"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "journal_size_limit(67108864)"}
	if writes, err = openSQLiteFile(path, "immediate", pragmas); err != nil {
		return nil, nil, err
	}
	writes.SetMaxOpenConns(1)
	if reads, err = openSQLiteFile(path, "deferred", append(pragmas, "query_only(1)")); err != nil {
		return nil, nil, errors.Join(err, writes.Close())
	}
	conns := cmp.Or(o.MaxConns, 4)
	reads.SetMaxOpenConns(conns)
	reads.SetMaxIdleConns(conns)
	reads.SetConnMaxIdleTime(5 * time.Minute)
	return writes, reads, nil
}

func openSQLiteFile(path, begin string, pragmas []string) (*sql.DB, error) {
	query := url.Values{"_txlock": {begin}, "_pragma": pragmas, "_dqs": {"0"}, "_error_rc": {"1"}}
	file := url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: query.Encode()}
	connector, err := sqlite.NewConnector(file.String())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrURL, err)
	}
	return sql.OpenDB(inDirectory{connector, filepath.Dir(path)}), nil
}

// inDirectory makes the file's directory before each connection.
type inDirectory struct {
	driver.Connector
	directory string
}

// Connect implements driver.Connector.
func (c inDirectory) Connect(ctx context.Context) (driver.Conn, error) {
	if err := os.MkdirAll(c.directory, 0o700); err != nil {
		return nil, err
	}
	return c.Connector.Connect(ctx)
}

type sqliteDialect struct{}

// input returns the common table expression v with a single row.
func (sqliteDialect) input(columns []column) (with string) {
	names, places := make([]string, len(columns)), make([]string, len(columns))
	for i, c := range columns {
		names[i], places[i] = c.name, fmt.Sprintf("$%d", i+1)
	}
	return "WITH v (" + strings.Join(names, ", ") + ") AS (VALUES (" + strings.Join(places, ", ") + ")) "
}

// eachInput prepares statement and calls run with the arguments of each row: in
// one transaction that is SQLite's fastest way.
func (d sqliteDialect) eachInput(ctx context.Context, q querier, input []column, statement string, run func(*sql.Stmt, []any) error) error {
	prepared, err := q.PrepareContext(ctx, d.input(input)+statement)
	if err != nil {
		return err
	}
	defer func() { _ = prepared.Close() }() // nothing is lost with it
	args := make([]any, len(input))
	for row := range input[0].length() {
		for i := range input {
			args[i] = input[i].sqlite(row)
		}
		if err := run(prepared, args); err != nil {
			return err
		}
	}
	return nil
}

// length returns the number of rows.
func (c *column) length() int {
	switch v := c.values.(type) {
	case []string:
		return len(v)
	case []int64:
		return len(v)
	case [][]byte:
		return len(v)
	case []time.Time:
		return len(v)
	case []bool:
		return len(v)
	}
	panic(fmt.Sprintf("store: a column of %T", c.values))
}

// sqlite returns the value in one row as SQLite shall keep it. Data goes in as
// text: a blob would be taken for SQLite's own binary JSON.
func (c *column) sqlite(row int) any {
	switch v := c.values.(type) {
	case []string:
		return v[row]
	case []int64:
		return v[row]
	case [][]byte:
		return string(v[row])
	case []time.Time:
		return v[row].UTC().Format(timeLayout)
	case []bool:
		return v[row]
	}
	panic(fmt.Sprintf("store: a column of %T", c.values))
}

func (d sqliteDialect) exec(ctx context.Context, tx *sql.Tx, input []column, statement string) (changed int64, err error) {
	err = d.eachInput(ctx, tx, input, statement, func(prepared *sql.Stmt, args []any) error {
		result, err := prepared.ExecContext(ctx, args...)
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		changed += n
		return err
	})
	return changed, err
}

func (d sqliteDialect) query(ctx context.Context, q querier, input []column, statement string, scan func(*sql.Rows) error) error {
	return d.eachInput(ctx, q, input, statement, func(prepared *sql.Stmt, args []any) error {
		rows, err := prepared.QueryContext(ctx, args...)
		if err != nil {
			return err
		}
		return eachRow(rows, scan)
	})
}

// begin takes the write lock at once (_txlock), so nothing needs locking later.
func (sqliteDialect) begin(ctx context.Context, db *sql.DB) (*sql.Tx, error) {
	return db.BeginTx(ctx, nil)
}

func (sqliteDialect) forUpdate() string { return "" }

func (sqliteDialect) now(ahead int) string {
	return fmt.Sprintf("strftime('%%Y-%%m-%%dT%%H:%%M:%%f000Z', 'now', '%+d seconds')", ahead)
}

func (sqliteDialect) at(t time.Time) any { return t.UTC().Format(timeLayout) }

func (sqliteDialect) lockRow() string { return "" }

func (sqliteDialect) lockFree(string) string { return "" }

func (sqliteDialect) relaxed() string { return "''" }

// by is for a planner without statistics, which takes the primary key for all.
func (sqliteDialect) by(index string) string {
	if index == "" {
		return ""
	}
	return " INDEXED BY " + index
}

// field keeps numbers and booleans as written: ->> alone would make 1.1 of
// 1.10, Inf of 1e400 and 1 of true.
func (d sqliteDialect) field(name string) string {
	path := d.literal("$." + jsonString(name))
	return "CASE json_type(data, " + path + ") WHEN 'text' THEN data ->> " + path +
		" WHEN 'null' THEN NULL ELSE data -> " + path + " END"
}

// jsonString returns text as a JSON string, in which a JSON path is quoted.
func jsonString(text string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(text) // no string fails
	return strings.TrimSuffix(b.String(), "\n")
}

func (sqliteDialect) literal(text string) string {
	return "'" + strings.ReplaceAll(text, "'", "''") + "'"
}

// migrations runs all of them in the locker's transaction, not one in each.
func (sqliteDialect) migrations() (string, goose.Dialect, []goose.ProviderOption) {
	return "migrations/sqlite", goose.DialectSQLite3, []goose.ProviderOption{goose.WithIsolateDDL(true)}
}

func (sqliteDialect) check(context.Context, *sql.DB) error { return nil }

func (sqliteDialect) indexes() indexStatements {
	return indexStatements{
		list:   "SELECT name, TRUE FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'records'",
		create: "CREATE INDEX ",
		drop:   "DROP INDEX IF EXISTS ",
	}
}

// sqliteLocker holds one transaction around everything. What it protects counts
// only if the schema is then at the version.
type sqliteLocker struct{ version int64 }

func (sqliteDialect) locker(version int64) lock.SessionLocker { return sqliteLocker{version} }

func (sqliteLocker) SessionLock(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE")
	return err
}

func (l sqliteLocker) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	version, err := schemaVersion(ctx, conn)
	end := "COMMIT"
	if err != nil || version < l.version {
		end = "ROLLBACK"
	}
	_, err = conn.ExecContext(ctx, end)
	return orDiscard(conn, err)
}

func (sqliteDialect) refused(err error) (fault.Kind, string, bool) {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return "", "", false
	}
	detail := strings.TrimSuffix(e.Error(), fmt.Sprintf(" (%d)", e.Code()))
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_CONSTRAINT:
		return fault.Conflict, strings.TrimPrefix(detail, "constraint failed: "), true
	case sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_MISMATCH:
		return fault.InvalidRecord, detail, true
	}
	return "", "", false
}

func (sqliteDialect) unavailable(err error) bool {
	if _, ok := errors.AsType[*os.PathError](err); ok {
		return true // the directory cannot be made
	}
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL, // another process holds it
		sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_NOMEM,
		sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return true
	}
	return false
}

func (sqliteDialect) tableMissing(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code() == sqlite3.SQLITE_ERROR && strings.Contains(e.Error(), "no such table")
}
