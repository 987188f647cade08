// Package store keeps records and operations in SQL: PostgreSQL (14 or newer)
// for services, SQLite for `waybill up`. It stores what a fold decides, exactly
// once, and reads it back. The statements are the same for both databases; what
// differs is behind the dialect. What a write means, HTTP and Redis may not
// enter.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/subscription"
)

// ErrURL is wrapped by the errors of Open.
var ErrURL = errors.New("bad database URL")

// Bounds of the calls, whatever the caller's context allows: a database that
// hangs with its connections open is noticed by them.
const (
	readTimeout  = 10 * time.Second
	applyTimeout = 30 * time.Second
)

// Options of a Store. The zero value will do.
type Options struct {
	MaxConns        int          // most connections; 0: 10 to Postgres, 4 readers for SQLite (which has one writer always)
	Logger          *slog.Logger // nil: logs nothing
	ApplicationName string       // what Postgres shows of us; "" : waybill
	// Rules say which subscriptions may be told of an event; nil: all that want it.
	Rules subscription.Rules
}

// Store is a database of records and operations. Its methods may be called from
// any goroutine. Errors of the methods that only read are fault errors.
type Store struct {
	writes, reads *sql.DB // the same handle for Postgres
	dialect       dialect
	migrations    fs.FS
	version       int64 // of the schema, as this program needs it
	log           *slog.Logger
	subscribers   subscribers
	rules         subscription.Rules
}

// Open returns the store at url: postgres://…, postgresql://… or sqlite:PATH.
// It does not connect, so the database may be down; its errors wrap ErrURL and
// never show the URL, which may hold a password.
func Open(url string, o Options) (*Store, error) {
	s := &Store{log: o.Logger, rules: o.Rules}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	var err error
	scheme, rest, _ := strings.Cut(url, ":")
	switch scheme {
	case "postgres", "postgresql":
		s.dialect = postgresDialect{}
		s.writes, err = openPostgres(url, o)
		s.reads = s.writes
	case "sqlite":
		s.dialect = sqliteDialect{}
		s.writes, s.reads, err = openSQLite(rest, o)
	default:
		err = fmt.Errorf("%w: it must start with sqlite:, postgres:// or postgresql://", ErrURL)
	}
	if err != nil {
		return nil, err
	}
	s.migrations, s.version = migrationsOf(s.dialect)
	return s, nil
}

// Close closes the connections, after the calls under way have ended.
func (s *Store) Close() error {
	err := s.writes.Close()
	if s.reads != s.writes {
		err = errors.Join(s.reads.Close(), err)
	}
	return err
}

// DB returns the handle that writes, for tests that look behind the Store.
func (s *Store) DB() *sql.DB { return s.writes }

// Pools returns the handles, by a name that tells them apart, for metrics.
func (s *Store) Pools() map[string]*sql.DB {
	if s.reads == s.writes {
		return map[string]*sql.DB{"store": s.writes}
	}
	return map[string]*sql.DB{"store_writes": s.writes, "store_reads": s.reads}
}

// Ping returns nil if the database can be reached and has the schema that this
// program needs; else StoreUnavailable, wrapping ErrNotMigrated if that is why.
func (s *Store) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	if err := s.migrated(ctx, s.reads); err != nil {
		return unavailable(err)
	}
	return nil
}

// unavailable is what a reader is told when the store cannot answer.
func unavailable(err error) error {
	return fault.Wrap(fault.StoreUnavailable, err, "the database cannot be used now")
}

// storable says whether a database could hold all these texts. Those that it
// could not are found nowhere, and Postgres would not even be asked in peace.
func storable(texts ...string) bool {
	for _, t := range texts {
		if !utf8.ValidString(t) || strings.ContainsRune(t, 0) {
			return false
		}
	}
	return true
}
