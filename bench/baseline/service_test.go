package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/uuid"
)

func TestService_ChecksWhatItAccepts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, body string
		enqueue    error
		status     int
		enqueued   string
	}{
		{"good", `{ "content": "hi" }`, nil, http.StatusAccepted, `{"content":"hi"}`},
		{"not JSON", `{`, nil, http.StatusUnprocessableEntity, ""},
		{"against the schema", `{"content":""}`, nil, http.StatusUnprocessableEntity, ""},
		{"without a queue", `{"content":"hi"}`, errors.New("away"), http.StatusServiceUnavailable, `{"content":"hi"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			enqueued := ""
			service := newService(func(_ context.Context, _ uuid.UUID, body []byte) error {
				enqueued = string(body)
				return c.enqueue
			})
			w := httptest.NewRecorder()
			service.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/api/messages", strings.NewReader(c.body)))
			if w.Code != c.status || enqueued != c.enqueued {
				t.Errorf("answered %d and enqueued %q, want %d and %q: %s", w.Code, enqueued, c.status, c.enqueued, w.Body)
			}
		})
	}
}
