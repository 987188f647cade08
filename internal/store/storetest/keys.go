package storetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/principal"
	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/store"
)

var keyTests = map[string]func(*testing.T, *store.Store){
	"Key_IsKeptAsItWasMade":           testKeyKept,
	"Key_AnIDIsOnesInAllTenants":      testKeyConflict,
	"Key_ActsForAUserOfItsTenant":     testKeyUser,
	"Key_OfAnotherTenantIsNotFound":   testKeyElsewhere,
	"RevokeKey_EndsItAndItsSessions":  testRevoke,
	"ReplaceKeyHash_EndsTheOldSecret": testReplaceHash,
	"Keys_PageWithoutTheRevoked":      testKeyPages,
	"KeysUsed_NotesTheLatestTimeOnly": testKeysUsed,
}

func newKey(tenant, user string) *principal.Key {
	id := strings.ReplaceAll(newID(), "-", "")
	return &principal.Key{ID: id, Tenant: tenant, Name: "n", Hash: []byte("hash of " + id), Scopes: []principal.Scope{principal.RecordsRead},
		User: user, CreatedBy: "user:admin", CreatedAt: storedAt}
}

func makeKey(t testing.TB, s *store.Store, tenant, user string) *principal.Key {
	t.Helper()
	k := newKey(tenant, user)
	must(t, s.CreateKey(acting(t), k))
	return k
}

func testKeyKept(t *testing.T, s *store.Store) {
	u := makeUser(t, s)
	full := newKey(u.Tenant, u.ID)
	full.Scopes, full.Collections = principal.Scopes, []string{"messages", "todos"}
	full.ExpiresAt, full.LastUsedAt, full.RevokedAt = storedAt.Add(time.Hour), storedAt.Add(time.Minute), storedAt.Add(time.Second)
	plain := newKey("other", "")
	for k, owner := range map[*principal.Key]*principal.User{full: u, plain: nil} {
		follow(t, s, step{name: "create", do: func() error { return s.CreateKey(acting(t), k) }, audits: []string{"key.create"}})
		got, err := s.Key(t.Context(), k.Tenant, k.ID)
		must(t, err)
		same(t, "key", got, k)
		got, user, err := s.KeyOwner(t.Context(), k.ID)
		must(t, err)
		same(t, "key and owner", []any{got, user}, []any{k, owner})
	}
	same(t, "detail", string(lastEntry(t, s, "other").Detail), `{"collections":null,"name":"n","scopes":["records:read"]}`)
}

func testKeyConflict(t *testing.T, s *store.Store) {
	k := makeKey(t, s, record.DefaultTenant, "")
	twin := newKey("other", "")
	twin.ID = k.ID
	follow(t, s, step{name: "twin", do: func() error { return s.CreateKey(acting(t), twin) }, fails: fault.Conflict})
	got, _, err := s.KeyOwner(t.Context(), k.ID)
	must(t, err)
	same(t, "the first", got, k)
}

func testKeyUser(t *testing.T, s *store.Store) {
	u := makeUser(t, s)
	follow(t, s, step{name: "in another tenant", do: func() error { return s.CreateKey(acting(t), newKey("other", u.ID)) }, fails: fault.NotFound},
		step{name: "for nobody known", do: func() error { return s.CreateKey(acting(t), newKey(u.Tenant, newID())) }, fails: fault.NotFound})
}

func testKeyElsewhere(t *testing.T, s *store.Store) {
	k := makeKey(t, s, record.DefaultTenant, "")
	for _, odd := range append(slices.Clone(oddTexts), "other") {
		for tenant, id := range map[string]string{odd: k.ID, k.Tenant: odd} {
			_, err := s.Key(t.Context(), tenant, id)
			same(t, fmt.Sprintf("Key %q of %q", id, tenant), fault.KindOf(err), fault.NotFound)
			follow(t, s, step{name: fmt.Sprintf("RevokeKey %q of %q", id, tenant), do: func() error { return s.RevokeKey(acting(t), tenant, id, "", storedAt) }, fails: fault.NotFound})
		}
		_, _, err := s.KeyOwner(t.Context(), odd)
		same(t, fmt.Sprintf("KeyOwner %q", odd), fault.KindOf(err), fault.NotFound)
	}
}

