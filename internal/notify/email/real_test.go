package email_test

import (
	"crypto/tls"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/waybill-dev/waybill/internal/notify"
	"github.com/waybill-dev/waybill/internal/notify/email"
	"github.com/waybill-dev/waybill/internal/subscription"
)

// mailbox is a real SMTP server that keeps what it gets.
type mailbox struct {
	mu    sync.Mutex
	got   []received
	auths int
}

type received struct{ from, to, raw string }

type dialogue struct {
	*mailbox
	from, to string
}

func (b *mailbox) NewSession(*smtp.Conn) (smtp.Session, error)  { return &dialogue{mailbox: b}, nil }
func (d *dialogue) Reset()                                      {}
func (d *dialogue) Logout() error                               { return nil }
func (d *dialogue) Mail(from string, _ *smtp.MailOptions) error { d.from = from; return nil }
func (d *dialogue) Rcpt(to string, _ *smtp.RcptOptions) error   { d.to = to; return nil }
func (d *dialogue) AuthMechanisms() []string                    { return []string{sasl.Plain} }
func (d *dialogue) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, pass string) error {
		if user != "me" || pass != password {
			return smtp.ErrAuthFailed
		}
		d.mu.Lock()
		d.auths++
		d.mu.Unlock()
		return nil
	}), nil
}

func (d *dialogue) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.got = append(d.got, received{d.from, d.to, string(raw)})
	return err
}

// start serves until the test ends. implicit: TLS from the first byte.
func (b *mailbox) start(t *testing.T, config *tls.Config, implicit bool) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := smtp.NewServer(b)
	s.Domain, s.TLSConfig, s.EnableSMTPUTF8 = "localhost", config, true
	served := l
	if implicit {
		served = tls.NewListener(l, config)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(served) }()
	t.Cleanup(func() { _ = s.Close(); <-done })
	return l.Addr().String()
}

func TestSender_RealServers(t *testing.T) {
	t.Parallel()
	server, client := certificate(t)
	trusting := func(o *email.Options) { o.TLSConfig = client }
	tests := map[string]struct {
		config   *tls.Config
		implicit bool
		scheme   string
		auths    int
	}{
		"plain":                  {nil, false, "smtp://", 0},
		"opportunistic STARTTLS": {server, false, "smtp://", 0},
		"STARTTLS and a login":   {server, false, "smtp://me:" + escaped + "@", 1},
		"implicit TLS":           {server, true, "smtps://me:" + escaped + "@", 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := &mailbox{}
			c := newChannel(t, test.scheme+b.start(t, test.config, test.implicit), trusting)
			r := send(t, c, message(), "a@x.org", "jörg@bücher.example")
			if !r.OK || r.Status != 250 || !strings.HasPrefix(string(r.Reply), "250 ") {
				t.Fatalf("%+v", r)
			}
			if len(b.got) != 2 || b.got[0].from != "waybill@example.org" || b.got[0].to != "a@x.org" || b.got[1].to != "jörg@bücher.example" || b.auths != test.auths {
				t.Errorf("%d logins, %+v", b.auths, b.got)
			}
		})
	}
}

func TestSender_AWrongPasswordIsTheOperatorsToMend(t *testing.T) {
	t.Parallel()
	server, client := certificate(t)
	c := newChannel(t, "smtp://me:wrong-password@"+(&mailbox{}).start(t, server, false), func(o *email.Options) { o.TLSConfig = client })
	r := send(t, c, message(), "a@x.org")
	if r.OK || r.Permanent || r.Status/100 != 5 || !strings.Contains(r.Error, "AUTH") || strings.Contains(r.Error, "wrong-password") {
		t.Errorf("%+v", r)
	}
}

