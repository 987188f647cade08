package store

import (
	"context"
	"database/sql"
	"encoding/hex"
	"time"

	"github.com/waybill-dev/waybill/internal/principal"
)

// raising runs change in a transaction that takes something from somebody: it
// tells whoever keeps verified credentials in memory, by the version.
func (s *Store) raising(ctx context.Context, change func(context.Context, *sql.Tx) error) error {
	return s.transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := change(ctx, tx); err != nil {
			return err
		}
		return raise(ctx, tx)
	})
}

// raise comes last in a transaction: others wait for the row.
func raise(ctx context.Context, tx *sql.Tx) error {
	_, err := tx.ExecContext(ctx, "UPDATE identity_changes SET version = version + 1")
	return err
}

// IdentityVersion rises with every change that may take something from somebody:
// a user's role, tenant, password or end, a key's end, a session's end.
func (s *Store) IdentityVersion(ctx context.Context) (version int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	err = s.reads.QueryRowContext(ctx, "SELECT version FROM identity_changes").Scan(&version)
	return version, asFault(err)
}

const selectTenants = "SELECT name, created_at, created_by FROM tenants"

// EnsureTenant makes a tenant unless it is there.
func (s *Store) EnsureTenant(ctx context.Context, t principal.Tenant) error {
	known, err := readOne(ctx, s.reads, nil, selectTenants+" WHERE name = $1", arguments{t.Name}, scanTenant)
	if err != nil || known != nil {
		return asFault(err)
	}
	return s.transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
		one := []principal.Tenant{t}
		input := []column{
			pluck(one, "name", "text", func(t *principal.Tenant) string { return t.Name }),
			pluck(one, "created_at", "timestamptz", func(t *principal.Tenant) time.Time { return orNever(t.CreatedAt) }),
			pluck(one, "created_by", "text", func(t *principal.Tenant) string { return t.CreatedBy }),
		}
		made, err := s.dialect.exec(ctx, tx, input, insertInto("tenants", input)+" ON CONFLICT (name) DO NOTHING")
		if err != nil || made == 0 {
			return err
		}
		return s.audit(ctx, tx, t.Name, "tenant.create", t.Name, nil)
	})
}

// Tenants returns a page of all tenants by their names, and whether there are
// more. after is the name of the last of the page before.
func (s *Store) Tenants(ctx context.Context, limit int, after string) ([]principal.Tenant, bool, error) {
	args := arguments{after}
	return readPage(ctx, s, selectTenants+" WHERE name > $1 ORDER BY name", args, limit, scanTenant)
}

func scanTenant(rows *sql.Rows) (t principal.Tenant, err error) {
	var createdAt instant
	err = rows.Scan(&t.Name, &createdAt, &t.CreatedBy)
	t.CreatedAt = createdAt.Time
	return t, err
}

// hashed is a hash as it is kept, and unhashed as it is read: "" for none.
func hashed(hash []byte) string { return hex.EncodeToString(hash) }

func unhashed(text string) ([]byte, error) {
	if text == "" {
		return nil, nil
	}
	return hex.DecodeString(text)
}

// readAll returns what statement finds.
func readAll[T any](ctx context.Context, q querier, statement string, args arguments, scan func(*sql.Rows) (T, error)) (found []T, err error) {
	rows, err := q.QueryContext(ctx, statement, args...)
	if err != nil {
		return nil, err
	}
	err = eachRow(rows, func(rows *sql.Rows) error {
		one, err := scan(rows)
		found = append(found, one)
		return err
	})
	return found, err
}

// readOne returns the one thing that statement finds, or the error missing. What
// no database could hold is found nowhere.
func readOne[T any](ctx context.Context, q querier, missing error, statement string, args arguments, scan func(*sql.Rows) (T, error)) (*T, error) {
	if !args.storable() {
		return nil, missing
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	found, err := readAll(ctx, q, statement, args, scan)
	switch {
	case err != nil:
		return nil, err
	case len(found) == 0:
		return nil, missing
	}
	return &found[0], nil
}

// readPage returns the first limit things that statement finds, and whether there are more.
func readPage[T any](ctx context.Context, s *Store, statement string, args arguments, limit int, scan func(*sql.Rows) (T, error)) (items []T, more bool, err error) {
	if !args.storable() {
		return nil, false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	statement += " LIMIT " + args.add(limit+1)
	if items, err = readAll(ctx, s.reads, statement, args, scan); err != nil {
		return nil, false, unavailable(err)
	}
	items, more = cut(items, limit)
	return items, more, nil
}

// storable says whether a database could hold all that are texts.
func (a arguments) storable() bool {
	for _, v := range a {
		if text, ok := v.(string); ok && !storable(text) {
			return false
		}
	}
	return true
}
