package httpapi_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// BenchmarkAPI_Identify shows what it costs a request to say who asks: a record of
// a public collection without credentials is what the others are compared with.
func BenchmarkAPI_Identify(b *testing.B) {
	s := working(b)
	s.put("/api/messages/kept", `{"content":"x"}`, waited).want(201)
	s.register("ada@example.com")
	token := s.login("ada@example.com").Access
	for _, c := range []struct{ name, path, credential string }{
		{"record/nobody", "/api/messages/kept", ""},
		{"record/key", "/api/messages/kept", operatorKey},
		{"record/token", "/api/messages/kept", token},
		{"me/key", "/api/me", operatorKey},
		{"me/token", "/api/me", token},
	} {
		b.Run(c.name, func(b *testing.B) {
			r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, c.path, nil)
			if c.credential != "" {
				r.Header.Set("Authorization", "Bearer "+c.credential)
			}
			b.ReportAllocs()
			for b.Loop() {
				w := httptest.NewRecorder()
				if s.api.ServeHTTP(w, r); w.Code != http.StatusOK {
					b.Fatal(w.Code, w.Body)
				}
			}
		})
	}
}