// deliver sends m to a@x.org and returns the mail as parsed.
func deliver(t *testing.T, m *notify.Message, change func(*email.Options)) (*mail.Message, map[string]string) {
	t.Helper()
	b := &mailbox{}
	if r := send(t, newChannel(t, "smtp://"+b.start(t, nil, false), change), m, "a@x.org"); !r.OK {
		t.Fatalf("%+v", r)
	}
	parsed, err := mail.ReadMessage(strings.NewReader(b.got[0].raw))
	if err != nil {
		t.Fatal(err)
	}
	kind, parameters, err := mime.ParseMediaType(parsed.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatalf("Content-Type %q: %v", kind, err)
	}
	parts := map[string]string{}
	for r := multipart.NewReader(parsed.Body, parameters["boundary"]); ; {
		part, err := r.NextRawPart()
		if errors.Is(err, io.EOF) {
			return parsed, parts
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(quotedprintable.NewReader(part))
		if err != nil {
			t.Fatal(err)
		}
		kind, _, _ := mime.ParseMediaType(part.Header.Get("Content-Type"))
		parts[kind] = strings.ReplaceAll(string(text), "\r\n", "\n")
	}
}

func TestSender_TheMailParses(t *testing.T) {
	t.Parallel()
	m, parts := deliver(t, message(), nil)
	for header, want := range map[string]string{
		"From": `"Waybill" <waybill@example.org>`, "To": "<a@x.org>", "Subject": "[all messages] messages.created",
		"Auto-Submitted": "auto-generated", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
	} {
		if got := m.Header.Get(header); got != want {
			t.Errorf("%s: %q, want %q", header, got, want)
		}
	}
	if date, err := m.Header.Date(); err != nil || time.Since(date).Abs() > time.Minute {
		t.Errorf("Date %v, %v", date, err)
	}
	link, err := url.Parse(strings.Trim(m.Header.Get("List-Unsubscribe"), "<>"))
	if err != nil || link.Host != "waybill.example.org" || link.Path != "/api/subscriptions/"+key.ID+"/unsubscribe" {
		t.Fatalf("link %v, %v", link, err)
	}
	q := link.Query()
	if q.Get("to") != "a@x.org" || q.Get("tenant") != "acme" || !email.VerifyUnsubscribe(newBox(t), key, "a@x.org", q.Get("token")) {
		t.Errorf("link %v", link)
	}
	if want := `  "text": "<b>Käse</b> & Brot"`; !strings.Contains(parts["text/plain"], want) {
		t.Errorf("text lacks %s:\n%s", want, parts["text/plain"])
	}
	if want := `&lt;b&gt;Käse&lt;/b&gt; &amp; Brot`; !strings.Contains(parts["text/html"], want) || strings.Contains(parts["text/html"], "<b>Käse") {
		t.Errorf("HTML lacks %s:\n%s", want, parts["text/html"])
	}
	for kind, text := range parts {
		for _, want := range []string{"messages.created", "019b0000-0000-7000-8000-0000000000aa", "019b0000-0000-7000-8000-0000000000dd", "2026-11-24T10:00:00"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s lacks %q:\n%s", kind, want, text)
			}
		}
	}
}

func TestSender_TheMessageIDIsTheSameAtEveryAttempt(t *testing.T) {
	t.Parallel()
	first, _ := deliver(t, message(), nil)
	again := message()
	again.Attempt = 2
	second, _ := deliver(t, again, nil)
	again.Delivery = "another"
	third, _ := deliver(t, again, nil)
	id := func(m *mail.Message) string { return m.Header.Get("Message-Id") }
	if id(first) == "" || id(first) != id(second) || id(first) == id(third) || !strings.HasSuffix(id(first), "@example.org>") {
		t.Errorf("%q, %q, %q", id(first), id(second), id(third))
	}
}

func TestSender_NoHeaderIsInjected(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"x\r\nBcc: evil@x.org", "x\nBcc: evil@x.org\n\nbody", "x\r\rBcc: evil@x.org", "x\u2028Bcc: evil@x.org", "ü\r\nBcc: evil@x.org",
		"=?utf-8?q?x=0D=0ABcc:_evil@x.org?=", strings.Repeat("long ü ", 300) + "\r\nBcc: evil@x.org", "\x00\x1b]0;t\x07",
	} {
		m := message()
		m.Name, m.Event.Type = name, "messages.created\r\nX-Evil: 1"
		parsed, parts := deliver(t, m, nil)
		if parsed.Header.Get("Bcc") != "" || parsed.Header.Get("X-Evil") != "" || len(parts) != 2 {
			t.Errorf("%q: %v", name, parsed.Header)
		}
		decoded, err := new(mime.WordDecoder).DecodeHeader(parsed.Header.Get("Subject"))
		if err != nil || strings.ContainsAny(decoded, "\r\n\x00\x1b") && !strings.HasPrefix(name, "=?") {
			t.Errorf("subject %q, %v", decoded, err)
		}
	}
}

func TestSender_NoLinkWithoutAPublicURL(t *testing.T) {
	t.Parallel()
	m, _ := deliver(t, message(), func(o *email.Options) { o.PublicURL = "" })
	if m.Header.Get("List-Unsubscribe")+m.Header.Get("List-Unsubscribe-Post") != "" {
		t.Errorf("%v", m.Header)
	}
	m, _ = deliver(t, message(), func(o *email.Options) { o.PublicURL = "http://localhost:8080" })
	if m.Header.Get("List-Unsubscribe") == "" || m.Header.Get("List-Unsubscribe-Post") != "" {
		t.Errorf("one click needs HTTPS: %v", m.Header)
	}
}

func TestSender_LongRecordsAreCutAndFailuresExplained(t *testing.T) {
	t.Parallel()
	m := message()
	m.Event = subscription.Event{Type: "messages.failed", Body: []byte(`{"type":"messages.failed","timestamp":"2026-11-24T10:00:00.000Z","data":{"text":"` +
		strings.Repeat("ä", 100<<10) + `"},"operation":null,"tenant":"acme","action":"create","error":{"code":"conflict","detail":"the <ID> is taken"}}`)}
	_, parts := deliver(t, m, nil)
	for kind, text := range parts {
		if len(text) > 80<<10 || !strings.Contains(strings.ToLower(text), "cut here") || !strings.Contains(text, "conflict") || strings.Contains(text, "\uFFFD") {
			t.Errorf("%s: %d bytes, %.300s", kind, len(text), text)
		}
	}
}
