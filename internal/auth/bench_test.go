package auth_test

import (
	"context"
	"testing"

	"github.com/waybill-dev/waybill/internal/auth"
	"github.com/waybill-dev/waybill/internal/principal"
	"github.com/waybill-dev/waybill/internal/record"
)

// credentials returns a Service, and a key and an access token that it remembers.
func credentials(t testing.TB) (w *world, key, token string) {
	t.Helper()
	w = newWorld(t)
	ada := w.user(t, record.DefaultTenant, email, principal.Member)
	key, _ = w.key(t, ada, auth.NewKey{Scopes: readOnly})
	tokens, _ := w.login(t, email)
	return w, key, tokens.Access
}

func TestAuthenticate_AllocatesNextToNothing(t *testing.T) {
	w, key, token := credentials(t)
	ctx := context.Background()
	for name, text := range map[string]string{"key": key, "token": token} {
		if n := testing.AllocsPerRun(100, func() {
			if _, err := w.Authenticate(ctx, text); err != nil {
				t.Fatal(err)
			}
		}); n > 2 {
			t.Errorf("%s: %v allocations, want 2 at most", name, n)
		}
	}
}

func BenchmarkAuthenticate_Key(b *testing.B) {
	w, key, _ := credentials(b)
	benchmark(b, w, key)
}

func BenchmarkAuthenticate_Token(b *testing.B) {
	w, _, token := credentials(b)
	benchmark(b, w, token)
}

func benchmark(b *testing.B, w *world, text string) {
	b.Helper()
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.Authenticate(ctx, text); err != nil {
			b.Fatal(err)
		}
	}
}