func testRevoke(t *testing.T, s *store.Store) {
	b, bystander := makeBelongings(t, s), makeBelongings(t, s)
	revoke := func(user string) func() error {
		return func() error { return s.RevokeKey(acting(t), b.key.Tenant, b.key.ID, user, storedAt) }
	}
	follow(t, s, step{name: "as another user's", do: revoke(bystander.user.ID), fails: fault.NotFound},
		step{name: "as the user's", do: revoke(b.user.ID), rises: 1, audits: []string{"key.revoke"}},
		step{name: "again", do: revoke(""), fails: fault.NotFound})
	same(t, "good are", b.good(t, s), [4]bool{true, true, false, false})
	same(t, "the bystander's", bystander.good(t, s), [4]bool{true, true, true, true})
	k, err := s.Key(t.Context(), b.key.Tenant, b.key.ID)
	must(t, err)
	same(t, "revoked at", k.RevokedAt, storedAt)
	follow(t, s, step{name: "any user's", rises: 1, audits: []string{"key.revoke"},
		do: func() error { return s.RevokeKey(acting(t), b.key.Tenant, bystander.key.ID, "", storedAt) }})
}

func testReplaceHash(t *testing.T, s *store.Store) {
	b, bystander := makeBelongings(t, s), makeBelongings(t, s)
	replace := func(tenant, id, hash string) func() error {
		return func() error { return s.ReplaceKeyHash(acting(t), tenant, id, []byte(hash)) }
	}
	follow(t, s, step{name: "another tenant's", do: replace("other", b.key.ID, "new"), fails: fault.NotFound},
		step{name: "unknown", do: replace(b.key.Tenant, "a\x00", "new"), fails: fault.NotFound},
		step{name: "good", do: replace(b.key.Tenant, b.key.ID, "new"), rises: 1, audits: []string{"key.replace"}})
	same(t, "good are", b.good(t, s), [4]bool{true, true, false, true})
	same(t, "the bystander's", bystander.good(t, s), [4]bool{true, true, true, true})
	must(t, s.RevokeKey(acting(t), b.key.Tenant, b.key.ID, "", storedAt))
	follow(t, s, step{name: "revoked", do: replace(b.key.Tenant, b.key.ID, "newer"), rises: 1, audits: []string{"key.replace"}})
	k, err := s.Key(t.Context(), b.key.Tenant, b.key.ID)
	must(t, err)
	same(t, "hash", string(k.Hash), "newer")
	same(t, "revoked at", k.RevokedAt, time.Time{})
}

func testKeyPages(t *testing.T, s *store.Store) {
	u := makeUser(t, s)
	want := map[string][]string{}
	for i := range 10 {
		user := []string{"", u.ID}[i%2]
		k := makeKey(t, s, u.Tenant, user)
		if i >= 6 {
			must(t, s.RevokeKey(acting(t), u.Tenant, k.ID, "", storedAt))
			continue
		}
		want[""] = append([]string{k.ID}, want[""]...)
		if user != "" {
			want[user] = append([]string{k.ID}, want[user]...)
		}
	}
	makeKey(t, s, "other", "")
	for user, ids := range want {
		got := collect(t, func(last string) (ids []string, more bool, err error) {
			page, more, err := s.Keys(t.Context(), u.Tenant, user, 2, last)
			for i := range page {
				ids = append(ids, page[i].ID)
			}
			return ids, more, err
		})
		same(t, "keys of "+user, got, ids)
	}
	if got, _, err := s.Keys(t.Context(), "other", u.ID, 10, ""); len(got) != 0 || err != nil {
		t.Errorf("a user's keys in another tenant: %v, %v", got, err)
	}
}

func testKeysUsed(t *testing.T, s *store.Store) {
	a, b := makeKey(t, s, record.DefaultTenant, ""), makeKey(t, s, "other", "")
	used := func(times map[string]time.Time) step {
		return step{name: "used", do: func() error { return s.KeysUsed(t.Context(), times) }}
	}
	later := storedAt.Add(time.Hour)
	follow(t, s, used(nil), used(map[string]time.Time{a.ID: later, "none": later, "\x00": later}), used(map[string]time.Time{a.ID: storedAt, b.ID: storedAt}))
	for k, want := range map[*principal.Key]time.Time{a: later, b: storedAt} {
		got, _, err := s.KeyOwner(t.Context(), k.ID)
		must(t, err)
		same(t, "last used", got.LastUsedAt, want)
	}
}
