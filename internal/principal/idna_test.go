package principal_test

import (
	"testing"

	"github.com/waybill-dev/waybill/internal/principal"
)

// TestEmailKey_OneDomainIsOneKey: however its name is written.
func TestEmailKey_OneDomainIsOneKey(t *testing.T) {
	t.Parallel()
	want, err := principal.EmailKey("a@xn--mnchen-3ya.de")
	if err != nil {
		t.Fatal(err)
	}
	for _, email := range []string{"a@münchen.de", "A@MÜNCHEN.DE", "a@mu\u0308nchen.de", "a@XN--MNCHEN-3YA.de"} {
		if got, err := principal.EmailKey(email); got != want || err != nil {
			t.Errorf("%s: %q, %v, want %q", email, got, err, want)
		}
	}
	if got, err := principal.EmailKey("a@-.de"); err == nil {
		t.Errorf("a domain that is none: %q", got)
	}
}
