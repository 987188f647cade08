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

var (
	adminKey   = "wb_root_" + strings.Repeat("1", 32)
	rotatedKey = "wb_root_" + strings.Repeat("2", 32)
)

// goodOnly fails unless of the two keys this one alone is good.
func goodOnly(t *testing.T, w *world, good, bad string) {
	t.Helper()
	w.clock.pass(6 * time.Second)
	if good != "" {
		p, err := w.Authenticate(t.Context(), good)
		if err != nil {
			t.Fatal(err)
		}
		if p.Role != principal.Platform || p.Tenant != record.DefaultTenant || p.ID != "key:root" || p.User != "" {
			t.Errorf("seeded principal %+v", p)
		}
	}
	if bad != "" {
		_, err := w.Authenticate(t.Context(), bad)
		want(t, err, fault.Unauthorized)
	}
}

func TestSeed_AnotherSecretReplacesTheOldOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 2 { // again at the next start
		if err := w.Seed(t.Context(), adminKey); err != nil {
			t.Fatal(err)
		}
		goodOnly(t, w, adminKey, rotatedKey)
	}
	if err := w.Seed(t.Context(), rotatedKey); err != nil {
		t.Fatal(err)
	}
	goodOnly(t, w, rotatedKey, adminKey)
}

func TestSeed_WhatWasRevokedStaysSoUntilItsSecretChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.Seed(t.Context(), adminKey); err != nil {
		t.Fatal(err)
	}
	if err := w.RevokeKey(t.Context(), operator, record.DefaultTenant, "root"); err != nil {
		t.Fatal(err)
	}
	if err := w.Seed(t.Context(), adminKey); err != nil {
		t.Fatal(err)
	}
	goodOnly(t, w, "", adminKey)
	if err := w.Seed(t.Context(), rotatedKey); err != nil {
		t.Fatal(err)
	}
	goodOnly(t, w, rotatedKey, adminKey)
}

func TestSeed_TakesNobodysKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.Seed(t.Context(), ""); err != nil {
		t.Error(err)
	}
	if err := w.Seed(t.Context(), "wb_short_1"); err == nil {
		t.Error("a short secret is taken")
	}
	ada := w.user(t, record.DefaultTenant, email, principal.Member)
	text, p := w.key(t, ada, auth.NewKey{Scopes: readOnly, Name: "WAYBILL_ADMIN_KEY"})
	want(t, w.Seed(t.Context(), "wb_"+p.Key+"_"+strings.Repeat("1", 32)), fault.Conflict)
	w.clock.pass(6 * time.Second)
	if _, err := w.Authenticate(t.Context(), text); err != nil {
		t.Error(err)
	}
}
