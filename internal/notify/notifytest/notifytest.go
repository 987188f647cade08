// Package notifytest is what every channel is tried with: receivers that answer
// with each status, not at all, too slowly, too much or nonsense, and that repeat
// whatever they were sent. They are real servers on the loopback. HTTP tries
// channels that post to URLs, SMTP those that send mail; NoSecret is for any
// Result. Only tests use it, and nothing of any one channel enters.
package notifytest

import (
	"bytes"
	"cmp"
	"crypto/x509"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/waybill-dev/waybill/internal/notify"
	"github.com/waybill-dev/waybill/internal/subscription"
)

// Receiver is where a Sender is to send to.
type Receiver struct {
	URL   string         // http://127.0.0.1:port, or https, smtp or smtps; without a path
	Addr  string         // 127.0.0.1:port
	Roots *x509.CertPool // whom to trust for TLS; nil: whom the system trusts
}

// Case is a channel to be tried.
type Case struct {
	// Sender returns a Sender that reaches r wherever it believes to send to. A new
	// Sender may share connections with others.
	Sender func(t testing.TB, r Receiver) notify.Sender
	// Secrets are what the Senders hold and may not show.
	Secrets []string
	// Answer is the body with which an HTTP receiver accepts; "" is {}.
	Answer string
	// Accepts says which statuses are success if Answer comes with them; nil: 2xx.
	Accepts func(status int) bool
	// Logged returns everything that was logged so far; nil: the channel logs nothing.
	Logged func() string

	mostError int // how long an Error may be, in bytes
}

// Message returns a message such as those of stored operations.
func Message() *notify.Message {
	const id = "01890a5d-ac96-774b-bcce-b302099a8057"
	return &notify.Message{
		Event: subscription.Event{
			Tenant: "default", ID: id, Type: "messages.created",
			Body: []byte(`{"type":"messages.created","timestamp":"2026-01-02T03:04:05.000006Z","data":{"id":"` + id +
				`","content":"käse & \"brot\" <b>"},"operation":"` + id + `","tenant":"default"}`),
		},
		Subscription: subscription.Key{Tenant: "default", ID: "01890a5d-ac96-774b-bcce-b302099a8058"},
		Name:         "orders to the warehouse",
		Delivery:     "01890a5d-ac96-774b-bcce-b302099a8059",
		Attempt:      1,
	}
}

// NoSecret fails the test if a Result shows one of secrets: as it is, escaped for
// a URL or JSON, or its first half.
func NoSecret(t testing.TB, r notify.Result, secrets ...string) {
	t.Helper()
	shows(t, "Error", []byte(r.Error), secrets)
	shows(t, "Reply", r.Reply, secrets)
	shows(t, "Progress", []byte(r.Progress), secrets)
}

func shows(t testing.TB, where string, text []byte, secrets []string) {
	t.Helper()
	for _, secret := range secrets {
		quoted, err := json.Marshal(secret)
		if err != nil {
			t.Fatal(err)
		}
		forms := []string{secret, url.QueryEscape(secret), url.PathEscape(secret), string(quoted[1 : len(quoted)-1])}
		if len(secret) >= 16 {
			forms = append(forms, secret[:len(secret)/2])
		}
		for _, form := range slices.Compact(forms) {
			if bytes.Contains(text, []byte(form)) {
				t.Errorf("%s shows the secret %q: %q", where, form, text)
				return
			}
		}
	}
}

// noise is what only a programmer wants to read of an error.
var noise = []string{"dial tcp", "net/http", "http: ", "http2: ", "Post \"", "read tcp", "x509", "context deadline", "EOF", "%!", "0x"}

// judge fails the test if a Result is not what every Result has to be.
func (c *Case) judge(t testing.TB, r notify.Result) {
	t.Helper()
	NoSecret(t, r, c.Secrets...)
	if c.Logged != nil {
		shows(t, "the log", []byte(c.Logged()), c.Secrets)
	}
	if r.OK != (r.Error == "") {
		t.Errorf("OK is %v and Error is %q", r.OK, r.Error)
	}
	if r.OK && (r.Permanent || r.Gone) {
		t.Errorf("success and the end of trying at once: %+v", r)
	}
	if len(r.Reply) > notify.MaxReply {
		t.Errorf("the reply has %d bytes, want %d at most", len(r.Reply), notify.MaxReply)
	}
	if r.RetryAfter < 0 || r.RetryAfter > 24*time.Hour {
		t.Errorf("RetryAfter is %v", r.RetryAfter)
	}
	if len(r.Error) > cmp.Or(c.mostError, 200) || !utf8.ValidString(r.Error) || strings.ContainsFunc(r.Error, unicode.IsControl) {
		t.Errorf("Error is no short line of text: %q", r.Error)
	}
	for _, n := range noise {
		if strings.Contains(r.Error, n) {
			t.Errorf("Error is written for programmers, not for people: %q", r.Error)
		}
	}
}

func (c *Case) accepts(status int) bool {
	if c.Accepts != nil {
		return c.Accepts(status)
	}
	return status >= 200 && status <= 299
}

func (c *Case) answer() string {
	if c.Answer == "" {
		return "{}"
	}
	return c.Answer
}
