package store

import (
	"context"
	"database/sql"
)

// ReplaceKeyHash gives a tenant's key another secret, and makes one that was revoked
// good again; or NotFound. The sessions that were begun with the old secret end.
func (s *Store) ReplaceKeyHash(ctx context.Context, tenant, id string, hash []byte) error {
	return s.raising(ctx, func(ctx context.Context, tx *sql.Tx) error {
		k, err := readOne(ctx, tx, noKey(id), selectKeys+" WHERE id = $1 AND tenant = $2"+s.dialect.lockRow(), arguments{id, tenant}, scanKey)
		if err != nil {
			return err
		}
		at, err := s.clock(ctx, tx)
		if err != nil {
			return err
		}
		none := s.dialect.at(never)
		if _, err := tx.ExecContext(ctx, "UPDATE api_keys SET hash = $1, revoked_at = $2 WHERE id = $3", hashed(hash), none, k.ID); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "UPDATE sessions SET revoked_at = $1 WHERE key_id = $2 AND key_id <> '' AND revoked_at = $3", s.dialect.at(at), k.ID, none)
		if err != nil {
			return err
		}
		return s.audit(ctx, tx, tenant, "key.replace", k.ID, detail{"name": k.Name})
	})
}
