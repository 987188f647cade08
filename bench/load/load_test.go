package load

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const accepted = `{"id":"1","action":"create","collection":"messages","record":"1","status":"queued"}`

// serve returns the address of a server that answers so.
func serve(t *testing.T, answer http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(answer)
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

func options(addr string) Options {
	return Options{Addr: addr, Path: "/w", Body: []byte(`{"n":1}`), Connections: 4, Warm: 20 * time.Millisecond, Duration: 150 * time.Millisecond}
}

func TestRun_CountsEveryAnswer(t *testing.T) {
	t.Parallel()
	var served atomic.Int64
	addr := serve(t, func(w http.ResponseWriter, r *http.Request) {
		var body [64]byte
		n, _ := r.Body.Read(body[:])
		if got := r.Method + " " + r.URL.Path + " " + string(body[:n]); got != `POST /w {"n":1}` {
			t.Errorf("asked for %s", got)
		}
		served.Add(1)
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprint(w, accepted)
	})
	got, err := Run(t.Context(), options(addr))
	if err != nil {
		t.Fatal(err)
	}
	if int64(got.Accepted) != served.Load() {
		t.Errorf("accepted %d, the server answered %d", got.Accepted, served.Load())
	}
	if got.Counted == 0 || got.Counted >= got.Accepted || len(got.Latencies) != got.Counted {
		t.Errorf("counted %d of %d, with %d latencies", got.Counted, got.Accepted, len(got.Latencies))
	}
}

func TestRun_RefusesWrongAnswers(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]http.HandlerFunc{
		"503": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprint(w, accepted)
		},
		"another body": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusAccepted)
			fmt.Fprint(w, `{"id":"1"}`)
		},
		"no length": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusAccepted)
			w.(http.Flusher).Flush()
			fmt.Fprint(w, accepted)
		},
		"a cut": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			w.WriteHeader(http.StatusAccepted)
			fmt.Fprint(w, accepted)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, err := Run(t.Context(), options(serve(t, answer))); err == nil {
				t.Errorf("no error, but %+v", got)
			}
		})
	}
}

func TestRun_EndsWithItsContext(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	addr := serve(t, func(http.ResponseWriter, *http.Request) { <-hold })
	t.Cleanup(func() { close(hold) }) // before the server's, which waits for it
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := Run(ctx, options(addr)); err == nil {
		t.Error("no error")
	}
}

func TestGate_HoldsWhileClosed(t *testing.T) {
	t.Parallel()
	g := &Gate{}
	if err := g.wait(t.Context()); err != nil {
		t.Fatalf("a new gate: %v", err)
	}
	g.Close()
	g.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := g.wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a closed gate: %v", err)
	}
	through := make(chan error)
	go func() { through <- g.wait(t.Context()) }()
	g.Open()
	if err := <-through; err != nil {
		t.Errorf("an opened gate: %v", err)
	}
}

func TestLatencies_Quantile(t *testing.T) {
	t.Parallel()
	var hundred []time.Duration
	for i := range 100 {
		hundred = append(hundred, time.Duration(100-i)*time.Millisecond)
	}
	for _, c := range []struct {
		times []time.Duration
		q     float64
		want  time.Duration
	}{
		{nil, 0.5, 0},
		{hundred[:1], 0.99, 100 * time.Millisecond},
		{hundred, 0.5, 50 * time.Millisecond},
		{hundred, 0.99, 99 * time.Millisecond},
		{hundred, 1, 100 * time.Millisecond},
	} {
		if got := NewLatencies(c.times...).Quantile(c.q); got != c.want {
			t.Errorf("%g of %d: %v, want %v", c.q, len(c.times), got, c.want)
		}
	}
}
