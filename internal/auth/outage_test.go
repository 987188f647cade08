package auth_test

import (
	"strings"
	"testing"
	"time"

	"github.com/waybill-dev/waybill/internal/auth"
	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/principal"
	"github.com/waybill-dev/waybill/internal/record"
)

func TestService_WithTheStoreAwayWhatWasVerifiedHoldsForFiveMinutes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.user(t, record.DefaultTenant, email, principal.Member)
	text, _ := w.key(t, ada, auth.NewKey{Scopes: readOnly})
	unused, _ := w.key(t, ada, auth.NewKey{Scopes: readOnly, ExpiresAt: w.clock.Now().Add(6 * time.Minute)})
	tokens, _ := w.login(t, email)
	w.clock.pass(4 * time.Minute) // in use, it is confirmed
	if _, err := w.Authenticate(t.Context(), text); err != nil {
		t.Fatal(err)
	}
	w.flaky.away.Store(true)
	for _, step := range []time.Duration{6 * time.Second, 4*time.Minute + 53*time.Second} {
		w.clock.pass(step)
		want(t, w.Poll(t.Context()), fault.StoreUnavailable)
		asked := w.flaky.reads.Load()
		if _, err := w.Authenticate(t.Context(), text); err != nil {
			t.Errorf("%v later: %v", step, err)
		}
		if n := w.flaky.reads.Load() - asked; n != 0 {
			t.Errorf("a store that is known to be away was asked %d times", n)
		}
	}
	_, err := w.Authenticate(t.Context(), "wb_unknown_"+strings.Repeat("x", 43))
	want(t, err, fault.StoreUnavailable)
	w.clock.pass(2 * time.Second)
	for _, credential := range []string{text, tokens.Access, unused} {
		_, err := w.Authenticate(t.Context(), credential)
		if credential == text || credential == tokens.Access {
			want(t, err, fault.StoreUnavailable)
		}
		if err == nil {
			t.Error("good for longer than five minutes")
		}
	}
	w.flaky.away.Store(false)
	if _, err := w.Authenticate(t.Context(), text); err != nil {
		t.Errorf("with the store back: %v", err)
	}
}

func TestService_AnOlderEntryHoldsIfTheStoreGoesAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.user(t, record.DefaultTenant, email, principal.Member)
	text, _ := w.key(t, ada, auth.NewKey{Scopes: readOnly})
	_, other := w.key(t, ada, auth.NewKey{Scopes: readOnly})
	w.clock.pass(4 * time.Minute)
	if err := w.RevokeKey(t.Context(), ada, ada.Tenant, other.Key); err != nil { // raises the version
		t.Fatal(err)
	}
	if err := w.Poll(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.flaky.away.Store(true)
	if _, err := w.Authenticate(t.Context(), text); err != nil {
		t.Errorf("four minutes after it was confirmed: %v", err)
	}
	w.clock.pass(time.Minute + 1)
	_, err := w.Authenticate(t.Context(), text)
	want(t, err, fault.StoreUnavailable)
}

func TestService_AnExpiredCredentialIsRefusedFromMemoryToo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.user(t, record.DefaultTenant, email, principal.Member)
	text, _ := w.key(t, ada, auth.NewKey{Scopes: readOnly, ExpiresAt: w.clock.Now().Add(time.Minute)})
	tokens, _ := w.login(t, email)
	w.flaky.away.Store(true) // memory is all there is
	w.clock.pass(time.Minute - 1)
	if _, err := w.Authenticate(t.Context(), text); err != nil {
		t.Errorf("before its end: %v", err)
	}
	w.clock.pass(1)
	_, err := w.Authenticate(t.Context(), text)
	want(t, err, fault.Unauthorized)
	w.flaky.away.Store(false)
	w.clock.pass(14*time.Minute + 6*time.Second)
	_, err = w.Authenticate(t.Context(), tokens.Access)
	want(t, err, fault.Unauthorized)
}
