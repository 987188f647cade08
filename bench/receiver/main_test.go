package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func send(ctx context.Context, t *testing.T, url, id string) (status int, err error) {
	t.Helper()
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Webhook-Id", id)
	q.Header.Set("Webhook-Signature", "v1,x")
	a, err := http.DefaultClient.Do(q)
	if err != nil {
		return 0, err
	}
	return a.StatusCode, a.Body.Close()
}

func TestReceiver_CountsEventsOnce(t *testing.T) {
	t.Parallel()
	r := newReceiver()
	s := httptest.NewServer(r)
	t.Cleanup(s.Close)
	for _, id := range []string{"a", "b", "a"} {
		if status, err := send(t.Context(), t, s.URL+"/in/x/1ms", id); err != nil || status != http.StatusNoContent {
			t.Fatalf("%d, %v", status, err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if status, err := send(ctx, t, s.URL+"/in/y/never", "c"); err == nil {
		t.Errorf("never answered %d", status)
	}
	if status, err := send(t.Context(), t, s.URL+"/in/x/0s", ""); err != nil || status != http.StatusBadRequest {
		t.Errorf("no ID: %d, %v", status, err)
	}
	a := httptest.NewRecorder()
	r.ServeHTTP(a, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/seen/x", nil))
	text, _ := io.ReadAll(a.Body)
	if !strings.HasPrefix(string(text), `{"events":2,"requests":3,"most":1,`) {
		t.Errorf("seen %s", text)
	}
	r.in("y", func(b *box) {
		if b.Events != 1 {
			t.Errorf("seen %+v", b)
		}
	})
}
