package auth_test

import (
	"testing"
	"time"

	"github.com/waybill-dev/waybill/internal/auth"
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
