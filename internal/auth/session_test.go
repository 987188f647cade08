package auth_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waybill-dev/waybill/internal/auth"
	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/principal"
	"github.com/waybill-dev/waybill/internal/record"
)

func TestOpenSession_ActsAsWhoeverOpenedIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.user(t, record.DefaultTenant, email, principal.Member)
	_, key := w.key(t, ada, auth.NewKey{Scopes: readOnly, Collections: []string{"todos"}})
	for _, by := range []*principal.Principal{ada, key} {
		cookie, expires, err := w.OpenSession(t.Context(), by)
		if err != nil || !expires.Equal(w.clock.Now().Add(12*time.Hour)) {
			t.Fatalf("until %v, %v", expires, err)
		}
		p, err := w.Session(t.Context(), cookie)
		if err != nil {
			t.Fatal(err)
		}
		as := *by
		as.Session = p.Session
		if diff := cmp.Diff(&as, p); diff != "" || p.Session == by.Session {
			t.Error(diff)
		}
		for range 2 { // the second time it has ended
			if err := w.CloseSession(t.Context(), cookie); err != nil {
				t.Error(err)
			}
		}
		w.clock.pass(6 * time.Second)
		_, err = w.Session(t.Context(), cookie)
		want(t, err, fault.Unauthorized)
	}
	_, _, err := w.OpenSession(t.Context(), principal.Guest(record.DefaultTenant))
	want(t, err, fault.Unauthorized)
	for _, cookie := range []string{"", "x", ada.Session} {
		if err := w.CloseSession(t.Context(), cookie); err != nil {
			t.Error(err)
		}
	}
}

func TestOpenSession_EndsAfterHalfADayAndWithItsKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.user(t, record.DefaultTenant, email, principal.Member)
	_, revoked := w.key(t, ada, auth.NewKey{Scopes: readOnly})
	_, expiring := w.key(t, ada, auth.NewKey{Scopes: readOnly, ExpiresAt: w.clock.Now().Add(time.Hour)})
	cookies := map[string]time.Duration{} // how long they last
	for by, lasts := range map[*principal.Principal]time.Duration{ada: 12 * time.Hour, revoked: 0, expiring: time.Hour} {
		cookie, _, err := w.OpenSession(t.Context(), by)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Session(t.Context(), cookie); err != nil {
			t.Fatal(err)
		}
		cookies[cookie] = lasts
	}
	if err := w.RevokeKey(t.Context(), ada, ada.Tenant, revoked.Key); err != nil {
		t.Fatal(err)
	}
	begun := w.clock.Now()
	for _, at := range []time.Duration{6 * time.Second, time.Hour - 1, time.Hour, 12*time.Hour - 1, 12 * time.Hour} {
		w.clock.pass(at - w.clock.Now().Sub(begun))
		for cookie, lasts := range cookies {
			if _, err := w.Session(t.Context(), cookie); (err == nil) != (at < lasts) {
				t.Errorf("one that lasts %v, after %v: %v", lasts, at, err)
			}
		}
	}
}

func TestTakeLink_OpensOneSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.Seed(t.Context(), adminKey); err != nil {
		t.Fatal(err)
	}
	link := func() string {
		token, err := w.MakeLink(t.Context(), "root")
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	token := link()
	_, err := w.Session(t.Context(), token)
	want(t, err, fault.Unauthorized) // a link is no cookie
	cookie, _, err := w.TakeLink(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	if p, err := w.Session(t.Context(), cookie); err != nil || p.Role != principal.Platform || p.Key != "root" {
		t.Errorf("opened %+v, %v", p, err)
	}
	late := link()
	w.clock.pass(5 * time.Minute)
	for _, bad := range []string{token, late, cookie, "", "x"} {
		_, _, err := w.TakeLink(t.Context(), bad)
		want(t, err, fault.Unauthorized)
	}
	_, err = w.MakeLink(t.Context(), "nobody")
	want(t, err, fault.NotFound)
}
