package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	// indexPrefix begins the names of the indexes on fields; the rest is a hash.
	indexPrefix = "records_field_"
	// expiryPrefix begins the names of the indexes by the last write.
	expiryPrefix = "records_expiry_"
	// indexed is how many characters of a value an index holds. A Postgres index
	// row has room for about 2,700 bytes, and a value must not make a write fail.
	indexed = 200
)

// EnsureIndexes makes the indexes that lists filtered by field use, and those that
// the purge of records uses: want has the fields of each collection, and expire the
// collections whose records go some time after their last write. Missing and broken ones are built (in Postgres
// without holding up writes), those no longer wanted are dropped. It takes as
// long as that takes; other processes that call it wait. Its errors are
// StoreUnavailable.
func (s *Store) EnsureIndexes(ctx context.Context, want map[string][]string, expire ...string) error {
	definitions := s.definitions(want)
	for _, collection := range expire {
		if name, definition := s.expiry(collection); storable(collection) {
			definitions[name] = definition
		}
	}
	err := s.exclusively(ctx, func(conn *sql.Conn) (err error) {
		how := s.dialect.indexes()
		if err := execAll(ctx, conn, how.before...); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, execAll(context.WithoutCancel(ctx), conn, how.after...)) }()
		standing, err := fieldIndexes(ctx, conn, how.list)
		if err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(standing)) {
			if _, wanted := definitions[name]; wanted && standing[name] {
				continue
			}
			if err := execAll(ctx, conn, how.drop+name); err != nil {
				return err
			}
			s.log.InfoContext(ctx, "dropped an index", "index", name, "valid", standing[name])
		}
		for _, name := range slices.Sorted(maps.Keys(definitions)) {
			if standing[name] {
				continue
			}
			if err := execAll(ctx, conn, how.create+name+definitions[name]); err != nil {
				return err
			}
			s.log.InfoContext(ctx, "made an index", "index", name)
		}
		return nil
	})
	if err != nil {
		return unavailable(fmt.Errorf("indexes on fields: %w", err))
	}
	return nil
}

// definitions returns, by name, what follows the name in CREATE INDEX. The name
// is a hash of that: an index that is defined otherwise is another one.
func (s *Store) definitions(want map[string][]string) map[string]string {
	definitions := map[string]string{}
	for collection, fields := range want {
		for _, field := range fields {
			if !storable(collection, field) {
				continue // no record has such a field
			}
			definition := fmt.Sprintf(" ON records (tenant, (%s), created_by) WHERE collection = %s",
				head(s.dialect.field(field)), s.dialect.literal(collection))
			definitions[indexName(indexPrefix, definition)] = definition
		}
	}
	return definitions
}

// expiry returns the name and the definition of the index of a collection's records
// by their last write. Collections without retention have none: it costs each write.
func (s *Store) expiry(collection string) (name, definition string) {
	definition = " ON records (tenant, updated_by) WHERE collection = " + s.dialect.literal(collection)
	return indexName(expiryPrefix, definition), definition
}

func indexName(prefix, definition string) string {
	return fmt.Sprintf("%s%x", prefix, sha256.Sum256([]byte(definition)))[:50]
}

// head is the part of an expression that an index holds.
func head(expression string) string { return fmt.Sprintf("substr(%s, 1, %d)", expression, indexed) }

// headOf is what head makes of a value.
func headOf(value string) string {
	if utf8.RuneCountInString(value) <= indexed {
		return value
	}
	return string([]rune(value)[:indexed])
}

// fieldIndexes returns the names of the indexes that EnsureIndexes has made, and whether each is valid.
func fieldIndexes(ctx context.Context, conn *sql.Conn, list string) (map[string]bool, error) {
	rows, err := conn.QueryContext(ctx, list)
	if err != nil {
		return nil, err
	}
	valid := map[string]bool{}
	err = eachRow(rows, func(rows *sql.Rows) error {
		var name string
		var ok bool
		err := rows.Scan(&name, &ok)
		if strings.HasPrefix(name, indexPrefix) || strings.HasPrefix(name, expiryPrefix) {
			valid[name] = ok
		}
		return err
	})
	return valid, err
}

func execAll(ctx context.Context, conn *sql.Conn, statements ...string) error {
	for _, statement := range statements {
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}
