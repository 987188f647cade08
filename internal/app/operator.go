package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/waybill-dev/waybill/internal/auth"
	"github.com/waybill-dev/waybill/internal/config"
	"github.com/waybill-dev/waybill/internal/principal"
	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/store"
)

// operator is whoever has the database: they may do everything.
var operator = &principal.Principal{
	Kind: principal.OfUser, ID: "operator", Tenant: record.DefaultTenant, Role: principal.Platform, Name: "operator",
}

// Operator manages keys and users with the database alone, beside whatever runs
// on it. Running processes see what it changes within five seconds.
type Operator struct {
	store *store.Store
	auth  *auth.Service
}

// NewOperator opens the database of c, by default that of waybill up, and brings
// it to this program's schema.
func NewOperator(ctx context.Context, c config.Config, log *slog.Logger) (*Operator, error) {
	if c.DatabaseURL == "" {
		file := filepath.Join(c.Data, databaseFile)
		if _, err := os.Stat(file); err != nil {
			return nil, fmt.Errorf("DATABASE_URL is not set, and waybill up has not made its database yet: %w", err)
		}
		c.DatabaseURL = "sqlite:" + file
	}
	collections, err := c.Collections()
	if err != nil {
		return nil, err
	}
	s, err := store.Open(c.DatabaseURL, store.Options{MaxConns: 2, Logger: log, ApplicationName: "waybill operator"})
	if err != nil {
		return nil, fmt.Errorf("DATABASE_URL: %w", err)
	}
	if err := s.Migrate(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	a, err := newAuth(c, s, collections, log, nil)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return &Operator{s, a}, nil
}

// Close closes the database.
func (o *Operator) Close() error { return o.store.Close() }

// acting puts what is done under the returned context down to the operator.
func acting(ctx context.Context) context.Context {
	return principal.WithActor(ctx, principal.Actor{Principal: operator.ID})
}

// CreateKey makes a key of a tenant, which it makes too if need be, and returns
// it with its text.
func (o *Operator) CreateKey(ctx context.Context, tenant string, k auth.NewKey) (*principal.Key, string, error) {
	return o.auth.CreateKey(acting(ctx), operator, tenant, k)
}

// Keys returns the keys of a tenant, newest first.
func (o *Operator) Keys(ctx context.Context, tenant string) ([]principal.Key, error) {
	return all(func(before string) ([]principal.Key, bool, error) {
		return o.store.Keys(ctx, tenant, "", pageSize, before)
	},
		func(k *principal.Key) string { return k.ID })
}

// RevokeKey ends a key.
func (o *Operator) RevokeKey(ctx context.Context, tenant, id string) error {
	return o.auth.RevokeKey(acting(ctx), operator, tenant, id)
}

// CreateUser makes a user, and their tenant if need be.
func (o *Operator) CreateUser(ctx context.Context, u auth.NewUser) (*principal.User, error) {
	return o.auth.CreateUser(acting(ctx), operator, u)
}

// Users returns the users of a tenant, newest first.
func (o *Operator) Users(ctx context.Context, tenant string) ([]principal.User, error) {
	return all(func(before string) ([]principal.User, bool, error) {
		return o.store.Users(ctx, tenant, pageSize, before)
	},
		func(u *principal.User) string { return u.ID })
}

// UpdateUser changes the user with an e-mail address, in whatever tenant.
func (o *Operator) UpdateUser(ctx context.Context, email string, c auth.UserChange) (*principal.User, error) {
	key, err := principal.EmailKey(email)
	if err != nil {
		return nil, err
	}
	u, err := o.store.UserByEmail(ctx, key)
	if err != nil {
		return nil, err
	}
	return o.auth.UpdateUser(acting(ctx), operator, u.Tenant, u.ID, c)
}

// pageSize is how many rows all asks for at a time.
const pageSize = 500

// all reads every page.
func all[T any](read func(before string) ([]T, bool, error), id func(*T) string) (found []T, err error) {
	for before := ""; ; {
		items, more, err := read(before)
		if err != nil {
			return nil, err
		}
		if found = append(found, items...); !more {
			return found, nil
		}
		before = id(&items[len(items)-1])
	}
}
