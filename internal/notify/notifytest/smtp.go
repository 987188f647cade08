package notifytest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waybill-dev/waybill/internal/notify"
)

// everyStep are the steps of a dialogue with a login, before the mail is taken.
var everyStep = []string{"greeting", "EHLO", "AUTH", "MAIL", "RCPT", "DATA", "end"}

// SMTP tries a channel that sends mail, in parallel subtests. Senders get Receivers
// whose URL is smtp:// or smtps://, and are to log in. How a channel uses STARTTLS is
// its own, and tried with a MailServer.
func SMTP(t *testing.T, c Case) {
	t.Helper()
	c.mostError = 8 << 10 // each recipient is named, with the server's words
	t.Run("every status at every step", c.mailStatuses)
	t.Run("no secret is repeated", c.mailEcho)
	t.Run("broken servers", c.mailBroken)
	t.Run("TLS", c.mailTLS)
}

// at returns a server that says reply at a step.
func at(t testing.TB, step, reply string) Receiver {
	t.Helper()
	acts := map[string]string{step: reply}
	switch step {
	case "EHLO":
		acts["HELO"] = reply // or that is tried next
	case "RSET":
		acts["RCPT"] = "450 later"
	}
	return (&MailServer{Acts: acts}).Start(t)
}

func (c *Case) mailStatuses(t *testing.T) {
	t.Parallel()
	for _, step := range everyStep {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			for code := 200; code <= 599; code++ {
				result := c.send(t.Context(), t, at(t, step, fmt.Sprint(code, " 5.7.1 so it is")))
				if code < 400 {
					continue // what is success at which step is the protocol's to say
				}
				if result.OK || result.Status != code || result.Gone {
					t.Errorf("%d: %+v", code, result)
				}
				if !strings.Contains(result.Error, fmt.Sprint(code)) {
					t.Errorf("%d: Error does not say so: %q", code, result.Error)
				}
			}
		})
	}
}

// mailEcho tries servers that repeat what they were sent, once it was sent.
func (c *Case) mailEcho(t *testing.T) {
	t.Parallel()
	told := strings.Join(c.Secrets, " ")
	for _, step := range []string{"MAIL", "RCPT", "DATA", "end"} {
		for _, code := range []int{250, 354, 421, 451, 535, 550} {
			line := func(text string) string { return fmt.Sprintf("%d-%s\r\n", code, text) }
			end := fmt.Sprint(code, " ", told)
			c.send(t.Context(), t, at(t, step, end))
			c.send(t.Context(), t, at(t, step, line(strings.Join(c.Secrets, "\r\n"+fmt.Sprint(code)+"-"))+end))
			for _, secret := range c.Secrets {
				for _, shown := range []int{len(secret) - 1, len(secret)/2 + 1, len(secret)} {
					// A reply is kept with its code.
					c.send(t.Context(), t, at(t, step, line(strings.Repeat("-", notify.MaxReply-shown-len("250 "))+secret+"and so on")+end))
				}
			}
		}
	}
}

// mailBroken tries servers that never come to an end, or to one too early.
func (c *Case) mailBroken(t *testing.T) {
	t.Parallel()
	refused := Refused(t)
	refused.URL = strings.Replace(refused.URL, "http://", "smtp://", 1)
	c.fails(t.Context(), t, refused)
	for _, act := range []string{"hang", "reset", "drip", "huge", "nonsense", "\x00\xff", "2"} {
		for _, step := range append(slices.Clone(everyStep), "RSET", "QUIT") {
			t.Run(fmt.Sprintf("%q at %s", act, step), func(t *testing.T) {
				t.Parallel()
				ctx := t.Context()
				if step != "QUIT" && (act == "hang" || act == "drip") {
					limited, cancel := context.WithTimeout(ctx, patience)
					defer cancel()
					ctx = limited
				}
				began := time.Now()
				result := c.send(ctx, t, at(t, step, act))
				if took := time.Since(began); took > soon {
					t.Errorf("took %v", took)
				}
				if result.OK != (step == "QUIT") || result.Permanent { // by QUIT the mail is taken
					t.Errorf("%+v", result)
				}
				if act == "hang" && step != "QUIT" && step != "RSET" && !strings.Contains(result.Error, "timed out") {
					t.Errorf("Error does not say that it timed out: %q", result.Error)
				}
			})
		}
	}
}

// mailTLS tries certificates, and servers that speak no TLS.
func (c *Case) mailTLS(t *testing.T) {
	t.Parallel()
	authority := NewAuthority(t)
	serve := func(host string, end time.Time, trusted bool) Receiver {
		r := (&MailServer{}).StartTLS(t, authority.Certificate(t, host, end))
		if trusted {
			r.Roots = authority.Roots
		}
		return r
	}
	later, before := time.Now().Add(time.Hour), time.Now().Add(-time.Hour)
	if result := c.send(t.Context(), t, serve("127.0.0.1", later, true)); !result.OK {
		t.Errorf("a certificate that is good: %+v", result)
	}
	plain := (&MailServer{}).Start(t)
	plain.URL = strings.Replace(plain.URL, "smtp://", "smtps://", 1)
	closed := at(t, "greeting", "reset")
	closed.URL = strings.Replace(closed.URL, "smtp://", "smtps://", 1)
	wants := map[string]string{
		"unknown authority": "TLS: certificate ", "another's": "TLS: certificate ", "expired": "TLS: certificate ", "no TLS": "TLS: ", "reset": "connection ",
	}
	for name, r := range map[string]Receiver{
		"unknown authority": serve("127.0.0.1", later, false),
		"another's":         serve("other.example", later, true),
		"expired":           serve("127.0.0.1", before, true),
		"no TLS":            plain,
		"reset":             closed,
	} {
		if result := c.fails(t.Context(), t, r); !strings.Contains(result.Error, wants[name]) || result.Permanent {
			t.Errorf("%s: %+v, want %q", name, result, wants[name])
		}
	}
}
