package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/principal"
)

const selectSessions = `SELECT sessions.id, sessions.tenant, sessions.kind, sessions.user_id, sessions.key_id, sessions.parent, sessions.hash,
	sessions.created_at, sessions.expires_at, sessions.revoked_at FROM sessions`

// CreateSession stores a new session, whose ID and times are set, and for a login
// its first refresh token, else nil. NotFound if its user is not of its tenant;
// Unauthorized if they are disabled, or if its parent has ended.
func (s *Store) CreateSession(ctx context.Context, made *principal.Session, first *principal.Refresh) error {
	return s.transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if made.User != "" { // locked: whatever ends the user's sessions comes before or after
			u, err := readUser(ctx, tx, made.Tenant, made.User, s.dialect.lockRow())
			if err == nil && !u.DisabledAt.IsZero() {
				err = fault.New(fault.Unauthorized, "the user is disabled")
			}
			if err != nil {
				return err
			}
		}
		if err := s.mustLast(ctx, tx, made); err != nil {
			return err
		}
		input := sessionColumns(made)
		if _, err := s.dialect.exec(ctx, tx, input, insertInto("sessions", input)); err != nil {
			return err
		}
		if first != nil {
			if err := s.insertRefresh(ctx, tx, first, made.ID); err != nil {
				return err
			}
		}
		return s.audit(ctx, tx, made.Tenant, "session.start", made.ID, sessionDetail(made))
	})
}

// mustLast is Unauthorized unless the session's parent, if it has one, goes on. It
// cannot end before the transaction does.
func (s *Store) mustLast(ctx context.Context, tx *sql.Tx, child *principal.Session) error {
	if child.Parent == "" {
		return nil
	}
	parent, err := readSession(ctx, tx, child.Parent, nil, s.dialect.lockRow())
	if fault.KindOf(err) == fault.NotFound || err == nil && ended(parent, child.CreatedAt) {
		return fault.New(fault.Unauthorized, "the login has ended")
	}
	return err
}

func sessionDetail(of *principal.Session) detail {
	d := detail{"kind": of.Kind}
	if of.User != "" {
		d["user"] = of.User
	}
	if of.Key != "" {
		d["key"] = of.Key
	}
	return d
}

func sessionColumns(made *principal.Session) []column {
	type row = principal.Session
	in := []row{*made}
	return []column{
		pluck(in, "id", "text", func(s *row) string { return s.ID }),
		pluck(in, "tenant", "text", func(s *row) string { return s.Tenant }),
		pluck(in, "kind", "text", func(s *row) string { return string(s.Kind) }),
		pluck(in, "user_id", "text", func(s *row) string { return s.User }),
		pluck(in, "key_id", "text", func(s *row) string { return s.Key }),
		pluck(in, "parent", "text", func(s *row) string { return s.Parent }),
		pluck(in, "hash", "text", func(s *row) string { return hashed(s.Hash) }),
		pluck(in, "created_at", "timestamptz", func(s *row) time.Time { return orNever(s.CreatedAt) }),
		pluck(in, "expires_at", "timestamptz", func(s *row) time.Time { return orNever(s.ExpiresAt) }),
		pluck(in, "revoked_at", "timestamptz", func(s *row) time.Time { return orNever(s.RevokedAt) }),
	}
}

// SessionOwner returns a session, by its ID or by its hash (the other is empty),
// in any tenant, with its user, or with its key and the user that this acts for;
// or NotFound. It may have ended.
func (s *Store) SessionOwner(ctx context.Context, id string, hash []byte) (*principal.Session, *principal.User, *principal.Key, error) {
	found, err := readSession(ctx, s.reads, id, hash, "")
	if err != nil {
		return nil, nil, nil, asFault(err)
	}
	var u *principal.User
	var k *principal.Key
	if found.Key != "" {
		k, u, err = s.KeyOwner(ctx, found.Key)
	} else {
		u, err = s.userOfAny(ctx, found.User)
	}
	if err != nil {
		return nil, nil, nil, asFault(err)
	}
	return found, u, k, nil
}

func readSession(ctx context.Context, q querier, id string, hash []byte, lock string) (*principal.Session, error) {
	where, args := " WHERE id = $1", arguments{id}
	if len(hash) > 0 {
		where, args = " WHERE hash = $1 AND hash <> ''", arguments{hashed(hash)}
	}
	return readOne(ctx, q, noSession(), selectSessions+where+lock, args, scanSession)
}

func noSession() error { return fault.New(fault.NotFound, "there is no such session") }

// EndSession ends a session, in any tenant. One that has ended stays as it is.
func (s *Store) EndSession(ctx context.Context, id string, at time.Time) error {
	return s.transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
		ending, err := readSession(ctx, tx, id, nil, s.dialect.lockRow())
		if err != nil || !ending.RevokedAt.IsZero() {
			return err
		}
		return s.endSession(ctx, tx, ending, at, "session.end")
	})
}

// endSession ends a session that is locked and has not ended, with those that
// were exchanged for it.
func (s *Store) endSession(ctx context.Context, tx *sql.Tx, ending *principal.Session, at time.Time, action string) error {
	ending.RevokedAt = orNever(at)
	if _, err := tx.ExecContext(ctx, "UPDATE sessions SET revoked_at = $1 WHERE id = $2", s.dialect.at(ending.RevokedAt), ending.ID); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, "UPDATE sessions SET revoked_at = $1 WHERE parent = $2 AND parent <> '' AND revoked_at = $3",
		s.dialect.at(ending.RevokedAt), ending.ID, s.dialect.at(never))
	if err != nil {
		return err
	}
	if err := s.audit(ctx, tx, ending.Tenant, action, ending.ID, sessionDetail(ending)); err != nil {
		return err
	}
	return raise(ctx, tx)
}

// TakeLink uses a link up, and returns it. Unauthorized if there is none, it was
// used, or now is too late.
func (s *Store) TakeLink(ctx context.Context, hash []byte, now time.Time) (taken *principal.Session, err error) {
	err = s.transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
		taken, err = readSession(ctx, tx, "", hash, s.dialect.lockRow())
		if fault.KindOf(err) == fault.NotFound || err == nil && (taken.Kind != principal.Link || ended(taken, now)) {
			return fault.New(fault.Unauthorized, "the link was used, or is no longer good")
		}
		if err != nil {
			return err
		}
		return s.endSession(ctx, tx, taken, now, "session.end")
	})
	if err != nil {
		return nil, err
	}
	return taken, nil
}

// ended says whether a session is over.
func ended(s *principal.Session, now time.Time) bool {
	return !s.RevokedAt.IsZero() || !s.ExpiresAt.After(now)
}

// scanSession reads a row of selectSessions.
func scanSession(rows *sql.Rows) (s principal.Session, err error) {
	var hash string
	var createdAt, expiresAt, revokedAt instant
	err = rows.Scan(&s.ID, &s.Tenant, &s.Kind, &s.User, &s.Key, &s.Parent, &hash, &createdAt, &expiresAt, &revokedAt)
	if err != nil {
		return s, err
	}
	s.CreatedAt, s.ExpiresAt, s.RevokedAt = createdAt.Time, expiresAt.Time, revokedAt.orZero()
	if s.Hash, err = unhashed(hash); err != nil {
		return s, fmt.Errorf("hash of session %s: %w", s.ID, err)
	}
	return s, nil
}
