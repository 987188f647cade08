package auth_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waybill-dev/waybill/internal/auth"
	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/principal"
	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/testenv"
)

var readOnly = []string{string(principal.RecordsRead)}

func TestService_AKeyActsForItsUserAsFarAsItsScopesGo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.user(t, "acme", "admin@example.com", principal.Admin)
	_, p := w.key(t, admin, auth.NewKey{Name: "reader", Scopes: readOnly, Collections: []string{"todos"}})
	if diff := cmp.Diff(&principal.Principal{
		Kind: principal.OfKey, ID: admin.ID, Tenant: "acme", Role: principal.Member, User: admin.User, Key: p.Key, Name: "reader",
		Scopes: []principal.Scope{principal.RecordsRead}, Collections: []string{"todos"},
	}, p); diff != "" {
		t.Error(diff)
	}
	_, all := w.key(t, admin, auth.NewKey{Scopes: []string{"admin"}})
	if all.Role != principal.Admin || all.Collections != nil {
		t.Errorf("key with the scope admin: %+v", all)
	}
}

func TestService_RefusesBadCredentialsWithOneAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.user(t, record.DefaultTenant, email, principal.Member)
	text, p := w.key(t, ada, auth.NewKey{Scopes: readOnly})
	tokens, _ := w.login(t, email)
	elsewhere := newWorld(t, func(o *auth.Options) { o.Box = box(t, "b") })
	elsewhere.user(t, record.DefaultTenant, email, principal.Member)
	foreign, _ := elsewhere.login(t, email)
	cookie, _, err := w.OpenSession(t.Context(), ada)
	if err != nil {
		t.Fatal(err)
	}
	for name, credential := range map[string]string{
		"wrong secret":                   "wb_" + p.Key + "_" + strings.Repeat("x", 43),
		"unknown key":                    "wb_unknown_" + strings.Repeat("x", 43),
		"cut key":                        text[:len(text)-1],
		"refresh token":                  tokens.Refresh,
		"cookie":                         cookie,
		"token of another secret":        foreign.Access,
		"10 KiB":                         strings.Repeat("x", 10*1024),
		"10 KiB key":                     text + strings.Repeat("x", 10*1024),
		"empty":                          "",
		"two":                            text + " " + text,
		"hash of a key (as it is kept)":  "wb_" + p.Key + "_" + strings.Repeat("0", 64),
		"a NUL that no database will do": "wb_a\x00_" + strings.Repeat("x", 43),
	} {
		for range 2 { // the second answer is from memory
			_, err := w.Authenticate(t.Context(), credential)
			want(t, err, fault.Unauthorized)
			if err != nil && err.Error() != "unauthorized: the credentials are not valid" {
				t.Errorf("%s: says %q", name, err)
			}
		}
	}
	for _, cookie := range []string{"", text, tokens.Access, tokens.Refresh, strings.Repeat("A", 43), cookie + "A", cookie[1:]} {
		_, err := w.Session(t.Context(), cookie)
		want(t, err, fault.Unauthorized)
	}
}

func TestService_WhatEndsACredentialIsSeenByOthersWithinFiveSeconds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	off, other, moved := true, principal.Admin, "acme"
	role := string(other)
	for name, c := range map[string]struct {
		end  func(w *world, by, of *principal.Principal) error
		key  bool // the user's key ends
		bear bool // the user's token ends
	}{
		"revoked": {end: func(w *world, by, of *principal.Principal) error { return w.RevokeKey(ctx, by, by.Tenant, of.Key) }, key: true},
		"disabled": {end: func(w *world, by, of *principal.Principal) error {
			_, err := w.UpdateUser(ctx, by, by.Tenant, of.User, auth.UserChange{Disabled: &off})
			return err
		}, key: true, bear: true},
		"moved": {end: func(w *world, by, of *principal.Principal) error {
			_, err := w.UpdateUser(ctx, by, by.Tenant, of.User, auth.UserChange{Tenant: &moved})
			return err
		}, key: true, bear: true},
		"promoted": {end: func(w *world, by, of *principal.Principal) error {
			_, err := w.UpdateUser(ctx, by, by.Tenant, of.User, auth.UserChange{Role: &role})
			return err
		}, bear: true},
		"kept": {end: func(*world, *principal.Principal, *principal.Principal) error { return nil }},
	} {
		user := w.user(t, record.DefaultTenant, name+"@example.com", principal.Member)
		key, p := w.key(t, user, auth.NewKey{Scopes: readOnly})
		tokens, _ := w.login(t, name+"@example.com")
		elsewhere := worldOn(t, w.store)
		for _, credential := range []string{key, tokens.Access} {
			if _, err := elsewhere.Authenticate(ctx, credential); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.end(w, operator, p); err != nil {
			t.Fatal(err)
		}
		elsewhere.clock.pass(5*time.Second + 1)
		for credential, ends := range map[string]bool{key: c.key, tokens.Access: c.bear} {
			_, err := elsewhere.Authenticate(ctx, credential)
			if ends {
				want(t, err, fault.Unauthorized)
			} else if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestService_RunSeesARevocationElsewhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.user(t, record.DefaultTenant, email, principal.Member)
	text, p := w.key(t, ada, auth.NewKey{Scopes: readOnly})
	elsewhere := worldOn(t, w.store, func(o *auth.Options) { o.Now = time.Now })
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { elsewhere.Run(ctx) })
	defer running.Wait()
	defer cancel()
	if _, err := elsewhere.Authenticate(ctx, text); err != nil {
		t.Fatal(err)
	}
	if err := w.RevokeKey(ctx, ada, ada.Tenant, p.Key); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, 5*time.Second, "the key is refused", func() error {
		if _, err := elsewhere.Authenticate(ctx, text); fault.KindOf(err) != fault.Unauthorized {
			return context.DeadlineExceeded
		}
		return nil
	})
}

