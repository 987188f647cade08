package webhook_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"testing"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/waybill-dev/waybill/internal/notify"
	"github.com/waybill-dev/waybill/internal/notify/webhook"
	"github.com/waybill-dev/waybill/internal/subscription"
)

const whsec = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// channel returns a Channel that ends with the test.
func channel(t testing.TB, o webhook.Options) *webhook.Channel {
	t.Helper()
	c := webhook.New(o)
	t.Cleanup(c.Close)
	return c
}

// local returns a Channel that may reach the loopback.
func local(t testing.TB) *webhook.Channel {
	t.Helper()
	return channel(t, webhook.Options{Allow: loopback})
}

type settings struct {
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers,omitempty"`
	Secrets []map[string]any  `json:"secrets"`
}

// sender returns a Sender with whsec as its secret.
func sender(t testing.TB, c *webhook.Channel, url string, headers map[string]string) notify.Sender {
	t.Helper()
	b, err := json.Marshal(settings{url, headers, []map[string]any{{"secret": whsec}}})
	if err != nil {
		t.Fatal(err)
	}
	return senderOf(t, c, b)
}

func senderOf(t testing.TB, c *webhook.Channel, settings []byte) notify.Sender {
	t.Helper()
	s, err := c.Sender(subscription.Key{Tenant: "default", ID: "s"}, settings)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// verified answers 204 to requests that are signed with one of secrets, and 400
// with the reason to others.
func verified(t testing.TB, secrets ...string) http.HandlerFunc {
	t.Helper()
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		for _, s := range secrets {
			if verifier, e := standardwebhooks.NewWebhook(s); e != nil {
				err = e
			} else if err = verifier.Verify(body, r.Header); err == nil {
				w.WriteHeader(http.StatusNoContent)
				return
			}
		}
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, err.Error())
	}
}

// names is a resolver of its own: what each name resolves to, look-up for look-up;
// the last answer stays. Names that it does not have do not exist.
type names struct {
	mu      sync.Mutex
	answers map[string][][]string
	asked   int
}

// resolver returns a net.Resolver that asks n, through DNS over a pipe.
func (n *names) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go n.serve(theirs)
		return ours, nil
	}}
}

func (n *names) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	for {
		var size [2]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return
		}
		query := make([]byte, binary.BigEndian.Uint16(size[:]))
		var m dnsmessage.Message
		if _, err := io.ReadFull(conn, query); err != nil || m.Unpack(query) != nil {
			return
		}
		answer := n.answer(m)
		if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)); err != nil {
			return
		}
	}
}

// answer answers a question. A look-up asks for A and for AAAA; the one for A
// counts.
func (n *names) answer(m dnsmessage.Message) []byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	q := m.Questions[0]
	m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
	name := q.Name.String()
	found := n.answers[name[:len(name)-1]]
	if len(found) == 0 {
		m.RCode = dnsmessage.RCodeNameError
		b, _ := m.Pack()
		return b
	}
	for _, text := range found[0] {
		a := netip.MustParseAddr(text)
		h := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}
		if a.Is4() && q.Type == dnsmessage.TypeA {
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AResource{A: a.As4()}})
		} else if a.Is6() && q.Type == dnsmessage.TypeAAAA {
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}})
		}
	}
	if q.Type == dnsmessage.TypeA {
		n.asked++
		if len(found) > 1 {
			n.answers[name[:len(name)-1]] = found[1:]
		}
	}
	b, _ := m.Pack()
	return b
}
