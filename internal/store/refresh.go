package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/principal"
)

func (s *Store) insertRefresh(ctx context.Context, tx *sql.Tx, r *principal.Refresh, session string) error {
	one := []principal.Refresh{*r}
	input := []column{
		pluck(one, "hash", "text", func(r *principal.Refresh) string { return hashed(r.Hash) }),
		pluck(one, "session", "text", func(*principal.Refresh) string { return session }),
		pluck(one, "created_at", "timestamptz", func(r *principal.Refresh) time.Time { return orNever(r.CreatedAt) }),
		pluck(one, "spent_at", "timestamptz", func(r *principal.Refresh) time.Time { return orNever(r.SpentAt) }),
	}
	_, err := s.dialect.exec(ctx, tx, input, insertInto("refresh_tokens", input))
	return err
}

// RotateRefresh spends the refresh token with the hash, stores next in its session
// and returns that. A token that was spent before was stolen, from or by whoever
// shows it: its session ends. It, one that is unknown and one whose session has
// ended are Unauthorized.
func (s *Store) RotateRefresh(ctx context.Context, hash []byte, next *principal.Refresh, now time.Time) (rotated *principal.Session, err error) {
	var reused bool
	err = s.transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
		// The session is locked before its token is looked at: of those who show the same
		// one, the first to come spends it, and the others see that.
		if rotated, err = lockSessionOf(ctx, tx, hash, s.dialect.lockRow()); err != nil {
			return err
		}
		if ended(rotated, now) {
			return notGood()
		}
		fresh, err := s.spend(ctx, tx, hash, now)
		if err != nil {
			return err
		}
		if reused = !fresh; reused {
			return s.endSession(ctx, tx, rotated, now, "session.reuse")
		}
		return s.insertRefresh(ctx, tx, next, rotated.ID)
	})
	if err == nil && reused { // which had to be committed
		err = notGood()
	}
	if err != nil {
		return nil, err
	}
	return rotated, nil
}

// notGood says no more: whoever stole a token need not know what became of it.
func notGood() error {
	return fault.New(fault.Unauthorized, "the refresh token is not good, or no longer")
}

func lockSessionOf(ctx context.Context, tx *sql.Tx, hash []byte, lock string) (*principal.Session, error) {
	session, err := readOne(ctx, tx, notGood(), "SELECT session FROM refresh_tokens WHERE hash = $1", arguments{hashed(hash)}, func(rows *sql.Rows) (id string, err error) {
		err = rows.Scan(&id)
		return id, err
	})
	if err != nil {
		return nil, err
	}
	found, err := readSession(ctx, tx, *session, nil, lock)
	if fault.KindOf(err) == fault.NotFound {
		err = notGood()
	}
	return found, err
}

// spend says whether the token had not been spent.
func (s *Store) spend(ctx context.Context, tx *sql.Tx, hash []byte, now time.Time) (bool, error) {
	result, err := tx.ExecContext(ctx, "UPDATE refresh_tokens SET spent_at = $1 WHERE hash = $2 AND spent_at = $3", s.dialect.at(orNever(now)), hashed(hash), s.dialect.at(never))
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n > 0, err
}

const sessionOfToken = selectSessions + " JOIN refresh_tokens ON refresh_tokens.session = sessions.id WHERE refresh_tokens.hash = $1"

// RefreshSession returns the session of a refresh token, whether it is spent or
// not, or NotFound. It may have ended.
func (s *Store) RefreshSession(ctx context.Context, hash []byte) (*principal.Session, error) {
	found, err := readOne(ctx, s.reads, noSession(), sessionOfToken,
		arguments{hashed(hash)}, scanSession)
	return found, asFault(err)
}
