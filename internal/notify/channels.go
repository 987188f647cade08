package notify

import (
	"context"
	"encoding/json"
	"time"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/secret"
	"github.com/waybill-dev/waybill/internal/subscription"
)

// sealed is the purpose under which settings are sealed.
const sealed = "channel"

// Channels are the ways of notifying that this process knows. It seals their
// settings, and opens them for the channels alone.
type Channels struct {
	box   secret.Box
	kinds map[subscription.Channel]Channel
}

// NewChannels returns the channels in kinds, sealed with box.
func NewChannels(box secret.Box, kinds map[subscription.Channel]Channel) *Channels {
	return &Channels{box, kinds}
}

// Check reads a channel object of a client's and returns the channel and its
// sealed settings. standing is what it replaces, nil for a new subscription.
// Errors are InvalidRecord at body.channel.…, or Conflict if this service cannot
// keep secrets.
func (c *Channels) Check(ctx context.Context, key subscription.Key, object json.RawMessage, standing *subscription.Subscription) (subscription.Channel, []byte, error) {
	if !c.box.Usable() {
		return "", nil, fault.New(fault.Conflict, "this service cannot keep the secrets of subscriptions: WAYBILL_SECRET is not set")
	}
	var typed struct {
		Type subscription.Channel `json:"type"`
	}
	_ = json.Unmarshal(object, &typed) // what is wrong with it has no known type
	channel, known := c.kinds[typed.Type]
	if !known {
		return "", nil, fault.At(fault.InvalidRecord, "body.channel.type", "must be webhook, email or chat")
	}
	var before []byte
	if standing != nil && standing.Channel == typed.Type {
		var err error
		if before, err = c.open(standing); err != nil {
			return "", nil, err
		}
	}
	settings, err := channel.Check(ctx, object, before)
	if err != nil {
		return "", nil, err
	}
	target, err := c.seal(key, settings)
	return typed.Type, target, err
}

// Show returns the channel object as clients may see it.
func (c *Channels) Show(s *subscription.Subscription) (json.RawMessage, error) {
	channel, settings, err := c.of(s)
	if err != nil { // sealed with another secret, perhaps: the rest can still be seen
		return json.Marshal(map[string]any{"type": s.Channel})
	}
	return channel.Show(settings)
}

// Secret returns the secret that signs; "" of a channel that has none.
func (c *Channels) Secret(s *subscription.Subscription) (string, error) {
	channel, settings, err := c.of(s)
	if err != nil {
		return "", err
	}
	if r, ok := channel.(Rotator); ok {
		return r.Secret(settings)
	}
	return "", nil
}

// Rotate returns the sealed settings with a new secret; Conflict if the channel
// has none.
func (c *Channels) Rotate(s *subscription.Subscription, now time.Time) ([]byte, error) {
	channel, settings, err := c.of(s)
	if err != nil {
		return nil, err
	}
	r, ok := channel.(Rotator)
	if !ok {
		return nil, fault.New(fault.Conflict, "a channel of type %s has no secret", s.Channel)
	}
	rotated, err := r.Rotate(settings, now)
	if err != nil {
		return nil, err
	}
	return c.seal(s.Key, rotated)
}

// Leaver is a Channel whose single recipients may leave by a signed link.
type Leaver interface {
	// Leave returns settings without address, and how many are left. Forbidden
	// unless token was made for it.
	Leave(key subscription.Key, settings []byte, address, token string) (rest []byte, left int, err error)
}

// Unsubscribe returns the sealed settings without a recipient, and how many are
// left. Forbidden unless token was made for the address.
func (c *Channels) Unsubscribe(s *subscription.Subscription, address, token string) (target []byte, left int, err error) {
	channel, settings, err := c.of(s)
	if err != nil {
		return nil, 0, err
	}
	l, ok := channel.(Leaver)
	if !ok {
		return nil, 0, fault.New(fault.Forbidden, "the link is not valid")
	}
	rest, left, err := l.Leave(s.Key, settings, address, token)
	if err != nil {
		return nil, 0, err
	}
	target, err = c.seal(s.Key, rest)
	return target, left, err
}

// Sender returns what makes attempts for s. If its settings cannot be opened,
// every attempt fails and says so.
func (c *Channels) Sender(s *subscription.Subscription) Sender {
	channel, settings, err := c.of(s)
	if err == nil {
		var sender Sender
		if sender, err = channel.Sender(s.Key, settings); err == nil {
			return sender
		}
	}
	return broken{err}
}

// broken fails every attempt.
type broken struct{ err error }

func (b broken) Send(context.Context, *Message) Result {
	return Result{Error: "the settings of the channel cannot be used: " + b.err.Error()}
}

func (c *Channels) of(s *subscription.Subscription) (Channel, []byte, error) {
	channel, known := c.kinds[s.Channel]
	if !known {
		return nil, nil, fault.New(fault.Internal, "no channel %q", s.Channel)
	}
	settings, err := c.open(s)
	return channel, settings, err
}

// owner is what settings belong to: they cannot be moved to another subscription.
func owner(key subscription.Key) string { return key.Tenant + "/" + key.ID }

func (c *Channels) open(s *subscription.Subscription) ([]byte, error) {
	return c.box.Open(sealed, owner(s.Key), s.Target)
}

func (c *Channels) seal(key subscription.Key, settings []byte) ([]byte, error) {
	return c.box.Seal(sealed, owner(key), settings)
}
