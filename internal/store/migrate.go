package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/pressly/goose/v3"
)

// ErrNotMigrated is wrapped by the errors of Ping when the database lacks
// migrations that this program needs.
var ErrNotMigrated = errors.New("the database is not migrated")

//go:embed migrations
var migrationFiles embed.FS

// versionTable is where goose notes what it has done; not under goose's own
// name, which another program in the same database may use.
const versionTable = "waybill_migrations"

// migrationsOf returns the dialect's migrations and the version of the last.
func migrationsOf(d dialect) (files fs.FS, version int64) {
	directory, _, _ := d.migrations()
	files, err := fs.Sub(migrationFiles, directory)
	if err != nil {
		panic(err) // a constant is wrong
	}
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		panic(err)
	}
	for _, name := range names {
		number, _, _ := strings.Cut(name, "_")
		if n, err := strconv.ParseInt(number, 10, 64); err == nil {
			version = max(version, n)
		}
	}
	return files, version
}

// Migrate brings the schema to the version that this program needs, under a lock
// against other processes that do the same; a newer schema is left alone. Its
// errors are StoreUnavailable, and worth another try.
func (s *Store) Migrate(ctx context.Context) error {
	err := s.migrate(ctx)
	if err != nil {
		return unavailable(fmt.Errorf("migrate: %w", err))
	}
	return nil
}

func (s *Store) migrate(ctx context.Context) error {
	err := s.Ping(ctx)
	if !errors.Is(err, ErrNotMigrated) {
		return err
	}
	if err := s.dialect.check(ctx, s.writes); err != nil {
		return err
	}
	_, dialect, options := s.dialect.migrations()
	options = append(options, goose.WithTableName(versionTable), goose.WithDisableGlobalRegistry(true),
		goose.WithSessionLocker(s.dialect.locker(s.version)))
	provider, err := goose.NewProvider(dialect, s.writes, s.migrations, options...)
	if err != nil {
		return err
	}
	results, err := provider.Up(ctx)
	if err != nil {
		return err
	}
	for _, r := range results {
		s.log.InfoContext(ctx, "migrated the database", "migration", r.Source.Path, "duration", r.Duration)
	}
	return s.migrated(ctx, s.writes)
}

// migrated returns nil if the schema is at the version or beyond, ErrNotMigrated
// if it is not there yet.
func (s *Store) migrated(ctx context.Context, db *sql.DB) error {
	version, err := schemaVersion(ctx, db)
	switch {
	case err != nil && s.dialect.tableMissing(err):
		return fmt.Errorf("%w: it is empty", ErrNotMigrated)
	case err != nil:
		return err
	case version < s.version:
		return fmt.Errorf("%w: its schema has version %d, this program needs %d", ErrNotMigrated, version, s.version)
	}
	return nil
}

func schemaVersion(ctx context.Context, q interface {
	QueryRowContext(context.Context, string, ...any) *sql.Row
}) (version int64, err error) {
	err = q.QueryRowContext(ctx, "SELECT COALESCE(MAX(version_id), 0) FROM "+versionTable).Scan(&version)
	return version, err
}

// exclusively calls f with a session that excludes those of other processes
// which migrate or make indexes.
func (s *Store) exclusively(ctx context.Context, f func(*sql.Conn) error) (err error) {
	conn, err := s.writes.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	locker := s.dialect.locker(s.version)
	if err := locker.SessionLock(ctx, conn); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, locker.SessionUnlock(context.WithoutCancel(ctx), conn)) }()
	return f(conn)
}

// orDiscard closes the session for good if err, from unlocking it, is one: back
// in the pool it would go on holding the lock.
func orDiscard(conn *sql.Conn, err error) error {
	if err != nil {
		_ = conn.Raw(func(any) error { return driver.ErrBadConn }) // returns what it is given
	}
	return err
}
