package email_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waybill-dev/waybill/internal/notify"
	"github.com/waybill-dev/waybill/internal/notify/email"
	"github.com/waybill-dev/waybill/internal/notify/notifytest"
)

// everyStep are the steps of a dialogue with a login, in the clear.
var everyStep = []string{"greeting", "EHLO", "AUTH", "MAIL", "RCPT", "DATA", "end"}

// faulty starts a server with acts and returns a channel that uses it.
func faulty(t *testing.T, acts map[string]string, change func(*email.Options)) (*notifytest.MailServer, *email.Channel) {
	t.Helper()
	f := &notifytest.MailServer{Acts: acts}
	return f, newChannel(t, "smtp://me:"+escaped+"@"+f.Start(t).Addr+"?tls=none", change)
}

func TestSender_PassesTheKit(t *testing.T) {
	t.Parallel()
	to := "a@x.org"
	notifytest.SMTP(t, notifytest.Case{
		Sender: func(t testing.TB, r notifytest.Receiver) notify.Sender {
			t.Helper()
			scheme, _, _ := strings.Cut(r.URL, ":")
			address := scheme + "://me:" + escaped + "@" + r.Addr
			if scheme == "smtp" {
				address += "?tls=none"
			}
			c := newChannel(t, address, func(o *email.Options) {
				o.TLSConfig = &tls.Config{RootCAs: r.Roots, MinVersion: tls.VersionTLS12}
			})
			s, err := c.Sender(key, []byte(`{"to":["`+to+`"]}`))
			if err != nil {
				t.Fatal(err)
			}
			return s
		},
		Secrets: secrets(t, []string{to}),
	})
}

func TestSender_EveryStatusAtEveryStep(t *testing.T) {
	t.Parallel()
	codes := []int{421, 450, 451, 452, 500, 501, 502, 503, 504, 530, 535, 550, 551, 552, 553, 554}
	for _, step := range everyStep {
		for _, code := range codes {
			t.Run(fmt.Sprintf("%s/%d", step, code), func(t *testing.T) {
				t.Parallel()
				acts := map[string]string{step: fmt.Sprintf("%d 5.7.1 no, %s is wrong", code, password)}
				if step == "EHLO" {
					acts["HELO"] = acts["EHLO"]
				}
				_, c := faulty(t, acts, nil)
				r := send(t, c, message(), "a@x.org")
				aboutThem := slices.Contains([]string{"RCPT", "DATA", "end"}, step)
				want := aboutThem && code >= 500 && code != 530 && code != 535
				if r.OK || r.Permanent != want || r.Gone || r.Status != code {
					t.Errorf("%+v, want permanent %t", r, want)
				}
				if !strings.Contains(r.Error, fmt.Sprint(code)) || !strings.HasPrefix(string(r.Reply), fmt.Sprint(code, " 5.7.1 no")) {
					t.Errorf("error %q, reply %q", r.Error, r.Reply)
				}
				if want && (!strings.Contains(r.Error, "a@x.org") || !strings.Contains(r.Progress, `"bounced"`)) {
					t.Errorf("error %q, progress %q", r.Error, r.Progress)
				}
			})
		}
	}
}

func TestSender_TLSFailures(t *testing.T) {
	t.Parallel()
	server, client := certificate(t)
	trusting := func(o *email.Options) { o.TLSConfig = client; o.Timeout = 5 * time.Second }
	tests := map[string]struct {
		url    string
		acts   map[string]string
		change func(*email.Options)
		want   string
	}{
		"none is offered":        {"smtp://me:" + escaped + "@HOST", nil, trusting, "STARTTLS: the server does not offer it"},
		"an unknown certificate": {"smtp://HOST", map[string]string{"EHLO": "250-fake\r\n250 STARTTLS"}, nil, "certificate"},
		"it is refused":          {"smtp://HOST", map[string]string{"EHLO": "250-fake\r\n250 STARTTLS", "STARTTLS": "454 not now"}, trusting, "454 not now"},
		"reset in between":       {"smtp://HOST", map[string]string{"EHLO": "250-fake\r\n250 STARTTLS", "STARTTLS": "reset"}, trusting, "STARTTLS"},
		"smtps to plain SMTP":    {"smtps://HOST", nil, trusting, "TLS"},
		"no password in clear":   {"smtp://me:" + escaped + "@HOST?tls=opportunistic", map[string]string{"EHLO": "250 fake"}, trusting, "AUTH: the server offers no mechanism"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &notifytest.MailServer{Acts: test.acts, TLS: server}
			r := send(t, newChannel(t, strings.Replace(test.url, "HOST", f.Start(t).Addr, 1), test.change), message(), "a@x.org")
			if r.OK || r.Permanent || !strings.Contains(r.Error, test.want) {
				t.Errorf("%+v, want %q", r, test.want)
			}
		})
	}
}

