// Package webhook is the channel that posts events to a URL, signed after
// Standard Webhooks. It keeps clear of every address that is not public, whatever
// a name resolves to at the time. One attempt is all it knows: when to try again
// is notify's. It keeps nothing and logs nothing.
package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/waybill-dev/waybill/internal/notify"
	"github.com/waybill-dev/waybill/internal/notify/outbound"
	"github.com/waybill-dev/waybill/internal/subscription"
)

// kind is the type of the channel object.
const kind = string(subscription.Webhook)

// Options are what a Channel is made with. The zero value reaches public
// addresses only, directly.
type Options struct {
	Allow     []netip.Prefix   // addresses that may be reached though they are not public
	HTTPSOnly bool             // refuse http:// URLs
	Proxy     *url.URL         // all requests go through it; nil: none, whatever the environment says
	Resolver  *net.Resolver    // nil: net.DefaultResolver
	Version   string           // of Waybill, for User-Agent
	Timeout   time.Duration    // of one attempt; 0: notify.Timeout
	Now       func() time.Time // nil: time.Now
}

// Channel posts events to URLs. All its Senders share one pool of connections.
type Channel struct {
	options   Options
	guard     outbound.Guard
	transport *http.Transport
	agent     []string // the value of User-Agent
}

var (
	_ notify.Channel = (*Channel)(nil)
	_ notify.Rotator = (*Channel)(nil)
)

// New returns a Channel. It connects to nothing by itself.
func New(o Options) *Channel {
	if o.Resolver == nil {
		o.Resolver = net.DefaultResolver
	}
	if o.Version == "" {
		o.Version = "dev"
	}
	if o.Timeout <= 0 {
		o.Timeout = notify.Timeout
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	g := outbound.NewGuard(o.Allow)
	return &Channel{
		options: o, guard: g, transport: newTransport(&o, g),
		agent: []string{"Waybill/" + o.Version + " (+standardwebhooks)"},
	}
}

// Close closes idle connections.
func (c *Channel) Close() { c.transport.CloseIdleConnections() }

// Show returns the channel object without secrets: every header's value is "***".
func (c *Channel) Show(settings []byte) (json.RawMessage, error) {
	s, err := parseSettings(settings)
	if err != nil {
		return nil, err
	}
	shown := struct {
		Type    string            `json:"type"`
		URL     string            `json:"url"`
		Headers map[string]string `json:"headers,omitempty"`
	}{kind, s.URL, make(map[string]string, len(s.Headers))}
	for name := range s.Headers {
		shown.Headers[name] = mask
	}
	return encode(shown)
}

// Secret returns the secret that signs now, as whsec_ and base64.
func (c *Channel) Secret(settings []byte) (string, error) {
	s, err := parseSettings(settings)
	if err != nil {
		return "", err
	}
	return s.Secrets[0].Secret, nil
}

// Rotate returns settings whose messages are signed with a new secret first, and
// with the old one too for 24 h from now.
func (c *Channel) Rotate(settings []byte, now time.Time) ([]byte, error) {
	s, err := parseSettings(settings)
	if err != nil {
		return nil, err
	}
	s.rotate(now)
	return encode(s)
}

// Sender returns a Sender for settings that Check or Rotate returned.
func (c *Channel) Sender(_ subscription.Key, settings []byte) (notify.Sender, error) {
	s, err := parseSettings(settings)
	if err != nil {
		return nil, err
	}
	return newSender(c, s)
}

// Check reads a channel object {"type":"webhook","url":…,"headers":{…}} and
// returns its settings. The host's name is looked up, for 3 s at most.
func (c *Channel) Check(ctx context.Context, object json.RawMessage, standing []byte) ([]byte, error) {
	var old *settings
	if standing != nil {
		var err error
		if old, err = parseSettings(standing); err != nil {
			return nil, err
		}
	}
	s, err := c.check(ctx, object, old)
	if err != nil {
		return nil, err
	}
	if old != nil {
		s.Secrets = old.Secrets
	} else {
		s.rotate(c.options.Now())
	}
	b, err := encode(s)
	if err != nil {
		return nil, fmt.Errorf("keep the settings of a webhook: %w", err)
	}
	return b, nil
}
