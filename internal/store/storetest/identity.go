package storetest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"

	"github.com/google/uuid"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/principal"
	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/store"
)

// actor makes the suite's changes of identities.
var actor = principal.Actor{Principal: "user:admin", Key: "K1", Address: "192.0.2.1", RequestID: "r1"}

// acting returns the test's context with the actor.
func acting(t testing.TB) context.Context {
	t.Helper()
	return principal.WithActor(t.Context(), actor)
}

// step is a call, what it must answer and what it must leave behind.
type step struct {
	name   string
	do     func() error
	fails  fault.Kind // "": succeeds
	rises  int64      // of the identity version
	audits []string   // the actions that it adds to the audit
}

// follow does the steps in turn.
func follow(t *testing.T, s *store.Store, steps ...step) {
	t.Helper()
	for _, st := range steps {
		version, before := version(t, s), len(actions(t, s))
		if err := st.do(); fault.KindOf(err) != st.fails {
			t.Fatalf("%s: %v, want %q", st.name, err, st.fails)
		}
		same(t, st.name+": the version rises by", versionSince(t, s, version), st.rises)
		same(t, st.name+": the audit says", append([]string{}, actions(t, s)[before:]...), append([]string{}, st.audits...))
	}
}

func version(t testing.TB, s *store.Store) int64 {
	t.Helper()
	v, err := s.IdentityVersion(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func versionSince(t testing.TB, s *store.Store, before int64) int64 {
	t.Helper()
	return version(t, s) - before
}

// actions returns those in the audit of all tenants, oldest first.
func actions(t testing.TB, s *store.Store) []string {
	t.Helper()
	rows, err := s.DB().QueryContext(t.Context(), "SELECT action FROM audit ORDER BY id")
	if err != nil {
		t.Fatal(err)
	}
	found, err := texts(rows)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func texts(rows *sql.Rows) (found []string, err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		found = append(found, text)
	}
	return found, rows.Err()
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

// must fails the test at once.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newUser(tenant string) *principal.User {
	id := newID()
	return &principal.User{ID: id, Tenant: tenant, Email: "A" + id + "@Example.org", EmailKey: "a" + id + "@example.org",
		Password: "$argon2id$" + id, Role: principal.Member, CreatedAt: storedAt, UpdatedAt: storedAt}
}

func makeUser(t testing.TB, s *store.Store) *principal.User {
	t.Helper()
	u := newUser(record.DefaultTenant)
	must(t, s.CreateUser(acting(t), u))
	return u
}

// collect reads a list to its end, two items a page. read returns a page after
// the item with an ID ("": the first), and the IDs on it.
func collect(t testing.TB, read func(last string) (ids []string, more bool, err error)) (all []string) {
	t.Helper()
	for last, more := "", true; more; {
		ids, again, err := read(last)
		must(t, err)
		if more = again; more && len(ids) == 0 {
			t.Fatal("an empty page, and yet there are more")
		}
		all = append(all, ids...)
		if more {
			last = ids[len(ids)-1]
		}
	}
	return all
}

// oddTexts are IDs and tenants that nothing has.
var oddTexts = []string{"", "none", "a\x00b", "\xff", "'; --", fmt.Sprintf("%0300d", 1)}
