package webhook_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waybill-dev/waybill/internal/notify"
	"github.com/waybill-dev/waybill/internal/notify/notifytest"
	"github.com/waybill-dev/waybill/internal/notify/webhook"
	"github.com/waybill-dev/waybill/internal/subscription"
)

func TestSender_SignsKnownMessages(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		secret, id, body, want string
		at                     int64
	}{
		{whsec, "msg_p5jXN8AQM9LWM0D4loKWxJek", `{"test": 2432232314}`, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", 1614265330},
		{
			"whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk",
			`{"email":"test@example.com","username":"test_user"}`, "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=", 1649367553,
		},
	} {
		got := make(chan http.Header, 1)
		bodies := make(chan string, 1)
		r := notifytest.Serve(t, func(_ http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			got <- r.Header.Clone()
			bodies <- string(b)
		})
		c := channel(t, webhook.Options{Allow: loopback, Version: "1.2.3", Now: func() time.Time { return time.Unix(v.at, 999) }})
		b, err := json.Marshal(settings{r.URL, map[string]string{"x-name": "value"}, []map[string]any{{"secret": v.secret}}})
		if err != nil {
			t.Fatal(err)
		}
		m := &notify.Message{Event: subscription.Event{ID: v.id, Body: []byte(v.body)}}
		if result := senderOf(t, c, b).Send(t.Context(), m); !result.OK {
			t.Fatalf("%+v", result)
		}
		header := <-got
		for name, want := range map[string]string{
			"webhook-id": v.id, "webhook-signature": v.want, "content-type": "application/json", "x-name": "value",
			"user-agent": "Waybill/1.2.3 (+standardwebhooks)", "accept-encoding": "", "idempotency-key": "",
		} {
			if header.Get(name) != want {
				t.Errorf("%s: %q, want %q", name, header.Get(name), want)
			}
		}
		if body := <-bodies; body != v.body {
			t.Errorf("body %q, want %q", body, v.body)
		}
	}
}

// TestChannel_RotatesSecrets checks with the official library that a receiver can
// change over at any time of the 24 h, and not after.
func TestChannel_RotatesSecrets(t *testing.T) {
	t.Parallel()
	var shift atomic.Int64 // of Waybill's clock; the library's stands within its tolerance
	start := time.Now().Add(-24 * time.Hour)
	c := channel(t, webhook.Options{Allow: loopback, Now: func() time.Time { return time.Now().Add(time.Duration(shift.Load())) }})
	first, err := c.Check(t.Context(), json.RawMessage(`{"type":"webhook","url":"http://127.0.0.1:1"}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	second, err := c.Rotate(first, start.Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	a, b := secretOf(t, c, first), secretOf(t, c, second)
	if a == b {
		t.Fatal("the secret is the old one")
	}
	for _, s := range []struct {
		name     string
		settings []byte
		shift    time.Duration
		with     string
		want     bool
	}{
		{"before", first, 0, a, true},
		{"before, with the new one", first, 0, b, false},
		{"during, with the old one", second, 0, a, true},
		{"during, with the new one", second, 0, b, true},
		{"after, with the old one", second, 2 * time.Minute, a, false},
		{"after, with the new one", second, 2 * time.Minute, b, true},
		{"another secret", second, 0, whsec, false},
	} {
		shift.Store(int64(s.shift))
		r := notifytest.Serve(t, verified(t, s.with))
		moved := strings.Replace(string(s.settings), "http://127.0.0.1:1", r.URL, 1)
		result := senderOf(t, c, []byte(moved)).Send(t.Context(), notifytest.Message())
		if result.OK != s.want {
			t.Errorf("%s: %+v, want OK: %v", s.name, result, s.want)
		}
		notifytest.NoSecret(t, result, a, b)
	}
}

func TestChannel_RotateKeepsFewSecrets(t *testing.T) {
	t.Parallel()
	c := local(t)
	now := time.Now()
	s, err := c.Check(t.Context(), json.RawMessage(`{"type":"webhook","url":"http://127.0.0.1:1"}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	original := secretOf(t, c, s)
	rotate := func(at time.Time) (got settings) {
		if s, err = c.Rotate(s, at); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(s, &got); err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := rotate(now); len(got.Secrets) != 2 || got.Secrets[1]["secret"] != original || got.Secrets[0]["until"] != nil {
		t.Errorf("after one rotation: %v", got.Secrets)
	}
	if got := rotate(now.Add(time.Hour)); len(got.Secrets) != 2 || strings.Contains(string(s), original) {
		t.Errorf("after another within 24 h: %d secrets, want the last two", len(got.Secrets))
	}
}

func secretOf(t testing.TB, c *webhook.Channel, settings []byte) string {
	t.Helper()
	s, err := c.Secret(settings)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
