package webhook_test

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/waybill-dev/waybill/internal/notify/notifytest"
)

// receiver is the cheapest that there is: what is measured shares its processors.
func receiver(b *testing.B) string {
	b.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusNoContent)
	}))
	b.Cleanup(s.Close)
	return s.URL
}

// BenchmarkSend compares Send with http.Client.Do for the same event, signed by the
// official library.
func BenchmarkSend(b *testing.B) {
	send := func(b *testing.B) func() {
		b.Helper()
		s := sender(b, local(b), receiver(b)+"/hook", map[string]string{"Authorization": "Bearer token"})
		m := notifytest.Message()
		return func() {
			if r := s.Send(b.Context(), m); !r.OK {
				b.Error(r.Error)
			}
		}
	}
	bare := func(b *testing.B) func() {
		b.Helper()
		dialer := &net.Dialer{Timeout: 15 * time.Second}
		client := &http.Client{Timeout: 15 * time.Second, Transport: &http.Transport{DialContext: dialer.DialContext, MaxIdleConnsPerHost: 1024}}
		b.Cleanup(client.CloseIdleConnections)
		signer, err := standardwebhooks.NewWebhook(whsec)
		if err != nil {
			b.Fatal(err)
		}
		address := receiver(b) + "/hook"
		m := notifytest.Message()
		return func() { post(b, client, signer, address, m.Event.ID, m.Event.Body) }
	}
	for _, c := range []struct {
		name string
		make func(*testing.B) func()
	}{{"waybill", send}, {"bare", bare}} {
		b.Run(c.name+"/sequential", func(b *testing.B) {
			once := c.make(b)
			b.ReportAllocs()
			for b.Loop() {
				once()
			}
		})
		b.Run(c.name+"/parallel", func(b *testing.B) {
			once := c.make(b)
			b.ReportAllocs()
			b.SetParallelism(32)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					once()
				}
			})
		})
	}
}

func post(b *testing.B, client *http.Client, signer *standardwebhooks.Webhook, address, id string, body []byte) {
	b.Helper()
	now := time.Now()
	signature, err := signer.Sign(id, now, body)
	if err != nil {
		b.Error(err)
		return
	}
	r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		b.Error(err)
		return
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer token")
	r.Header.Set("Webhook-Id", id)
	r.Header.Set("Webhook-Timestamp", strconv.FormatInt(now.Unix(), 10))
	r.Header.Set("Webhook-Signature", signature)
	response, err := client.Do(r)
	if err != nil {
		b.Error(err)
		return
	}
	_, _ = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
}