func TestSender_NoSecretIsEchoed(t *testing.T) {
	t.Parallel()
	token := secrets(t, []string{"a@x.org"})[4]
	echo := "554-5.7.1 " + password + " AHVtZQ " + token + "\r\n554 " + strings.Repeat("y", 3*notify.MaxReply)
	_, c := faulty(t, map[string]string{"end": echo}, nil)
	if r := send(t, c, message(), "a@x.org"); r.OK || !r.Permanent || len(r.Reply) < notify.MaxReply-8 {
		t.Errorf("%+v", r)
	}
}

func TestSender_ARetryIsForThoseWithoutMail(t *testing.T) {
	t.Parallel()
	f, c := faulty(t, map[string]string{"RCPT b@x.org": "451 grey", "RCPT c@x.org": "550 5.1.1 nobody"}, nil)
	to := []string{"a@x.org", "b@x.org", "c@x.org", "d@x.org"}
	m := message()
	r := send(t, c, m, to...)
	if r.OK || r.Permanent || !strings.Contains(r.Error, "b@x.org: RCPT TO: 451 grey") || !strings.Contains(r.Error, "c@x.org refused for good: 550 5.1.1 nobody") {
		t.Fatalf("%+v", r)
	}
	if f.Count("greeting") != 1 || f.Count("RCPT") != 4 {
		t.Errorf("dialogue %q", f.Steps())
	}
	f.Change("RCPT b@x.org", "250 ok")
	m.Progress, m.Attempt = r.Progress, 2
	r = send(t, c, m, to...)
	if r.OK || !r.Permanent || r.Error != "c@x.org refused for good: 550 5.1.1 nobody" {
		t.Fatalf("%+v", r)
	}
	if f.Count("RCPT") != 5 || len(f.Mails("a@x.org")) != 1 || len(f.Mails("b@x.org")) != 1 || len(f.Mails("d@x.org")) != 1 {
		t.Errorf("dialogue %q", f.Steps())
	}
}

func TestSender_AConnectionLostMidwayLeavesTheRest(t *testing.T) {
	t.Parallel()
	f, c := faulty(t, map[string]string{"RCPT b@x.org": "421 closing"}, nil)
	r := send(t, c, message(), "a@x.org", "b@x.org", "c@x.org")
	if r.OK || r.Permanent || r.Progress != `{"done":["a@x.org"]}` || f.Count("RCPT c@x.org") != 0 ||
		r.Error != "b@x.org: RCPT TO: 421 closing; others were not tried: RCPT TO: 421 closing" {
		t.Errorf("%+v", r)
	}
}

func TestSender_EndsWithItsContext(t *testing.T) {
	t.Parallel()
	f, c := faulty(t, map[string]string{"RCPT b@x.org": "hang"}, func(o *email.Options) { o.Timeout = time.Minute })
	s, err := c.Sender(key, []byte(`{"to":["a@x.org","b@x.org"]}`))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan notify.Result)
	go func() { ended <- s.Send(ctx, message()) }()
	for deadline := time.After(10 * time.Second); f.Count("RCPT b@x.org") == 0; {
		select {
		case <-deadline:
			t.Fatal("the second recipient is not reached")
		case <-time.After(time.Millisecond):
		}
	}
	cancel()
	select {
	case r := <-ended:
		if r.OK || r.Permanent || r.Progress != `{"done":["a@x.org"]}` {
			t.Errorf("%+v", r)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("Send outlives its context")
	}
}

func TestSender_AddressesBeyondASCII(t *testing.T) {
	t.Parallel()
	f, c := faulty(t, map[string]string{"EHLO": "250-fake\r\n250-SMTPUTF8\r\n250 AUTH PLAIN"}, nil)
	if r := send(t, c, message(), "a@x.org", "jörg@x.org"); !r.OK || f.Count("MAIL FROM:<waybill@example.org>") != 2 || f.Count("MAIL FROM:<waybill@example.org> SMTPUTF8") != 1 {
		t.Errorf("%+v, %q", r, f.Steps())
	}
	f, c = faulty(t, map[string]string{}, nil)
	r := send(t, c, message(), "jörg@x.org", "a@x.org")
	if r.OK || !r.Permanent || !strings.Contains(r.Error, "jörg@x.org refused for good: 553") || len(f.Mails("a@x.org")) != 1 {
		t.Errorf("%+v, %q", r, f.Steps())
	}
}
