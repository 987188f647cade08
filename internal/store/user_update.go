package store

import (
	"context"
	"database/sql"
	"slices"

	"github.com/waybill-dev/waybill/internal/principal"
)

// UpdateUser lets change alter a user's role, tenant, password and whether they
// are disabled, in a transaction; the rest stays. An error of change is returned
// and changes nothing; where it changes nothing, nothing is noted. Any other
// change than to enable ends all the user's sessions but the one with the ID
// keep; another tenant also ends their keys.
func (s *Store) UpdateUser(ctx context.Context, tenant, id, keep string, change func(*principal.User) error) (*principal.User, error) {
	var u userUpdate
	err := s.transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
		before, err := readUser(ctx, tx, tenant, id, s.dialect.lockRow())
		if err != nil {
			return err
		}
		u = userUpdate{before: *before, after: *before}
		if err := change(&u.after); err != nil {
			return err
		}
		u.restore()
		if len(u.changed()) == 0 {
			return nil
		}
		return s.updateUser(ctx, tx, &u, keep)
	})
	if err != nil {
		return nil, err
	}
	return &u.after, nil
}

// userUpdate is a user before and after a change.
type userUpdate struct{ before, after principal.User }

// restore takes back what a change of a user may not touch.
func (u *userUpdate) restore() {
	b, a := &u.before, &u.after
	a.ID, a.Email, a.EmailKey, a.CreatedAt, a.LastLoginAt = b.ID, b.Email, b.EmailKey, b.CreatedAt, b.LastLoginAt
}

// changed names what did.
func (u *userUpdate) changed() (names []string) {
	if u.after.Role != u.before.Role {
		names = append(names, "role")
	}
	if u.after.Tenant != u.before.Tenant {
		names = append(names, "tenant")
	}
	if u.after.DisabledAt.IsZero() != u.before.DisabledAt.IsZero() {
		names = append(names, "disabled")
	}
	if u.after.Password != u.before.Password {
		names = append(names, "password")
	}
	return names
}

func (u *userUpdate) detail() detail {
	d := detail{"changed": u.changed()}
	if u.after.Role != u.before.Role {
		d["role"] = [2]principal.Role{u.before.Role, u.after.Role}
	}
	if u.after.Tenant != u.before.Tenant {
		d["tenant"] = [2]string{u.before.Tenant, u.after.Tenant}
	}
	if u.after.DisabledAt.IsZero() != u.before.DisabledAt.IsZero() {
		d["disabled"] = !u.after.DisabledAt.IsZero()
	}
	return d
}

const updateUser = `UPDATE users SET tenant = v.tenant, password = v.password, role = v.role, disabled_at = v.disabled_at,
	updated_at = v.updated_at FROM v WHERE users.id = v.id AND users.id <> ''`

func (s *Store) updateUser(ctx context.Context, tx *sql.Tx, u *userUpdate, keep string) (err error) {
	if u.after.UpdatedAt, err = s.clock(ctx, tx); err != nil {
		return err
	}
	if _, err := s.dialect.exec(ctx, tx, userColumns(&u.after), updateUser); err != nil {
		return err
	}
	if onlyEnabled := slices.Equal(u.changed(), []string{"disabled"}) && u.after.DisabledAt.IsZero(); !onlyEnabled {
		if err := s.endSessionsOf(ctx, tx, u, keep); err != nil {
			return err
		}
	}
	if u.after.Tenant != u.before.Tenant {
		if err := s.revokeKeysOf(ctx, tx, u); err != nil {
			return err
		}
	}
	if err := s.audit(ctx, tx, u.before.Tenant, "user.update", u.before.ID, u.detail()); err != nil {
		return err
	}
	return raise(ctx, tx)
}

// What ends with a user's days, at $1; $2 is never, $3 the user.
const (
	endSessionsOfUser = "UPDATE sessions SET revoked_at = $1 WHERE user_id = $3 AND user_id <> '' AND revoked_at = $2 AND id <> $4"
	revokeKeysOfUser  = "UPDATE api_keys SET revoked_at = $1 WHERE user_id = $3 AND revoked_at = $2"
	endSessionsOfKeys = `UPDATE sessions SET revoked_at = $1 WHERE revoked_at = $2 AND key_id <> ''
		AND key_id IN (SELECT id FROM api_keys WHERE user_id = $3)`
)

// endSessionsOf ends all the user's sessions but keep, which follows the user.
func (s *Store) endSessionsOf(ctx context.Context, tx *sql.Tx, u *userUpdate, keep string) error {
	_, err := tx.ExecContext(ctx, endSessionsOfUser, s.dialect.at(u.after.UpdatedAt), s.dialect.at(never), u.before.ID, keep)
	if err != nil || u.after.Tenant == u.before.Tenant {
		return err
	}
	_, err = tx.ExecContext(ctx, "UPDATE sessions SET tenant = $1 WHERE user_id = $2 AND user_id <> '' AND id = $3", u.after.Tenant, u.before.ID, keep)
	return err
}

// revokeKeysOf ends the user's keys, and the sessions that were begun with them.
func (s *Store) revokeKeysOf(ctx context.Context, tx *sql.Tx, u *userUpdate) error {
	at, none := s.dialect.at(u.after.UpdatedAt), s.dialect.at(never)
	if _, err := tx.ExecContext(ctx, revokeKeysOfUser, at, none, u.before.ID); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, endSessionsOfKeys, at, none, u.before.ID)
	return err
}
