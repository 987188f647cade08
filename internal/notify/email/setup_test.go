package email_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/waybill-dev/waybill/internal/notify"
	"github.com/waybill-dev/waybill/internal/notify/email"
	"github.com/waybill-dev/waybill/internal/notify/notifytest"
	"github.com/waybill-dev/waybill/internal/secret"
	"github.com/waybill-dev/waybill/internal/subscription"
)

// Secrets that no Result may show, in any form.
const (
	password = `p%ss"w0rd-of-the-relay`
	escaped  = "p%25ss%22w0rd-of-the-relay"
)

var key = subscription.Key{Tenant: "acme", ID: "019b0000-0000-7000-8000-000000000001"}

func newBox(t testing.TB) secret.Box {
	t.Helper()
	box, err := secret.NewBox(strings.Repeat("k", secret.MinBytes))
	if err != nil {
		t.Fatal(err)
	}
	return box
}

func newChannel(t testing.TB, smtpURL string, change func(*email.Options)) *email.Channel {
	t.Helper()
	o := email.Options{
		SMTPURL: smtpURL, From: "Waybill <waybill@example.org>", PublicURL: "https://waybill.example.org/", Box: newBox(t), Timeout: 5 * time.Second,
	}
	if change != nil {
		change(&o)
	}
	c, err := email.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// send makes one attempt and checks what holds for all of them.
func send(t *testing.T, c *email.Channel, m *notify.Message, to ...string) notify.Result {
	t.Helper()
	object, _ := json.Marshal(map[string]any{"type": "email", "to": to})
	settings, err := c.Check(t.Context(), object, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.Sender(key, settings)
	if err != nil {
		t.Fatal(err)
	}
	r := s.Send(t.Context(), m)
	if r.OK != (r.Error == "") {
		t.Errorf("OK is %t, and Error %q", r.OK, r.Error)
	}
	if len(r.Reply) > notify.MaxReply {
		t.Errorf("a reply of %d bytes", len(r.Reply))
	}
	notifytest.NoSecret(t, r, secrets(t, to)...)
	return r
}

func secrets(t testing.TB, to []string) []string {
	t.Helper()
	b64 := base64.StdEncoding.EncodeToString
	all := []string{password, escaped, b64([]byte(password)), b64([]byte("\x00me\x00" + password))}
	for _, address := range to {
		token, err := email.UnsubscribeToken(newBox(t), key, address)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, token)
	}
	return all
}

func message() *notify.Message {
	return &notify.Message{
		Event: subscription.Event{
			Tenant: key.Tenant, ID: "019b0000-0000-7000-8000-0000000000aa", Type: "messages.created",
			Body: []byte(`{"type":"messages.created","timestamp":"2026-11-24T10:00:00.000Z","data":{"id":"m1","text":"<b>Käse</b> & Brot"},` +
				`"operation":"019b0000-0000-7000-8000-0000000000aa","tenant":"acme"}`),
		},
		Subscription: key, Name: "all messages", Delivery: "019b0000-0000-7000-8000-0000000000dd", Attempt: 1,
	}
}

// certificate returns one for 127.0.0.1, and a client's configuration that trusts it.
func certificate(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: private}}, MinVersion: tls.VersionTLS12},
		&tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
}
