package storetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/principal"
	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/store"
)

var userTests = map[string]func(*testing.T, *store.Store){
	"User_IsKeptAsItWasMade":              testUserKept,
	"User_AnAddressIsOnesInAllTenants":    testUserConflict,
	"User_OfAnotherTenantIsNotFound":      testUserElsewhere,
	"Users_Page":                          testUserPages,
	"UpdateUser_EndsWhatMustEnd":          testUserUpdate,
	"UpdateUser_AChangeThatFailsDoesNone": testUserUpdateFails,
	"LoggedIn_NotesTheTimeAndTheRehash":   testLoggedIn,
	"Tenants_AreMadeOnceAndListed":        testTenants,
}

func testUserKept(t *testing.T, s *store.Store) {
	u := newUser(record.DefaultTenant)
	u.Role, u.DisabledAt, u.LastLoginAt = principal.Platform, storedAt.Add(time.Hour), storedAt.Add(time.Minute)
	follow(t, s, step{name: "create", do: func() error { return s.CreateUser(acting(t), u) }, audits: []string{"user.create"}})
	plain := makeUser(t, s)
	for _, want := range []*principal.User{u, plain} {
		got, err := s.User(t.Context(), want.Tenant, want.ID)
		must(t, err)
		same(t, "by ID", got, want)
		got, err = s.UserByEmail(t.Context(), want.EmailKey)
		must(t, err)
		same(t, "by address", got, want)
	}
}

func testUserConflict(t *testing.T, s *store.Store) {
	u := makeUser(t, s)
	for _, tenant := range []string{record.DefaultTenant, "other"} {
		twin := newUser(tenant)
		twin.EmailKey = u.EmailKey
		follow(t, s, step{name: "twin in " + tenant, do: func() error { return s.CreateUser(acting(t), twin) }, fails: fault.Conflict})
		if _, err := s.User(t.Context(), tenant, twin.ID); fault.KindOf(err) != fault.NotFound {
			t.Errorf("the refused user: %v", err)
		}
	}
}

func testUserElsewhere(t *testing.T, s *store.Store) {
	u := makeUser(t, s)
	for _, tenant := range append(slices.Clone(oddTexts), "other") {
		_, err := s.User(t.Context(), tenant, u.ID)
		same(t, fmt.Sprintf("User in %q", tenant), fault.KindOf(err), fault.NotFound)
		follow(t, s, step{name: "UpdateUser in " + tenant, fails: fault.NotFound, do: func() error {
			_, err := s.UpdateUser(acting(t), tenant, u.ID, "", func(u *principal.User) error { u.Role = principal.Admin; return nil })
			return err
		}})
	}
	for _, id := range oddTexts {
		_, err := s.User(t.Context(), u.Tenant, id)
		same(t, fmt.Sprintf("User %q", id), fault.KindOf(err), fault.NotFound)
		_, err = s.UserByEmail(t.Context(), id)
		same(t, fmt.Sprintf("UserByEmail %q", id), fault.KindOf(err), fault.NotFound)
		same(t, fmt.Sprintf("LoggedIn %q", id), fault.KindOf(s.LoggedIn(t.Context(), id, storedAt, "")), fault.NotFound)
	}
}

func testUserPages(t *testing.T, s *store.Store) {
	var want []string
	for range 5 {
		want = append([]string{makeUser(t, s).ID}, want...)
	}
	must(t, s.CreateUser(acting(t), newUser("other")))
	got := collect(t, func(last string) (ids []string, more bool, err error) {
		page, more, err := s.Users(t.Context(), record.DefaultTenant, 2, last)
		for i := range page {
			ids = append(ids, page[i].ID)
		}
		return ids, more, err
	})
	same(t, "users, newest first", got, want)
}

// belongings are what a user has.
type belongings struct {
	user                *principal.User
	kept, other, viaKey *principal.Session
	key                 *principal.Key
}

func makeBelongings(t testing.TB, s *store.Store) belongings {
	t.Helper()
	u := makeUser(t, s)
	b := belongings{user: u, kept: newSession(u, principal.Login), other: newSession(u, principal.Browser), key: newKey(u.Tenant, u.ID)}
	must(t, s.CreateKey(acting(t), b.key))
	b.viaKey = newSession(u, principal.Browser)
	b.viaKey.User, b.viaKey.Key = "", b.key.ID
	for _, session := range []*principal.Session{b.kept, b.other, b.viaKey} {
		must(t, s.CreateSession(acting(t), session, nil))
	}
	return b
}

// good says which of the belongings still are: kept, other, via key, key.
func (b *belongings) good(t testing.TB, s *store.Store) [4]bool {
	t.Helper()
	var good [4]bool
	for i, session := range []*principal.Session{b.kept, b.other, b.viaKey} {
		got, _, _, err := s.SessionOwner(t.Context(), session.ID, nil)
		must(t, err)
		good[i] = got.RevokedAt.IsZero()
	}
	k, _, err := s.KeyOwner(t.Context(), b.key.ID)
	must(t, err)
	good[3] = k.RevokedAt.IsZero()
	return good
}

