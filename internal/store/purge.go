package store

import (
	"context"
	"database/sql"
	"time"
)

// Of what ended before $1 ($2: never); $3 bounds each statement.
const (
	endedSessions = `(SELECT id FROM sessions WHERE expires_at < $1
		UNION ALL SELECT id FROM sessions WHERE revoked_at > $2 AND revoked_at < $1) AS s`
	purgeTokens = `DELETE FROM refresh_tokens WHERE hash IN (SELECT hash FROM refresh_tokens WHERE spent_at > $2 AND spent_at < $1
		UNION ALL SELECT t.hash FROM ` + endedSessions + ` JOIN refresh_tokens AS t ON t.session = s.id LIMIT $3)`
	purgeSessions = `DELETE FROM sessions WHERE id IN (SELECT s.id FROM ` + endedSessions + `
		WHERE NOT EXISTS (SELECT 1 FROM refresh_tokens AS t WHERE t.session = s.id) LIMIT $3)`
	purgeKeys = `DELETE FROM api_keys WHERE (tenant, revoked_at, id) IN (SELECT k.tenant, k.revoked_at, k.id FROM tenants JOIN api_keys AS k ON k.tenant = tenants.name
		WHERE k.revoked_at > $2 AND k.revoked_at < $1 AND k.created_by <> '' LIMIT $3)` // the operator's, revoked, must stay so
	purgeAudit = `DELETE FROM audit WHERE (tenant, id) IN (SELECT tenant, id FROM audit WHERE at < $1 ORDER BY at LIMIT $2)`
)

// PurgeIdentity removes refresh tokens that were spent, and sessions that ended,
// before ended, entries of the audit from before audited, and keys that were revoked
// before both: at most limit rows of each. It returns how many of which tables; none
// says that nothing is left to remove.
func (s *Store) PurgeIdentity(ctx context.Context, ended, audited time.Time, limit int) (removed map[string]int64, err error) {
	over, none, old := s.dialect.at(orNever(ended)), s.dialect.at(never), s.dialect.at(orNever(audited))
	both := over
	if audited.Before(ended) {
		both = old
	}
	removed = map[string]int64{}
	for _, purge := range []struct {
		table, statement string
		args             arguments
	}{
		{"refresh_tokens", purgeTokens, arguments{over, none, limit}},
		{"sessions", purgeSessions, arguments{over, none, limit}}, // whose tokens are gone
		{"api_keys", purgeKeys, arguments{both, none, limit}},
		{"audit", purgeAudit, arguments{old, limit}},
	} {
		var n int64
		err := s.transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
			result, err := tx.ExecContext(ctx, purge.statement, purge.args...)
			if err != nil {
				return err
			}
			n, err = result.RowsAffected()
			return err
		})
		if err != nil {
			return removed, err
		}
		if n > 0 {
			removed[purge.table] = n
		}
	}
	return removed, nil
}
