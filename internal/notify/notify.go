// Package notify delivers events. Deliveries are rows first and tasks second: the
// row is the truth, a task only says that it is time to look. What one attempt is
// belongs to the channels, one package each (webhook, email, chat), behind Channel
// and Sender; how they are tried, retried, limited and recorded is here and the
// same for all. Nothing of HTTP's serving side or of storing records enters.
package notify

import (
	"context"
	"encoding/json"
	"time"

	"github.com/waybill-dev/waybill/internal/subscription"
)

// MaxReply is how much of a receiver's answer is read and kept, in bytes.
const MaxReply = 4 << 10

// Timeout bounds one attempt, from the look-up of the host's name to the last
// byte that is read of the answer.
const Timeout = 15 * time.Second

// Message is what one attempt sends.
type Message struct {
	Event        subscription.Event
	Subscription subscription.Key
	Name         string // the subscription's
	Delivery     string
	Attempt      int    // from 1, over all generations
	Progress     string // what the Results of earlier attempts noted
}

// Result is how one attempt ended. Nothing in it may show a secret: it is stored,
// logged and answered.
type Result struct {
	OK         bool
	Status     int           // of HTTP or SMTP; 0: no answer came
	Reply      []byte        // of the answer, at most MaxReply bytes
	Error      string        // why it is not OK, for people; "" if it is
	RetryAfter time.Duration // what the receiver asked for; 0: nothing
	Permanent  bool          // trying again cannot help: the delivery is dead
	Gone       bool          // the receiver wants no more at all: the subscription is disabled
	Progress   string        // what the next attempt must know, if there is one
}

// Sender makes attempts for one subscription, any number at once. Send returns
// within Timeout, or soon after ctx ends, whatever the receiver does.
type Sender interface {
	Send(ctx context.Context, m *Message) Result
}

// Channel is one way of notifying. Its settings are what it makes of the channel
// object of a subscription; they may hold secrets and are kept sealed.
type Channel interface {
	// Check reads a channel object ({"type":…, …}) as a client gives it and returns
	// the settings to keep. standing are the settings that it replaces, nil for a new
	// subscription: secrets that the channel makes itself live on. Errors are
	// fault.InvalidRecord with every mistake at its location, such as
	// body.channel.url.
	Check(ctx context.Context, object json.RawMessage, standing []byte) (settings []byte, err error)
	// Show returns the channel object as clients may see it: without secrets.
	Show(settings []byte) (json.RawMessage, error)
	// Sender returns a Sender with these settings. key names the subscription.
	Sender(key subscription.Key, settings []byte) (Sender, error)
}

// Rotator is a Channel whose messages are signed with a secret of ours.
type Rotator interface {
	// Secret returns the secret that signs now.
	Secret(settings []byte) (string, error)
	// Rotate returns settings with a new secret. The old one signs too for 24 h
	// from now.
	Rotate(settings []byte, now time.Time) (rotated []byte, err error)
}