func testUserUpdate(t *testing.T, s *store.Store) {
	bystander := makeBelongings(t, s)
	all := [4]bool{true, true, true, true}
	mine := [4]bool{true, false, true, true} // but the one that is kept
	for name, test := range map[string]struct {
		change func(*principal.User)
		good   [4]bool
		rises  int64
		audits []string
		detail string
	}{
		"role":     {func(u *principal.User) { u.Role = principal.Admin }, mine, 1, []string{"user.update"}, `{"changed":["role"],"role":["member","admin"]}`},
		"password": {func(u *principal.User) { u.Password = "$argon2id$new" }, mine, 1, []string{"user.update"}, `{"changed":["password"]}`},
		"disabled": {func(u *principal.User) { u.DisabledAt = storedAt }, mine, 1, []string{"user.update"}, `{"changed":["disabled"],"disabled":true}`},
		"tenant": {func(u *principal.User) { u.Tenant = "new" }, [4]bool{true}, 1, []string{"user.update"},
			`{"changed":["tenant"],"tenant":["default","new"]}`},
		"nothing": {func(*principal.User) {}, all, 0, nil, ""},
		"what may not be changed": {func(u *principal.User) { u.ID, u.Email, u.EmailKey, u.CreatedAt = "x", "x", "x", time.Now() },
			all, 0, nil, ""},
	} {
		b := makeBelongings(t, s)
		want := *b.user
		test.change(&want)
		want.ID, want.Email, want.EmailKey, want.CreatedAt = b.user.ID, b.user.Email, b.user.EmailKey, b.user.CreatedAt
		var got *principal.User
		follow(t, s, step{name: name, rises: test.rises, audits: test.audits, do: func() (err error) {
			got, err = s.UpdateUser(acting(t), b.user.Tenant, b.user.ID, b.kept.ID, func(u *principal.User) error { test.change(u); return nil })
			return err
		}})
		stored, err := s.User(t.Context(), want.Tenant, want.ID)
		must(t, err)
		same(t, name+": answered", got, stored)
		want.UpdatedAt = stored.UpdatedAt
		same(t, name+": stored", stored, &want)
		same(t, name+": good are", b.good(t, s), test.good)
		if test.detail != "" {
			same(t, name+": detail", string(lastEntry(t, s, b.user.Tenant).Detail), test.detail)
		}
		kept, _, _, err := s.SessionOwner(t.Context(), b.kept.ID, nil)
		must(t, err)
		same(t, name+": the kept session's tenant", kept.Tenant, want.Tenant)
	}
	disabled := makeUser(t, s)
	disable := func(at time.Time) func() error {
		return func() error {
			_, err := s.UpdateUser(acting(t), disabled.Tenant, disabled.ID, "", func(u *principal.User) error { u.DisabledAt = at; return nil })
			return err
		}
	}
	follow(t, s, step{name: "disable", do: disable(storedAt), rises: 1, audits: []string{"user.update"}},
		step{name: "disable again", do: disable(storedAt.Add(time.Hour))},
		step{name: "enable", do: disable(time.Time{}), rises: 1, audits: []string{"user.update"}})
	same(t, "the bystander's", bystander.good(t, s), all)
}

func testUserUpdateFails(t *testing.T, s *store.Store) {
	b := makeBelongings(t, s)
	refused := fault.New(fault.Forbidden, "no")
	follow(t, s, step{name: "refused", fails: fault.Forbidden, do: func() error {
		_, err := s.UpdateUser(acting(t), b.user.Tenant, b.user.ID, "", func(u *principal.User) error {
			u.Role, u.Tenant = principal.Platform, "other"
			return refused
		})
		if !errors.Is(err, refused) {
			t.Errorf("%v, want the error of change", err)
		}
		return err
	}})
	got, err := s.User(t.Context(), b.user.Tenant, b.user.ID)
	must(t, err)
	same(t, "the user", got, b.user)
	same(t, "theirs", b.good(t, s), [4]bool{true, true, true, true})
}

func testLoggedIn(t *testing.T, s *store.Store) {
	u := makeUser(t, s)
	at := storedAt.Add(time.Hour)
	login := func(at time.Time, password string) step {
		return step{name: "login", do: func() error { return s.LoggedIn(acting(t), u.ID, at, password) }}
	}
	check := func(what, password string, last time.Time) {
		t.Helper()
		got, err := s.User(t.Context(), u.Tenant, u.ID)
		must(t, err)
		same(t, what, []any{got.Password, got.LastLoginAt, got.UpdatedAt}, []any{password, last, u.UpdatedAt})
	}
	follow(t, s, login(at, ""))
	check("no rehash", u.Password, at)
	follow(t, s, login(at.Add(time.Hour), "rehashed"))
	check("a rehash", "rehashed", at.Add(time.Hour))
	follow(t, s, login(u.UpdatedAt.Add(-time.Second), "stale"))
	check("a rehash of what was changed since", "rehashed", u.UpdatedAt.Add(-time.Second))
}

func testTenants(t *testing.T, s *store.Store) {
	ensure := func(name string, audits ...string) step {
		made := principal.Tenant{Name: name, CreatedAt: storedAt, CreatedBy: "user:admin"}
		return step{name: name, do: func() error { return s.EnsureTenant(acting(t), made) }, audits: audits}
	}
	follow(t, s, ensure(record.DefaultTenant), ensure("b", "tenant.create"), ensure("b"), ensure("a", "tenant.create"), ensure("e", "tenant.create"))
	names := collect(t, func(last string) (names []string, more bool, err error) {
		page, more, err := s.Tenants(t.Context(), 2, last)
		for _, tenant := range page {
			if tenant.Name != record.DefaultTenant {
				same(t, "tenant", tenant, principal.Tenant{Name: tenant.Name, CreatedAt: storedAt, CreatedBy: "user:admin"})
			}
			names = append(names, tenant.Name)
		}
		return names, more, err
	})
	same(t, "tenants", names, []string{"a", "b", record.DefaultTenant, "e"})
	before := len(actions(t, s))
	together(8, func(int) {
		if err := s.EnsureTenant(t.Context(), principal.Tenant{Name: "at once", CreatedAt: storedAt}); err != nil {
			t.Error(err)
		}
	})
	same(t, "made at once", actions(t, s)[before:], []string{"tenant.create"})
}
