package webhook_test

import (
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waybill-dev/waybill/internal/notify/notifytest"
	"github.com/waybill-dev/waybill/internal/notify/webhook"
	"github.com/waybill-dev/waybill/internal/subscription"
)

// TestSender_HoldsAThousandInFlight is the most that one subscription may have: all
// requests are under way before the first is answered. Over HTTP/2 it is more than
// one connection of net/http's server takes (250). It runs alone: others would
// starve beside it.
func TestSender_HoldsAThousandInFlight(t *testing.T) {
	authority := notifytest.NewAuthority(t)
	for name, p := range map[string]struct {
		most  int64
		serve func(http.HandlerFunc) notifytest.Receiver
	}{
		"HTTP/1.1": {subscription.MostInFlight, func(h http.HandlerFunc) notifytest.Receiver { return notifytest.Serve(t, h) }},
		"HTTP/2.0": {300, func(h http.HandlerFunc) notifytest.Receiver {
			return notifytest.ServeTLS(t, authority.Certificate(t, "127.0.0.1", time.Now().Add(time.Hour)), h)
		}},
	} {
		var arrived atomic.Int64
		all := make(chan struct{})
		r := p.serve(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			if r.Proto != name {
				w.WriteHeader(http.StatusHTTPVersionNotSupported)
			}
			if arrived.Add(1) == p.most {
				close(all)
			}
			select {
			case <-all:
			case <-r.Context().Done():
			}
		})
		c := channel(t, webhook.Options{Allow: loopback, Timeout: time.Minute}) // a slow machine shakes hands slowly
		c.Trust(authority.Roots)
		s := sender(t, c, r.URL, nil)
		var running sync.WaitGroup
		var failed atomic.Int64
		for range p.most {
			running.Go(func() {
				if got := s.Send(t.Context(), notifytest.Message()); !got.OK && failed.Add(1) == 1 {
					t.Errorf("%s: %+v", name, got)
				}
			})
		}
		running.Wait()
		if n := failed.Load(); n > 0 {
			t.Errorf("%s: %d of %d failed", name, n, p.most)
		}
	}
}
