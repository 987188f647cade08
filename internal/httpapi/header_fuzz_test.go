package httpapi_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"testing"

	"github.com/waybill-dev/waybill/internal/auth"
	"github.com/waybill-dev/waybill/internal/collection"
	"github.com/waybill-dev/waybill/internal/httpapi"
	"github.com/waybill-dev/waybill/internal/secret"
	"github.com/waybill-dev/waybill/internal/store"
)

// FuzzHeaders: whatever stands in the headers that say who is asking, nobody gets
// in who has not been let in, and nothing breaks.
func FuzzHeaders(f *testing.F) {
	for _, authorization := range []string{"", "Bearer ", "bearer wb_a_b", "Basic eDp5", "Bearer a.b.c", "Bearer " + operatorKey + "x", "Bearer\t\x00"} {
		f.Add(authorization, "waybill_session=x", "acme", "10.0.0.1, 192.0.2.1", "id")
	}
	f.Add("", "waybill_session=\"; waybill_session=", "../default", "[::1%eth0]:80,,", "\x7f")
	s, err := store.Open("sqlite:"+filepath.Join(f.TempDir(), "waybill.db"), store.Options{})
	must(f, err)
	f.Cleanup(func() { _ = s.Close() })
	must(f, s.Migrate(f.Context()))
	box, err := secret.NewBox("a secret of tests, long enough to be one")
	must(f, err)
	identity, err := auth.New(s, auth.Options{Box: box})
	must(f, err)
	must(f, identity.Seed(f.Context(), operatorKey))
	api, err := httpapi.New(httpapi.Options{
		Collections: collection.Default(), Identity: identity, Accounts: identity, Directory: s, Store: s, Subscriptions: s, Channels: fakeChannels{},
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, // where httptest's requests come from
	})
	must(f, err)
	f.Fuzz(func(t *testing.T, authorization, cookie, tenant, forwarded, requestID string) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/me", nil)
		for name, value := range map[string]string{
			"Authorization": authorization, "Cookie": cookie, "Waybill-Tenant": tenant, "X-Forwarded-For": forwarded, "X-Request-Id": requestID,
		} {
			if value != "" {
				r.Header[name] = []string{value}
			}
		}
		w := httptest.NewRecorder()
		api.ServeHTTP(w, r)
		switch w.Code {
		case http.StatusUnauthorized, http.StatusForbidden, http.StatusBadRequest:
		case http.StatusOK:
			if authorization != "Bearer "+operatorKey {
				t.Errorf("%q, %q, %q were let in: %s", authorization, cookie, tenant, w.Body)
			}
		default:
			t.Errorf("%q, %q, %q answered %d: %s", authorization, cookie, tenant, w.Code, w.Body)
		}
	})
}
