package notifytest

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waybill-dev/waybill/internal/notify"
)

const (
	// patience is how long an attempt is given where the receiver never ends it.
	patience = 200 * time.Millisecond
	// soon is how long after that Send may still be at it, on a busy machine.
	soon = 10 * time.Second
)

// HTTP tries a channel that speaks HTTP, in parallel subtests.
func HTTP(t *testing.T, c Case) {
	t.Helper()
	t.Run("every status", c.statuses)
	t.Run("informational answers", c.informational)
	t.Run("a redirect is not followed", c.redirect)
	t.Run("no secret is repeated", c.echo)
	t.Run("a secret is cut at the end", c.cut)
	t.Run("replies", c.replies)
	t.Run("broken answers", c.broken)
	t.Run("slow answers", c.slow)
	t.Run("canceled", c.canceled)
	t.Run("TLS", c.tls)
	t.Run("many at once", c.many)
}

// send makes one attempt, which has to be what every attempt has to be.
func (c *Case) send(ctx context.Context, t testing.TB, r Receiver) notify.Result {
	t.Helper()
	result := c.Sender(t, r).Send(ctx, Message())
	c.judge(t, result)
	if !result.OK && (strings.Contains(result.Error, r.Addr) || strings.Contains(result.Error, r.URL)) {
		t.Errorf("Error shows where it was sent: %q", result.Error)
	}
	return result
}

// fails makes one attempt that has to end soon, without success.
func (c *Case) fails(ctx context.Context, t testing.TB, r Receiver) notify.Result {
	t.Helper()
	began := time.Now()
	result := c.send(ctx, t, r)
	if result.OK {
		t.Errorf("succeeded: %+v", result)
	}
	if took := time.Since(began); took > soon {
		t.Errorf("took %v", took)
	}
	return result
}

func (c *Case) statuses(t *testing.T) {
	t.Parallel()
	var status atomic.Int64
	r := Serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(int(status.Load()))
		_, _ = w.Write([]byte(c.answer())) // not with every status; then it is an error here, and nothing there
	})
	for s := 200; s <= 599; s++ {
		status.Store(int64(s))
		result := c.send(t.Context(), t, r)
		if result.Status != s || result.OK != c.accepts(s) {
			t.Errorf("%d: %+v", s, result)
		}
		if !result.OK && !strings.Contains(result.Error, fmt.Sprint(s)) {
			t.Errorf("%d: Error does not say so: %q", s, result.Error)
		}
	}
}

func (c *Case) informational(t *testing.T) {
	t.Parallel()
	var status atomic.Int64
	r := Serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(int(status.Load()))
		_, _ = w.Write([]byte(c.answer()))
	})
	for s := 100; s <= 199; s++ {
		status.Store(int64(s))
		result := c.send(t.Context(), t, r)
		if s == http.StatusSwitchingProtocols {
			if result.OK {
				t.Errorf("%d is success", s)
			}
		} else if result.Status != http.StatusOK || !result.OK {
			t.Errorf("%d, then 200: %+v", s, result)
		}
	}
}

func (c *Case) redirect(t *testing.T) {
	t.Parallel()
	var reached atomic.Int64
	inside := Serve(t, func(http.ResponseWriter, *http.Request) { reached.Add(1) })
	var status atomic.Int64
	r := Serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", inside.URL+"/latest/meta-data/")
		w.Header().Set("Refresh", "0; url="+inside.URL)
		w.WriteHeader(int(status.Load()))
	})
	for _, s := range []int{201, 300, 301, 302, 303, 304, 305, 307, 308, 401} {
		status.Store(int64(s))
		result := c.send(t.Context(), t, r)
		if result.Status != s {
			t.Errorf("%d: %+v", s, result)
		}
	}
	if n := reached.Load(); n > 0 {
		t.Errorf("%d redirects were followed", n)
	}
}

func (c *Case) canceled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	r := Serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_ = dump(r) // net/http sees the end of a connection once the body is read
		cancel()
		<-r.Context().Done()
	})
	c.fails(ctx, t, r)
	c.fails(ctx, t, r) // canceled before it began
}

func (c *Case) many(t *testing.T) {
	t.Parallel()
	const at, each = 32, 8
	r := Serve(t, func(w http.ResponseWriter, r *http.Request) {
		if got := dump(r); !strings.HasPrefix(got, http.MethodPost) {
			w.WriteHeader(http.StatusMethodNotAllowed)
		}
		_, _ = w.Write([]byte(c.answer()))
	})
	sender := c.Sender(t, r)
	var running sync.WaitGroup
	for range at {
		running.Go(func() {
			for range each {
				if result := sender.Send(t.Context(), Message()); !result.OK {
					t.Errorf("%+v", result)
				}
			}
		})
	}
	running.Wait()
}
