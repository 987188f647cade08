// Package chat is the notifying channel that writes to Slack, Discord, Telegram
// and Microsoft Teams: one short text an event. Where it goes is a URL in
// shoutrrr's form (docs/adr/0011-chat-urls.md), which is a secret as a whole. Only
// the services' own hosts are ever asked; what is retried, recorded and limited is
// notify's.
package chat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/notify"
	"github.com/waybill-dev/waybill/internal/notify/outbound"
	"github.com/waybill-dev/waybill/internal/subscription"
)

// Options are how the services are reached. Either Dial or Transport is needed.
type Options struct {
	// Dial connects to a service. It must refuse addresses that are not public,
	// after the look-up of the name: names under a service's domain are the service's
	// to give out, not ours to trust.
	Dial      func(ctx context.Context, network, address string) (net.Conn, error)
	Transport http.RoundTripper // for tests; nil: one that uses Dial
	Timeout   time.Duration     // of an attempt; 0: notify.Timeout
}

// Channel writes to chats. It is a notify.Channel, for any number of goroutines.
type Channel struct {
	transport http.RoundTripper
	timeout   time.Duration
}

var _ notify.Channel = (*Channel)(nil)

// New returns the channel.
func New(o Options) (*Channel, error) {
	if o.Transport == nil {
		if o.Dial == nil {
			return nil, errors.New("chat: needs a Dial that refuses addresses that are not public")
		}
		o.Transport = outbound.NewTransport(o.Dial, notify.Timeout)
	}
	if o.Timeout == 0 {
		o.Timeout = notify.Timeout
	}
	return &Channel{transport: o.Transport, timeout: o.Timeout}, nil
}

// settings are what is kept of a channel object.
type settings struct {
	URL string `json:"url"`
}

func parseSettings(kept []byte) (settings, error) {
	var s settings
	if err := json.Unmarshal(kept, &s); err != nil {
		return s, errors.New("the settings of a chat channel cannot be read") // the cause may quote them
	}
	return s, nil
}

// masked ends a URL as it is shown.
const masked = "***"

// mask shows of a URL only which service it is for.
func mask(raw string) string {
	scheme, _, _ := strings.Cut(raw, ":")
	return scheme + "://" + masked
}

// Check is notify.Channel's: {"type":"chat","url":"slack://…"}. A URL as Show
// shows it keeps the standing one.
func (c *Channel) Check(_ context.Context, object json.RawMessage, standing []byte) ([]byte, error) {
	raw, items := checkObject(object)
	if len(items) == 0 {
		var err error
		if raw, err = unmask(raw, standing); err == nil {
			_, err = parse(raw)
		}
		if err == nil {
			return json.Marshal(settings{URL: raw})
		}
		items = []fault.Item{{Location: "body.channel.url", Message: err.Error()}}
	}
	if len(items) == 1 {
		return nil, fault.At(fault.InvalidRecord, items[0].Location, "%s", items[0].Message)
	}
	err := fault.New(fault.InvalidRecord, "the channel has %d mistakes", len(items))
	err.Items = items
	return nil, err
}

// checkObject returns a channel object's URL, or all that is wrong with the rest.
func checkObject(object json.RawMessage) (raw string, items []fault.Item) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(object, &members); err != nil || members == nil {
		return "", []fault.Item{{Location: "body.channel", Message: "must be an object"}}
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		switch name {
		case "type":
			var kind subscription.Channel
			if json.Unmarshal(members[name], &kind) != nil || kind != subscription.Chat {
				items = append(items, fault.Item{Location: "body.channel.type", Message: `must be "chat"`})
			}
		case "url":
		default:
			items = append(items, fault.Item{Location: "body.channel." + name, Message: "is unknown: a chat channel has type and url"})
		}
	}
	if json.Unmarshal(members["url"], &raw) != nil || raw == "" {
		items = append(items, fault.Item{Location: "body.channel.url", Message: "must be a URL such as slack://…"})
	}
	return raw, items
}

func unmask(raw string, standing []byte) (string, error) {
	if !strings.HasSuffix(raw, masked) {
		return raw, nil
	}
	if standing == nil {
		return "", errors.New("is masked: give the whole URL")
	}
	s, err := parseSettings(standing)
	if err != nil || raw != mask(s.URL) {
		return "", errors.New("is masked, and is not the one that stands: give the whole URL")
	}
	return s.URL, nil
}

// Show is notify.Channel's: {"type":"chat","url":"slack://***"}.
func (c *Channel) Show(kept []byte) (json.RawMessage, error) {
	s, err := parseSettings(kept)
	if err != nil {
		return nil, err
	}
	return json.Marshal(struct {
		Type subscription.Channel `json:"type"`
		URL  string               `json:"url"`
	}{subscription.Chat, mask(s.URL)})
}

// Sender is notify.Channel's.
func (c *Channel) Sender(_ subscription.Key, kept []byte) (notify.Sender, error) {
	s, err := parseSettings(kept)
	if err != nil {
		return nil, err
	}
	t, err := parse(s.URL)
	if err != nil {
		return nil, fmt.Errorf("the kept URL of a chat channel %w", err)
	}
	return &sender{channel: c, target: t, redact: outbound.NewRedactor(t.secrets...)}, nil
}
