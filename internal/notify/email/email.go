// Package email is the notifying channel that sends mail: one message for each
// recipient, over one connection to the operator's mail server in an attempt. What
// is retried, recorded and limited is notify's; the HTTP route behind the
// unsubscribe links is httpapi's. Nothing here reads the environment.
package email

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/mail"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/notify"
	"github.com/waybill-dev/waybill/internal/secret"
	"github.com/waybill-dev/waybill/internal/subscription"
)

// Options are what the operator configures.
type Options struct {
	SMTPURL   string        // smtp://user:password@host:587?tls=… or smtps://host:465; "": not configured
	From      string        // "a@x.org" or "Name <a@x.org>"; required with SMTPURL
	PublicURL string        // what the unsubscribe links begin with; "": there are none
	Box       secret.Box    // signs the unsubscribe links; without a secret there are none
	Timeout   time.Duration // of an attempt; 0: notify.Timeout
	TLSConfig *tls.Config   // nil: the system's roots, TLS 1.2 and up
}

// Channel sends mail. It is a notify.Channel, for any number of goroutines.
type Channel struct {
	server  *server // nil: not configured
	from    *mail.Address
	public  *url.URL // nil: no unsubscribe links
	box     secret.Box
	timeout time.Duration
}

var _ notify.Channel = (*Channel)(nil)

const notConfigured = "e-mail is not configured: SMTP_URL is not set"

// New returns the channel. Its errors say what is wrong with which setting, never
// the URL's password.
func New(o Options) (*Channel, error) {
	c := &Channel{box: o.Box, timeout: cmp.Or(o.Timeout, notify.Timeout)}
	if o.SMTPURL == "" {
		return c, nil
	}
	var err error
	if c.server, err = parseServer(o.SMTPURL, o.TLSConfig); err != nil {
		return nil, fmt.Errorf("SMTP_URL: %w", err)
	}
	if c.from, err = mail.ParseAddress(o.From); err != nil {
		return nil, fmt.Errorf("SMTP_FROM must be a mail address, such as Waybill <waybill@example.org>: %w", err)
	}
	if mistake := addressMistake(c.from.Address); mistake != "" {
		return nil, fmt.Errorf("SMTP_FROM %s", mistake)
	}
	if o.PublicURL != "" && o.Box.Usable() {
		c.public, err = url.Parse(strings.TrimRight(o.PublicURL, "/"))
		if err != nil || c.public.Host == "" {
			return nil, errors.New("the public URL must be absolute, such as https://waybill.example.org")
		}
	}
	return c, nil
}

// settings are what is kept of a channel object.
type settings struct {
	To []string `json:"to"`
}

func parseSettings(kept []byte) (settings, error) {
	var s settings
	if err := json.Unmarshal(kept, &s); err != nil {
		return s, fmt.Errorf("read the settings of an e-mail channel: %w", err)
	}
	return s, nil
}

// Check is notify.Channel's: {"type":"email","to":["a@x.org", …]}, 1 to MostTo
// addresses.
func (c *Channel) Check(_ context.Context, object json.RawMessage, _ []byte) ([]byte, error) {
	if c.server == nil {
		return nil, fault.At(fault.InvalidRecord, "body.channel.type", notConfigured)
	}
	to, items := checkObject(object)
	switch len(items) {
	case 0:
		return json.Marshal(settings{To: to})
	case 1:
		return nil, fault.At(fault.InvalidRecord, items[0].Location, "%s", items[0].Message)
	}
	err := fault.New(fault.InvalidRecord, "the channel has %d mistakes", len(items))
	err.Items = items
	return nil, err
}

// Show is notify.Channel's: mail has no secrets of the subscription's.
func (c *Channel) Show(kept []byte) (json.RawMessage, error) {
	s, err := parseSettings(kept)
	if err != nil {
		return nil, err
	}
	return json.Marshal(struct {
		Type subscription.Channel `json:"type"`
		settings
	}{subscription.Email, s})
}

// Sender is notify.Channel's. Without SMTP_URL there is one too, whose attempts
// fail and say so: the delivery waits for the operator.
func (c *Channel) Sender(key subscription.Key, kept []byte) (notify.Sender, error) {
	s, err := parseSettings(kept)
	if err != nil {
		return nil, err
	}
	return &sender{channel: c, key: key, to: s.To}, nil
}

// Without returns the settings without an address, and how many addresses are
// left; with none left the subscription has nobody to tell. An address that is not
// among them changes nothing.
func (c *Channel) Without(kept []byte, address string) (rest []byte, left int, err error) {
	s, err := parseSettings(kept)
	if err != nil {
		return nil, 0, err
	}
	gone := normal(address)
	s.To = slices.DeleteFunc(s.To, func(a string) bool { return normal(a) == gone })
	rest, err = json.Marshal(s)
	return rest, len(s.To), err
}
