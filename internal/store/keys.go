package store

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/principal"
)

const selectKeys = `SELECT id, tenant, name, hash, scopes, collections, user_id, created_by, created_at, expires_at, revoked_at, last_used_at FROM api_keys`

const keyByID = selectKeys + " WHERE id = $1 AND id <> ''"

// CreateKey stores a new key, whose ID and times are set. Conflict if the ID is
// taken, in any tenant; NotFound if the user that it acts for is not of its tenant.
func (s *Store) CreateKey(ctx context.Context, k *principal.Key) error {
	return s.transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if k.User != "" { // locked: a move would end the key
			if _, err := readUser(ctx, tx, k.Tenant, k.User, s.dialect.lockRow()); err != nil {
				return err
			}
		}
		input := keyColumnsOf(k)
		made, err := s.dialect.exec(ctx, tx, input, insertInto("api_keys", input)+" ON CONFLICT (id) WHERE id <> '' DO NOTHING")
		if err != nil {
			return err
		}
		if made == 0 {
			return fault.New(fault.Conflict, "there is a key %q already", k.ID)
		}
		return s.audit(ctx, tx, k.Tenant, "key.create", k.ID, detail{"name": k.Name, "scopes": k.Scopes, "collections": k.Collections})
	})
}

func keyColumnsOf(k *principal.Key) []column {
	type row = principal.Key
	in := []row{*k}
	return []column{
		pluck(in, "id", "text", func(k *row) string { return k.ID }),
		pluck(in, "tenant", "text", func(k *row) string { return k.Tenant }),
		pluck(in, "name", "text", func(k *row) string { return k.Name }),
		pluck(in, "hash", "text", func(k *row) string { return hashed(k.Hash) }),
		pluck(in, "scopes", "text", func(k *row) string { return listed(k.Scopes) }),
		pluck(in, "collections", "text", func(k *row) string { return listed(k.Collections) }),
		pluck(in, "user_id", "text", func(k *row) string { return k.User }),
		pluck(in, "created_by", "text", func(k *row) string { return k.CreatedBy }),
		pluck(in, "created_at", "timestamptz", func(k *row) time.Time { return orNever(k.CreatedAt) }),
		pluck(in, "expires_at", "timestamptz", func(k *row) time.Time { return orNever(k.ExpiresAt) }),
		pluck(in, "revoked_at", "timestamptz", func(k *row) time.Time { return orNever(k.RevokedAt) }),
		pluck(in, "last_used_at", "timestamptz", func(k *row) time.Time { return orNever(k.LastUsedAt) }),
	}
}

// Key returns a tenant's key, or NotFound. It may have been revoked.
func (s *Store) Key(ctx context.Context, tenant, id string) (*principal.Key, error) {
	k, err := readOne(ctx, s.reads, noKey(id), keyByID+" AND tenant = $2", arguments{id, tenant}, scanKey)
	return k, asFault(err)
}

// KeyOwner returns a key by its ID, in any tenant, and the user that it acts for,
// nil for none; or NotFound. It may have been revoked.
func (s *Store) KeyOwner(ctx context.Context, id string) (*principal.Key, *principal.User, error) {
	k, err := readOne(ctx, s.reads, noKey(id), keyByID, arguments{id}, scanKey)
	if err != nil || k.User == "" {
		return k, nil, asFault(err)
	}
	u, err := s.userOfAny(ctx, k.User)
	if err != nil {
		return nil, nil, asFault(err)
	}
	return k, u, nil
}

func noKey(id string) error { return fault.New(fault.NotFound, "there is no key %q", id) }

// Keys returns a page of a tenant's keys that were not revoked, by falling IDs,
// and whether there are more: only those that act for user, unless that is "".
// before is the ID of the last of the page before.
func (s *Store) Keys(ctx context.Context, tenant, user string, limit int, before string) ([]principal.Key, bool, error) {
	statement, args := s.keysStatement(tenant, user, before)
	return readPage(ctx, s, statement, args, limit, scanKey)
}

