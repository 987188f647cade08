package email_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/notify/email"
	"github.com/waybill-dev/waybill/internal/secret"
	"github.com/waybill-dev/waybill/internal/subscription"
)

func TestNew_Settings(t *testing.T) {
	t.Parallel()
	for _, good := range []string{
		"", "smtp://mail.x.org", "smtp://mail.x.org:25/", "smtp://[::1]:25", "smtps://u:p@mail.x.org", "smtp://u:p@h?tls=none", "smtp://h?tls=required",
	} {
		if _, err := email.New(email.Options{SMTPURL: good, From: "a@x.org"}); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{
		"mail.x.org", "http://mail.x.org", "smtp://", "smtp://u@h", "smtp://:hunter2@h", "smtps://u:hunter2@h?tls=none", "smtp://u:hunter2@h?tls=maybe",
		"smtp://u:hunter2@h?tls=none&tls=required", "smtp://u:hunter2@h?debug=1", "smtp://u:hunter2@h/path", "smtp://u:hunter2@h#f", "smtp://u:hunter2@h:port",
		"smtp://u:hunter2%zz@h", "smtp://u:hunter2 @h", "\x00smtp://u:hunter2@h",
	} {
		_, err := email.New(email.Options{SMTPURL: bad, From: "a@x.org"})
		if err == nil || !strings.HasPrefix(err.Error(), "SMTP_URL: ") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	for _, from := range []string{"", "x", "a@x.org, b@x.org", "a@[127.0.0.1]"} {
		if _, err := email.New(email.Options{SMTPURL: "smtp://h", From: from}); err == nil || !strings.HasPrefix(err.Error(), "SMTP_FROM ") {
			t.Errorf("from %q: %v", from, err)
		}
	}
}

func TestChannel_Check(t *testing.T) {
	t.Parallel()
	c := newChannel(t, "smtp://h", nil)
	settings, err := c.Check(t.Context(), []byte(`{"type":"email","to":["a@x.org","A@x.org","o'b+tag@sub.x.org","jörg@bücher.example"]}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	shown, err := c.Show(settings)
	if want := `{"type":"email","to":["a@x.org","A@x.org","o'b+tag@sub.x.org","jörg@bücher.example"]}`; err != nil || string(shown) != want {
		t.Errorf("%s, %v", shown, err)
	}
	many := `["` + strings.Repeat(`a@x.org","`, email.MostTo) + `a@x.org"]`
	tests := map[string]string{ // object: locations
		`{"type":"email"}`:                                                 "body.channel.to",
		`{"type":"email","to":null}`:                                       "body.channel.to",
		`{"type":"email","to":[]}`:                                         "body.channel.to",
		`{"type":"email","to":"a@x.org"}`:                                  "body.channel.to",
		`{"type":"email","to":` + many + `}`:                               "body.channel.to",
		`{"type":"email","To":["a@x.org"]}`:                                "body.channel.To body.channel.to",
		`{"type":"webhook","to":["a@x.org"],"cc":1}`:                       "body.channel.cc body.channel.type",
		`{"type":"email","to":["a@x.org","b@x.org","a@X.ORG"]}`:            "body.channel.to[2]",
		`{"type":"email","to":["a@x.org",7,null,{}]}`:                      "body.channel.to[1] body.channel.to[2] body.channel.to[3]",
		`{"type":"email","to":["` + strings.Repeat("a", 250) + `@x.org"]}`: "body.channel.to[0]",
		`[]`:   "body.channel",
		`null`: "body.channel",
	}
	for _, bad := range []string{
		"", "x", "@x.org", "a@", "A <a@x.org>", "<a@x.org>", "a@x.org (me)", ` a@x.org`, `a@x.org\r\nBcc: b@x.org`, `a\n@x.org`, "a@x.org,b@x.org", `\"a b\"@x.org`,
		`\"a\"@x.org`, "a@[127.0.0.1]", "a@[IPv6:::1]", "a@x..org", "a@-x.org", "a@x.org-", "a@x.org.", `a@x.org\u0000`, `a\u2028b@x.org`, "a@b@c", "a@x/y", "undisclosed:;",
	} {
		tests[`{"type":"email","to":["ok@x.org","`+bad+`"]}`] = "body.channel.to[1]"
	}
	for object, want := range tests {
		_, err := c.Check(t.Context(), []byte(object), nil)
		if got := locations(err); got != want {
			t.Errorf("%s: at %q, want %q (%v)", object, got, want, err)
		}
	}
}

func locations(err error) string {
	e, ok := errors.AsType[*fault.Error](err)
	if !ok || e.Kind != fault.InvalidRecord {
		return fmt.Sprint(err)
	}
	var all []string
	for _, item := range e.Items {
		all = append(all, item.Location)
	}
	return strings.Join(all, " ")
}

func TestChannel_NotConfigured(t *testing.T) {
	t.Parallel()
	c := newChannel(t, "", nil)
	_, err := c.Check(t.Context(), []byte(`{"type":"email","to":["a@x.org"]}`), nil)
	if locations(err) != "body.channel.type" || !strings.Contains(err.Error(), "e-mail is not configured: SMTP_URL is not set") {
		t.Error(err)
	}
	s, err := c.Sender(key, []byte(`{"to":["a@x.org"]}`))
	if err != nil {
		t.Fatal(err)
	}
	m := message()
	m.Progress = `{"done":["b@x.org"]}`
	if r := s.Send(t.Context(), m); r.OK || r.Permanent || !strings.Contains(r.Error, "not configured") || r.Progress != m.Progress {
		t.Errorf("%+v", r)
	}
}

func TestChannel_Without(t *testing.T) {
	t.Parallel()
	c := newChannel(t, "smtp://h", nil)
	rest, left, err := c.Without([]byte(`{"to":["a@x.org","b@x.org"]}`), "a@X.org")
	if err != nil || left != 1 || string(rest) != `{"to":["b@x.org"]}` {
		t.Errorf("%s, %d, %v", rest, left, err)
	}
	rest, left, err = c.Without(rest, "c@x.org")
	if err != nil || left != 1 {
		t.Errorf("%s, %d, %v", rest, left, err)
	}
	rest, left, err = c.Without(rest, "b@x.org")
	if err != nil || left != 0 || string(rest) != `{"to":[]}` {
		t.Errorf("%s, %d, %v", rest, left, err)
	}
	if _, _, err := c.Without([]byte("x"), "b@x.org"); err == nil {
		t.Error("settings that cannot be read were changed")
	}
}

func TestVerifyUnsubscribe(t *testing.T) {
	t.Parallel()
	box := newBox(t)
	token, err := email.UnsubscribeToken(box, key, "a@x.org")
	if err != nil || !email.VerifyUnsubscribe(box, key, "a@x.org", token) {
		t.Fatalf("%q, %v", token, err)
	}
	other := subscription.Key{Tenant: key.Tenant, ID: "another"}
	for name, ok := range map[string]bool{
		"another address":      email.VerifyUnsubscribe(box, key, "b@x.org", token),
		"another subscription": email.VerifyUnsubscribe(box, other, "a@x.org", token),
		"another tenant":       email.VerifyUnsubscribe(box, subscription.Key{Tenant: "x", ID: key.ID}, "a@x.org", token),
		"no token":             email.VerifyUnsubscribe(box, key, "a@x.org", ""),
		"a cut token":          email.VerifyUnsubscribe(box, key, "a@x.org", token[:20]),
		"padding":              email.VerifyUnsubscribe(box, key, "a@x.org", token+"="),
		"no secret":            email.VerifyUnsubscribe(secret.Box{}, key, "a@x.org", token),
	} {
		if ok {
			t.Errorf("%s: verified", name)
		}
	}
}