func TestService_AsksTheStoreOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.user(t, record.DefaultTenant, email, principal.Member)
	text, _ := w.key(t, ada, auth.NewKey{Scopes: readOnly})
	bad := "wb_unknown_" + strings.Repeat("x", 43)
	_, err := w.Authenticate(t.Context(), bad)
	want(t, err, fault.Unauthorized)
	asked := w.flaky.reads.Load()
	for range 100 {
		if _, err := w.Authenticate(t.Context(), text); err != nil {
			t.Fatal(err)
		}
		_, err := w.Authenticate(t.Context(), bad)
		want(t, err, fault.Unauthorized)
	}
	if n := w.flaky.reads.Load() - asked; n != 0 {
		t.Errorf("the store was asked %d times for what is remembered", n)
	}
	for range 10 { // polled, the good one stays good without a look
		w.clock.pass(4 * time.Second)
		if err := w.Poll(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Authenticate(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	if n := w.flaky.reads.Load() - asked; n != 10 {
		t.Errorf("the store was asked %d times in 10 polls", n)
	}
}

func TestService_AKeyIsGoodSoonAfterItWasMadeThoughItWasTriedBefore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := w.Authenticate(t.Context(), adminKey)
	want(t, err, fault.Unauthorized)
	if err := worldOn(t, w.store).Seed(t.Context(), adminKey); err != nil {
		t.Fatal(err)
	}
	w.clock.pass(5*time.Second + 1)
	if err := w.Poll(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Authenticate(t.Context(), adminKey); err != nil {
		t.Error(err)
	}
}

func TestService_ATokenIsGoodForItsUserTenantAndSession(t *testing.T) {
	t.Parallel()
	keys := ring(t, "a=hs256:"+hsKey)
	w := newWorld(t, func(o *auth.Options) { o.TokenKeys = keys })
	ada := w.user(t, record.DefaultTenant, email, principal.Member)
	bob := w.user(t, record.DefaultTenant, "bob@example.com", principal.Member)
	_, key := w.key(t, ada, auth.NewKey{Scopes: readOnly})
	cookie, _, err := w.OpenSession(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	byKey, err := w.Session(t.Context(), cookie)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		user, tenant, session string
		good                  bool
	}{
		"right":             {ada.User, ada.Tenant, ada.Session, true},
		"another's session": {ada.User, ada.Tenant, bob.Session, false},
		"another tenant":    {ada.User, "acme", ada.Session, false},
		"no session":        {ada.User, ada.Tenant, "x", false},
		"a browser's":       {ada.User, ada.Tenant, byKey.Session, false},
	} {
		text, err := keys.Sign(c.user, c.tenant, c.session, w.clock.Now())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Authenticate(t.Context(), text); (err == nil) != c.good || err != nil && fault.KindOf(err) != fault.Unauthorized {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestService_WhoeverWaitsGoesWhenTheirRequestEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := w.Authenticate(ctx, "wb_unknown_"+strings.Repeat("x", 43))
	if k := fault.KindOf(err); k != fault.StoreUnavailable && k != fault.Unauthorized {
		t.Errorf("error %v", err)
	}
}

func TestService_WithoutASecretKeysAreGoodAndNobodyLogsIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.user(t, record.DefaultTenant, email, principal.Member)
	text, _ := w.key(t, ada, auth.NewKey{Scopes: readOnly})
	tokens, _ := w.login(t, email)
	none, err := auth.New(w.store, auth.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := none.Authenticate(t.Context(), text); err != nil {
		t.Error(err)
	}
	_, err = none.Authenticate(t.Context(), tokens.Access)
	want(t, err, fault.Unauthorized)
	_, err = none.Login(t.Context(), email, password)
	want(t, err, fault.Forbidden)
	_, err = none.Refresh(t.Context(), tokens.Refresh)
	want(t, err, fault.Forbidden)
	_, err = none.Register(t.Context(), "eve@example.com", password)
	want(t, err, fault.Forbidden)
}
