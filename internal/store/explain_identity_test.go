package store

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/waybill-dev/waybill/internal/principal"
	"github.com/waybill-dev/waybill/internal/testenv"
)

// identityCases are like planCases. The indexes are named as in Postgres; in
// SQLite, a primary key has no such name.
func identityCases(s *Store) []planCase {
	at, none := s.dialect.at(time.Now()), s.dialect.at(never)
	one := func(name, statement, index string, args ...any) planCase {
		return planCase{name, statement, args, []string{index}, true}
	}
	list := func(name, index string, statement string, args arguments) planCase {
		return planCase{name, statement + " LIMIT 50", args, []string{index}, false}
	}
	cases := []planCase{
		one("a user", selectUsers+" WHERE id = $1 AND tenant = $2", "users_", "7", "default"),
		one("a user of any tenant", userByID, "users_by_id", "7"),
		one("an address", selectUsers+" WHERE email_key = $1", "users_by_email", "7"),
		one("a key", keyByID, "api_keys_by_id", "7"),
		one("a session", selectSessions+" WHERE id = $1", "sessions_pkey", "7"),
		one("a hash", selectSessions+" WHERE hash = $1 AND hash <> ''", "sessions_by_hash", "7"),
		one("a token", sessionOfToken, "refresh_tokens_pkey", "7"),
		one("a user's sessions", endSessionsOfUser, "sessions_by_user", at, none, "7", "8"),
		one("a user's keys", revokeKeysOfUser, "api_keys_by_user", at, none, "7"),
		one("a user's keys' sessions", endSessionsOfKeys, "sessions_by_key", at, none, "7"),
		one("a key's sessions", endSessionsOfKey, "sessions_by_key", at, none, "7"),
		one("old tokens", purgeTokens, "refresh_tokens_by_end", at, none, 100),
		one("tokens of old sessions", purgeTokens, "refresh_tokens_by_session", at, none, 100),
		one("old sessions", purgeSessions, "sessions_by_end", at, none, 100),
		one("expired sessions", purgeSessions, "sessions_by_expiry", at, none, 100),
		one("revoked keys", purgeKeys, "api_keys_pkey", at, none, 100),
		one("old audit", purgeAudit, "audit_by_time", at, 100),
	}
	for _, before := range []string{"", "900"} {
		users, args := usersStatement("default", before)
		cases = append(cases, list("users", "users_pkey", users, args))
		keys, args := s.keysStatement("default", "", before)
		cases = append(cases, list("keys", "api_keys_pkey", keys, args))
		keys, args = s.keysStatement("default", "7", before)
		cases = append(cases, list("a user's keys", "api_keys_by_user", keys, args))
		for index, q := range map[string]AuditQuery{"audit_pkey": {}, "audit_by_principal": {Principal: "3"}, "audit_by_action": {Action: "a5"}, "audit_by_target": {Target: "7"}} {
			q.Before = before
			entries, args := auditStatement(s.dialect, "default", q)
			cases = append(cases, list("audit", index, entries, args))
		}
	}
	return cases
}

func TestPlans_OfIdentitiesGoByAnIndex(t *testing.T) {
	t.Parallel()
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		s := peopled(t, testenv.PostgresURL(t))
		if _, err := s.writes.ExecContext(t.Context(), "ANALYZE"); err != nil {
			t.Fatal(err)
		}
		for _, c := range identityCases(s) {
			plan := explain(t, s.writes, "EXPLAIN "+c.statement, c.args...)
			c.check(t, plan, "Seq Scan")
			if !c.residual && strings.Contains(plan, "Filter:") {
				t.Errorf("%s: passes over rows:\n%s", c.name, plan)
			}
		}
	})
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		s := peopled(t, "sqlite:"+filepath.Join(t.TempDir(), "x.db"))
		for _, c := range identityCases(s) {
			if table, primary := strings.CutSuffix(c.indexes[0], "_pkey"); primary {
				c.indexes[0] = "sqlite_autoindex_" + table
			}
			c.check(t, explain(t, s.writes, "EXPLAIN QUERY PLAN "+c.statement, c.args...), "SCAN users", "SCAN api_keys", "SCAN sessions", "SCAN refresh_tokens", "SCAN audit")
		}
	})
}

// peopled returns a store with a thousand of each.
func peopled(t *testing.T, url string) *Store {
	t.Helper()
	s := filled(t, url)
	const all, atOnce = 1000, 50
	for first := 0; first < all; first += atOnce {
		err := s.transact(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
			for i := range atOnce {
				if err := s.people(ctx, tx, first+i); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func (s *Store) people(ctx context.Context, tx *sql.Tx, i int) error {
	id, now := fmt.Sprint(i), time.Now().Add(time.Duration(i)*time.Minute)
	user, hash := fmt.Sprint(i/4), []byte(id)
	session := &principal.Session{ID: id, Tenant: "default", User: user, Hash: hash, CreatedAt: now, ExpiresAt: now}
	if i%2 == 0 {
		session.User, session.Key, session.RevokedAt = "", user, now
	}
	for _, row := range []struct {
		table string
		input []column
	}{
		{"users", userColumns(&principal.User{ID: id, Tenant: "default", EmailKey: id, CreatedAt: now})},
		{"api_keys", keyColumnsOf(&principal.Key{ID: id, Tenant: "default", User: user})},
		{"sessions", sessionColumns(session)},
	} {
		if _, err := s.dialect.exec(ctx, tx, row.input, insertInto(row.table, row.input)); err != nil {
			return err
		}
	}
	if err := s.insertRefresh(ctx, tx, &principal.Refresh{Hash: hash, SpentAt: now}, id); err != nil {
		return err
	}
	return s.putEntries(ctx, tx, []principal.Entry{{ID: id, Tenant: "default", At: now, Principal: fmt.Sprint(i % 50), Action: fmt.Sprint("a", i%10), Target: user}})
}
