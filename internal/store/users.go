package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/principal"
)

const selectUsers = `SELECT id, tenant, email, email_key, password, role, disabled_at, created_at, updated_at, last_login_at FROM users`

// CreateUser stores a new user, whose ID and times are set. Conflict if the
// address is taken, in any tenant.
func (s *Store) CreateUser(ctx context.Context, u *principal.User) error {
	return s.transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
		input := userColumns(u)
		made, err := s.dialect.exec(ctx, tx, input, insertInto("users", input)+" ON CONFLICT (email_key) DO NOTHING")
		if err != nil {
			return err
		}
		if made == 0 {
			return fault.New(fault.Conflict, "the e-mail address is taken")
		}
		return s.audit(ctx, tx, u.Tenant, "user.create", u.ID, detail{"role": u.Role, "email": u.Email})
	})
}

func userColumns(u *principal.User) []column {
	type row = principal.User
	in := []row{*u}
	return []column{
		pluck(in, "id", "text", func(u *row) string { return u.ID }),
		pluck(in, "tenant", "text", func(u *row) string { return u.Tenant }),
		pluck(in, "email", "text", func(u *row) string { return u.Email }),
		pluck(in, "email_key", "text", func(u *row) string { return u.EmailKey }),
		pluck(in, "password", "text", func(u *row) string { return u.Password }),
		pluck(in, "role", "text", func(u *row) string { return string(u.Role) }),
		pluck(in, "disabled_at", "timestamptz", func(u *row) time.Time { return orNever(u.DisabledAt) }),
		pluck(in, "created_at", "timestamptz", func(u *row) time.Time { return orNever(u.CreatedAt) }),
		pluck(in, "updated_at", "timestamptz", func(u *row) time.Time { return orNever(u.UpdatedAt) }),
		pluck(in, "last_login_at", "timestamptz", func(u *row) time.Time { return orNever(u.LastLoginAt) }),
	}
}

// User returns a tenant's user, or NotFound.
func (s *Store) User(ctx context.Context, tenant, id string) (*principal.User, error) {
	u, err := readUser(ctx, s.reads, tenant, id, "")
	return u, asFault(err)
}

func readUser(ctx context.Context, q querier, tenant, id, lock string) (*principal.User, error) {
	return readOne(ctx, q, noUser(id), selectUsers+" WHERE id = $1 AND tenant = $2"+lock, arguments{id, tenant}, scanUser)
}

const userByID = selectUsers + " WHERE id = $1 AND id <> ''"

// userOfAny returns a user by the ID alone: that of a credential's owner.
func (s *Store) userOfAny(ctx context.Context, id string) (*principal.User, error) {
	return readOne(ctx, s.reads, noUser(id), userByID, arguments{id}, scanUser)
}

func noUser(id string) error { return fault.New(fault.NotFound, "there is no user %q", id) }

// UserByEmail returns the user with an address as it is compared, in any tenant,
// or NotFound.
func (s *Store) UserByEmail(ctx context.Context, emailKey string) (*principal.User, error) {
	missing := fault.New(fault.NotFound, "there is no user with this e-mail address")
	u, err := readOne(ctx, s.reads, missing, selectUsers+" WHERE email_key = $1", arguments{emailKey}, scanUser)
	return u, asFault(err)
}

// Users returns a page of a tenant's users, newest first, and whether there are
// more. before is the ID of the last of the page before.
func (s *Store) Users(ctx context.Context, tenant string, limit int, before string) ([]principal.User, bool, error) {
	statement, args := usersStatement(tenant, before)
	return readPage(ctx, s, statement, args, limit, scanUser)
}

func usersStatement(tenant, before string) (string, arguments) {
	args := arguments{tenant}
	statement := selectUsers + " WHERE tenant = $1"
	if before != "" {
		statement += " AND id < " + args.add(before)
	}
	return statement + " ORDER BY id DESC", args
}

// LoggedIn notes a login, and the password as it is hashed now unless that is "".
// One that was changed after at stays as it is.
func (s *Store) LoggedIn(ctx context.Context, id string, at time.Time, password string) error {
	if !storable(id) {
		return noUser(id)
	}
	return s.transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, `UPDATE users SET last_login_at = $1,
			password = CASE WHEN $2 <> '' AND updated_at <= $1 THEN $2 ELSE password END WHERE id = $3 AND id <> ''`, s.dialect.at(orNever(at)), password, id)
		if err != nil {
			return err
		}
		changed, err := result.RowsAffected()
		if err == nil && changed == 0 {
			err = noUser(id)
		}
		return err
	})
}

// scanUser reads a row of selectUsers.
func scanUser(rows *sql.Rows) (u principal.User, err error) {
	var disabledAt, createdAt, updatedAt, lastLoginAt instant
	err = rows.Scan(&u.ID, &u.Tenant, &u.Email, &u.EmailKey, &u.Password, &u.Role, &disabledAt, &createdAt, &updatedAt, &lastLoginAt)
	u.DisabledAt, u.CreatedAt, u.UpdatedAt, u.LastLoginAt = disabledAt.orZero(), createdAt.Time, updatedAt.Time, lastLoginAt.orZero()
	return u, err
}
