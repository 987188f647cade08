package httpapi

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/waybill-dev/waybill/internal/collection"
	"github.com/waybill-dev/waybill/internal/subscription"
)

// subscriptionView is a subscription as clients see it.
type subscriptionView struct {
	ID             string          `json:"id" format:"uuid" doc:"UUIDv7; IDs sort in the order of making"`
	Name           string          `json:"name"`
	Events         []string        `json:"events" nullable:"false" doc:"Patterns"`
	Filter         json.RawMessage `json:"filter" doc:"What an event's data must have in its top-level fields; null: no filter"`
	Channel        json.RawMessage `json:"channel" doc:"Without secrets"`
	RateLimit      *string         `json:"rate_limit" nullable:"true" doc:"Most attempts in a second, minute or hour"`
	MaxInFlight    int             `json:"max_in_flight" doc:"Most attempts at once"`
	Status         string          `json:"status" enum:"enabled,disabled"`
	DisabledReason *string         `json:"disabled_reason" nullable:"true"`
	DisabledAt     *timestamp      `json:"disabled_at" nullable:"true"`
	CreatedAt      timestamp       `json:"created_at"`
	UpdatedAt      timestamp       `json:"updated_at"`
}

// revealedView is a subscription whose secret was made just now.
type revealedView struct {
	subscriptionView
	Secret string `json:"secret,omitempty" doc:"Signs the webhooks; shown now and never again. Other channels have none"`
}

func (a *API) subscriptionView(s *subscription.Subscription) (subscriptionView, error) {
	shown, err := a.o.Channels.Show(s)
	if err != nil {
		return subscriptionView{}, fmt.Errorf("show the channel of subscription %s: %w", s.ID, err)
	}
	v := subscriptionView{
		ID: s.ID, Name: s.Name, Events: s.Events, Filter: s.Filter, Channel: shown, RateLimit: rateText(s.Rate), MaxInFlight: s.MaxInFlight,
		Status: "enabled", CreatedAt: timestamp(s.CreatedAt), UpdatedAt: timestamp(s.UpdatedAt),
	}
	if !s.Enabled {
		v.Status, v.DisabledReason, v.DisabledAt = "disabled", &s.Reason, optional(s.DisabledAt)
	}
	return v, nil
}

func (a *API) revealedView(s *subscription.Subscription) (revealedView, error) {
	v, err := a.subscriptionView(s)
	if err != nil {
		return revealedView{}, err
	}
	secret, err := a.o.Channels.Secret(s)
	if err != nil {
		return revealedView{}, fmt.Errorf("read the secret of subscription %s: %w", s.ID, err)
	}
	return revealedView{v, secret}, nil
}

// optional is t, or null if it is zero.
func optional(t time.Time) *timestamp {
	if t.IsZero() {
		return nil
	}
	return new(timestamp(t))
}

// optionalText is s, or null if it is "".
func optionalText(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// rateText writes a rate as ParseRate reads it; nil if there is none.
func rateText(r collection.Rate) *string {
	if r == (collection.Rate{}) {
		return nil
	}
	unit := map[time.Duration]string{time.Second: "s", time.Minute: "m", time.Hour: "h"}[r.Per]
	return new(fmt.Sprintf("%d/%s", r.N, unit))
}
