// Package subscription is the domain of notifying: who wants which events, what
// an event says, and where a delivery stands. It is pure, like record: no I/O, no
// clock, no randomness, and nothing of HTTP, Redis, SQL or any one channel.
package subscription

import (
	"encoding/json"
	"time"

	"github.com/waybill-dev/waybill/internal/collection"
)

// Channel is a way of notifying.
type Channel string

// The channels.
const (
	Webhook Channel = "webhook"
	Email   Channel = "email"
	Chat    Channel = "chat"
)

// Bounds and default of a subscription's max_in_flight.
const (
	DefaultInFlight = 10
	MostInFlight    = 1000
)

// Key names one subscription.
type Key struct{ Tenant, ID string }

// Subscription is who wants which events, through which channel.
type Subscription struct {
	Key
	Name        string
	Events      []string        // patterns, see CheckPattern
	Filter      json.RawMessage // compact JSON object of scalars; nil: no filter
	Channel     Channel
	Target      []byte          // the channel's settings, sealed: only notify opens them
	Rate        collection.Rate // most attempts in a time; the zero Rate is none
	MaxInFlight int             // most attempts at once, across all workers
	Enabled     bool
	Reason      string    // why it is disabled, for people; "" while enabled
	DisabledAt  time.Time // zero while enabled
	CreatedBy   string    // the principal; "" for anonymous
	Reach       Reach
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

// Status is where a delivery stands. All but Pending are final until a retry or
// a replay begins a new generation.
type Status string

// The statuses of a delivery.
const (
	Pending   Status = "pending"
	Delivered Status = "delivered"
	Dead      Status = "dead"
	Canceled  Status = "canceled"
)

// Statuses are all of them.
var Statuses = []Status{Pending, Delivered, Dead, Canceled}

// Delivery is one event for one subscription.
type Delivery struct {
	ID           string // UUIDv7: IDs sort in the order of making
	Tenant       string
	Subscription string
	Event        string // its ID; of a stored operation's event, the operation's ID
	Type         string // the event's
	Status       Status
	Generation   int       // from 1, one more with each manual retry and replay
	Tries        int       // attempts in this generation
	Attempts     int       // attempts in all
	NextAt       time.Time // when it is due; zero unless Pending
	Error        string    // of the last attempt; "" if there was none or it succeeded
	Progress     string    // what the channel noted in earlier attempts of this generation
	CreatedAt    time.Time
	FinishedAt   time.Time // zero while Pending
}

// Attempt is one try at a delivery.
type Attempt struct {
	ID       string // UUIDv7
	Tenant   string
	Delivery string
	At       time.Time     // when it began
	Status   int           // of HTTP or SMTP; 0: no answer came
	Took     time.Duration // to the end of the answer
	Reply    []byte        // first 4 KiB of the answer
	Error    string        // "" if it succeeded
}

// Counts are how many of an event's deliveries stand where.
type Counts struct{ Pending, Delivered, Dead, Canceled int }

// Add counts n more deliveries of status s.
func (c *Counts) Add(s Status, n int) {
	switch s {
	case Pending:
		c.Pending += n
	case Delivered:
		c.Delivered += n
	case Dead:
		c.Dead += n
	case Canceled:
		c.Canceled += n
	}
}
