package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/waybill-dev/waybill/internal/fault"
)

// oldestPostgres is the server_version_num of the oldest server that will do.
const oldestPostgres = 140000

// sessionDefaults hold for every session whose URL does not say otherwise.
var sessionDefaults = map[string]string{
	// A worker that freezes in a transaction holds up no one for long.
	"lock_timeout":                        "10s",
	"idle_in_transaction_session_timeout": "15s",
	// Every statement here finds its rows by an index. A plan made while the
	// table was empty or its statistics old reads all of it for each batch.
	"enable_seqscan":   "off",
	"enable_hashjoin":  "off",
	"enable_mergejoin": "off",
	// A scan that there is no index for, of a table of one row, is reckoned so dear
	// for the above that it would be compiled first, each time: 10 to 30 ms.
	"jit": "off",
}

// openPostgres returns a pool of connections, of which there are none yet.
func openPostgres(url string, o Options) (*sql.DB, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil { // which may quote the password, whatever it masks
		return nil, fmt.Errorf("%w: not postgres://user:password@host:port/database?sslmode=… as libpq reads it", ErrURL)
	}
	set := config.RuntimeParams
	for name, value := range sessionDefaults {
		if _, ok := set[name]; !ok && !strings.Contains(set["options"], name) {
			set[name] = value
		}
	}
	if set["application_name"] == "" {
		set["application_name"] = cmp.Or(o.ApplicationName, "waybill")
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = 5 * time.Second
	}
	// Finds out in half a minute that the machine behind an idle connection is gone.
	dialer := &net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3}}
	config.DialFunc = dialer.DialContext

	db := stdlib.OpenDB(*config)
	conns := cmp.Or(o.MaxConns, 10)
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	db.SetConnMaxIdleTime(5 * time.Minute)
	return db, nil
}

type postgresDialect struct{}

// input returns the common table expression v and its arguments, an array a column.
func (postgresDialect) input(columns []column) (with string, args []any) {
	names, casts := make([]string, len(columns)), make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.name
		casts[i] = fmt.Sprintf("$%d::%s[]", i+1, c.kind)
		if c.kind == "uuid" { // of strings, which pgx can send as text alone
			casts[i] = fmt.Sprintf("$%d::text[]::uuid[]", i+1)
		}
		args = append(args, c.values)
	}
	return "WITH v (" + strings.Join(names, ", ") + ") AS (SELECT * FROM unnest(" + strings.Join(casts, ", ") + ")) ", args
}

func (d postgresDialect) exec(ctx context.Context, tx *sql.Tx, input []column, statement string) (int64, error) {
	with, args := d.input(input)
	result, err := tx.ExecContext(ctx, with+statement, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

func (d postgresDialect) query(ctx context.Context, q querier, input []column, statement string, scan func(*sql.Rows) error) error {
	with, args := d.input(input)
	rows, err := q.QueryContext(ctx, with+statement, args...)
	if err != nil {
		return err
	}
	return eachRow(rows, scan)
}

// begin says READ COMMITTED whatever the server's default: after waiting for
// another transaction, the next statement must see what it committed.
func (postgresDialect) begin(ctx context.Context, db *sql.DB) (*sql.Tx, error) {
	return db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
}

func (postgresDialect) forUpdate() string {
	return " ORDER BY records.tenant, records.collection, records.id FOR UPDATE OF records"
}

func (postgresDialect) now(ahead int) string {
	if ahead == 0 {
		return "clock_timestamp()"
	}
	return fmt.Sprintf("clock_timestamp() + interval '%d s'", ahead)
}

func (postgresDialect) at(t time.Time) any { return t.UTC() }

func (postgresDialect) lockRow() string { return " FOR UPDATE" }

func (postgresDialect) lockFree(table string) string {
	return " FOR UPDATE OF " + table + " SKIP LOCKED"
}

func (postgresDialect) relaxed() string { return "set_config('synchronous_commit', 'off', true)" }

func (postgresDialect) by(string) string { return "" }

func (d postgresDialect) field(name string) string {
	return "((data ->> " + d.literal(name) + `) COLLATE "C")`
}

func (postgresDialect) literal(text string) string {
	quoted := "'" + strings.ReplaceAll(text, "'", "''") + "'"
	if strings.Contains(text, `\`) {
		return "E" + strings.ReplaceAll(quoted, `\`, `\\`)
	}
	return quoted
}

func (postgresDialect) migrations() (string, goose.Dialect, []goose.ProviderOption) {
	return "migrations/postgres", goose.DialectPostgres, nil
}

func (postgresDialect) check(ctx context.Context, db *sql.DB) error {
	var version int
	var encoding string
	err := db.QueryRowContext(ctx, "SELECT current_setting('server_version_num')::int, current_setting('server_encoding')").Scan(&version, &encoding)
	if err != nil {
		return err
	}
	if version < oldestPostgres || encoding != "UTF8" {
		return fmt.Errorf("the database must be PostgreSQL %d or newer with encoding UTF8; it is %d.%d with %s",
			oldestPostgres/10000, version/10000, version%10000, encoding)
	}
	return nil
}

func (postgresDialect) indexes() indexStatements {
	return indexStatements{
		// An index takes the time it takes, and waits for every transaction older than itself.
		before: []string{"SET lock_timeout = 0", "SET statement_timeout = 0"},
		after:  []string{"RESET lock_timeout", "RESET statement_timeout"},
		list: `SELECT c.relname, i.indisvalid FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
			WHERE i.indrelid = 'records'::regclass`,
		create: "CREATE INDEX CONCURRENTLY ",
		drop:   "DROP INDEX CONCURRENTLY IF EXISTS ",
	}
}

// advisoryLock is the key of the lock that serialises changes to the schema.
const advisoryLock = 9292455 // "waybill" on a telephone's keys

type postgresLocker struct{}

func (postgresDialect) locker(int64) lock.SessionLocker { return postgresLocker{} }

// SessionLock asks again and again: a session that waited inside
// pg_advisory_lock would hold a snapshot, for which the CREATE INDEX
// CONCURRENTLY of the lock's holder would wait in turn.
func (postgresLocker) SessionLock(ctx context.Context, conn *sql.Conn) error {
	for {
		var locked bool
		if err := conn.QueryRowContext(ctx, "SELECT pg_try_advisory_lock($1)", advisoryLock).Scan(&locked); err != nil || locked {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("another process is changing the schema: %w", ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (postgresLocker) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	_, err := conn.ExecContext(ctx, "SELECT pg_advisory_unlock($1)", advisoryLock)
	return orDiscard(conn, err)
}

func (postgresDialect) refused(err error) (fault.Kind, string, bool) {
	var e *pgconn.PgError
	if !errors.As(err, &e) || len(e.Code) != 5 {
		return "", "", false
	}
	switch e.Code[:2] {
	case "22":
		return fault.InvalidRecord, e.Message, true
	case "23":
		return fault.Conflict, e.Message, true
	}
	return "", "", false
}

func (postgresDialect) unavailable(err error) bool {
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true // whatever the server said to that: nobody is let in
	}
	var e *pgconn.PgError
	if errors.As(err, &e) && len(e.Code) == 5 {
		switch e.Code {
		case "57P01", "57P02", "57P03", // shutting down, crashed, starting up
			"57014", // statement_timeout: a cancelled context never gets here
			"25006": // a standby, after a failover
			return true
		}
		return e.Code[:2] == "08" || e.Code[:2] == "53" // connection lost; out of connections, memory, disk
	}
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, pgconn.ErrConnClosed)
}

func (postgresDialect) tableMissing(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && e.Code == "42P01"
}