func (s *Store) keysStatement(tenant, user, before string) (string, arguments) {
	args := arguments{tenant, s.dialect.at(never)}
	index, where := "", " WHERE tenant = $1 AND revoked_at = $2"
	if user != "" {
		index = "api_keys_by_user"
		where += " AND user_id = " + args.add(user)
	}
	if before != "" {
		where += " AND id < " + args.add(before)
	}
	return selectKeys + s.dialect.by(index) + where + " ORDER BY id DESC", args
}

const endSessionsOfKey = "UPDATE sessions SET revoked_at = $1 WHERE revoked_at = $2 AND key_id = $3 AND key_id <> ''"

// RevokeKey ends a tenant's key, and the sessions that were begun with it.
// NotFound if it has ended, or does not act for user, unless that is "".
func (s *Store) RevokeKey(ctx context.Context, tenant, id, user string, at time.Time) error {
	if !storable(tenant, id, user) {
		return noKey(id)
	}
	return s.raising(ctx, func(ctx context.Context, tx *sql.Tx) error {
		none := s.dialect.at(never)
		result, err := tx.ExecContext(ctx, `UPDATE api_keys SET revoked_at = $1
			WHERE id = $2 AND id <> '' AND tenant = $3 AND revoked_at = $4 AND ($5 = '' OR user_id = $5)`, s.dialect.at(orNever(at)), id, tenant, none, user)
		if err != nil {
			return err
		}
		changed, err := result.RowsAffected()
		if err == nil && changed == 0 {
			err = noKey(id)
		}
		if err != nil {
			return err
		}
		if _, err = tx.ExecContext(ctx, endSessionsOfKey, s.dialect.at(orNever(at)), none, id); err != nil {
			return err
		}
		return s.audit(ctx, tx, tenant, "key.revoke", id, nil)
	})
}

// KeysUsed notes when keys, by their IDs, were last used.
func (s *Store) KeysUsed(ctx context.Context, used map[string]time.Time) error {
	ids := slices.DeleteFunc(slices.Sorted(maps.Keys(used)), func(id string) bool { return !storable(id) })
	if len(ids) == 0 {
		return nil
	}
	return s.transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
		input := []column{
			pluck(ids, "id", "text", func(id *string) string { return *id }),
			pluck(ids, "at", "timestamptz", func(id *string) time.Time { return orNever(used[*id]) }),
		}
		_, err := s.dialect.exec(ctx, tx, input, "UPDATE api_keys SET last_used_at = v.at FROM v WHERE api_keys.id = v.id AND api_keys.id <> '' AND api_keys.last_used_at < v.at")
		return err
	})
}

// scanKey reads a row of selectKeys.
func scanKey(rows *sql.Rows) (k principal.Key, err error) {
	var hash, scopes, collections string
	var createdAt, expiresAt, revokedAt, lastUsedAt instant
	err = rows.Scan(&k.ID, &k.Tenant, &k.Name, &hash, &scopes, &collections, &k.User, &k.CreatedBy, &createdAt, &expiresAt, &revokedAt, &lastUsedAt)
	if err != nil {
		return k, err
	}
	k.CreatedAt, k.ExpiresAt, k.RevokedAt, k.LastUsedAt = createdAt.Time, expiresAt.orZero(), revokedAt.orZero(), lastUsedAt.orZero()
	if k.Hash, err = unhashed(hash); err != nil {
		return k, fmt.Errorf("hash of key %s: %w", k.ID, err)
	}
	if k.Scopes, err = unlisted[principal.Scope](scopes); err != nil {
		return k, fmt.Errorf("scopes of key %s: %w", k.ID, err)
	}
	if k.Collections, err = unlisted[string](collections); err != nil {
		return k, fmt.Errorf("collections of key %s: %w", k.ID, err)
	}
	return k, nil
}
