package auth_test

import (
	"testing"
	"time"

	"github.com/waybill-dev/waybill/internal/auth"
	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/principal"
	"github.com/waybill-dev/waybill/internal/record"
)

func TestService_NotesWhenKeysWereUsed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.user(t, record.DefaultTenant, email, principal.Member)
	text, p := w.key(t, ada, auth.NewKey{Scopes: readOnly})
	for _, step := range []time.Duration{0, 31 * time.Second} {
		w.clock.pass(step)
		if _, err := w.Authenticate(t.Context(), text); err != nil {
			t.Fatal(err)
		}
		w.Flush(t.Context())
		k, _, err := w.store.KeyOwner(t.Context(), p.Key)
		if err != nil || !k.LastUsedAt.Equal(w.clock.Now()) {
			t.Errorf("used %v, %v; want %v", k.LastUsedAt, err, w.clock.Now())
		}
	}
}

func TestService_PurgesWhatEndedLongAgo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *auth.Options) { o.AuditRetention = 90 * 24 * time.Hour })
	ada := w.user(t, record.DefaultTenant, email, principal.Member)
	session := ada.Session
	for _, step := range []struct {
		days int
		gone bool
	}{{59, false}, {2, true}} { // it lasts 30 days, and is kept for 30
		w.clock.pass(time.Duration(step.days) * 24 * time.Hour)
		if err := w.Purge(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, _, _, err := w.store.SessionOwner(t.Context(), session, nil)
		if gone := fault.KindOf(err) == fault.NotFound; gone != step.gone {
			t.Errorf("after %d days: gone %v, %v", step.days, gone, err)
		}
	}
}
