package httpapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/subscription"
)

// disabledByRequest is the reason of a subscription that its owner disabled.
const disabledByRequest = "disabled by request"

func subscriptionPath(id string) string { return "/api/subscriptions/" + id }

// subscriptionKey returns the subscription that the path names, if anything can
// have that ID.
func subscriptionKey(r *http.Request) (subscription.Key, error) {
	id := chi.URLParam(r, "id")
	if _, err := record.ParseID(id); err != nil {
		return subscription.Key{}, fault.New(fault.NotFound, "there is no subscription %q", clip(id))
	}
	return subscription.Key{Tenant: record.DefaultTenant, ID: id}, nil
}

// now is the time as the store keeps it.
func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// newID returns a UUIDv7.
func newID() (string, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return "", fmt.Errorf("draw an ID: %w", err)
	}
	return id.String(), nil
}

// createSubscription serves POST /api/subscriptions.
func (a *API) createSubscription(x *exchange, r *http.Request) error {
	if _, err := mediaType(r, typeJSON); err != nil {
		return err
	}
	id, err := newID()
	if err != nil {
		return err
	}
	at := now()
	s := &subscription.Subscription{
		Key: subscription.Key{Tenant: record.DefaultTenant, ID: id}, Enabled: true, CreatedAt: at, UpdatedAt: at,
	}
	err = readBody(x, r, a.o.MaxBody, func(body []byte) error {
		return a.fill(r.Context(), s, bytes.Clone(body)) // parts of it are kept
	})
	if err != nil {
		return err
	}
	v, err := a.revealedView(s) // first: what cannot be shown must not be made
	if err != nil {
		return err
	}
	if err := a.o.Subscriptions.CreateSubscription(r.Context(), s); err != nil {
		return err
	}
	a.o.Waker.Wake(r.Context(), s.Key)
	x.Header().Set("Location", subscriptionPath(s.ID))
	return writeJSON(x, http.StatusCreated, v)
}

// getSubscription serves GET /api/subscriptions/{id}.
func (a *API) getSubscription(x *exchange, r *http.Request) error {
	key, err := subscriptionKey(r)
	if err != nil {
		return err
	}
	s, err := a.o.Subscriptions.Subscription(r.Context(), key)
	if err != nil {
		return err
	}
	return a.answerSubscription(x, s)
}

// listSubscriptions serves GET /api/subscriptions.
func (a *API) listSubscriptions(x *exchange, r *http.Request) error {
	p, err := pageOf(r.URL.Path, x.query)
	if err != nil {
		return err
	}
	items, more, err := a.o.Subscriptions.Subscriptions(r.Context(), record.DefaultTenant, p.limit, p.last)
	if err != nil {
		return err
	}
	l := list{Items: make([]json.RawMessage, len(items))}
	for i := range items {
		v, err := a.subscriptionView(&items[i])
		if err != nil {
			return err
		}
		if l.Items[i], err = json.Marshal(v); err != nil {
			return fmt.Errorf("encode a subscription: %w", err)
		}
	}
	if len(items) > 0 {
		l.next(p, more, items[len(items)-1].ID)
	}
	return writeBytes(x, http.StatusOK, l.json())
}

// patchSubscription serves PATCH /api/subscriptions/{id}.
func (a *API) patchSubscription(x *exchange, r *http.Request) error {
	key, err := subscriptionKey(r)
	if err != nil {
		return err
	}
	if _, err := mediaType(r, typePatch, typeJSON); err != nil {
		x.Header().Set("Accept-Patch", typePatch+", "+typeJSON)
		return err
	}
	var patch []byte
	err = readBody(x, r, a.o.MaxBody, func(body []byte) (err error) {
		patch, err = bodyOf("subscription").Patch("body", body)
		return err
	})
	if err != nil {
		return err
	}
	s, err := a.o.Subscriptions.UpdateSubscription(r.Context(), key, func(s *subscription.Subscription) error {
		s.UpdatedAt = now()
		return a.change(r.Context(), s, patch)
	})
	if err != nil {
		return err
	}
	return a.answerSubscription(x, s)
}

// deleteSubscription serves DELETE /api/subscriptions/{id}.
func (a *API) deleteSubscription(x *exchange, r *http.Request) error {
	key, err := subscriptionKey(r)
	if err != nil {
		return err
	}
	if err := a.o.Subscriptions.DeleteSubscription(r.Context(), key); err != nil {
		return err
	}
	x.WriteHeader(http.StatusNoContent)
	return nil
}

// enableSubscription serves POST /api/subscriptions/{id}/enable, of one that is
// enabled too.
func (a *API) enableSubscription(x *exchange, r *http.Request) error {
	return a.turn(x, r, true)
}

// disableSubscription serves POST /api/subscriptions/{id}/disable; the store
// cancels what is pending.
func (a *API) disableSubscription(x *exchange, r *http.Request) error {
	return a.turn(x, r, false)
}

func (a *API) turn(x *exchange, r *http.Request, on bool) error {
	key, err := a.actionKey(x, r)
	if err != nil {
		return err
	}
	s, err := a.o.Subscriptions.UpdateSubscription(r.Context(), key, func(s *subscription.Subscription) error {
		switch {
		case s.Enabled == on: // its reason and its time stay
		case on:
			s.Enabled, s.Reason, s.DisabledAt, s.UpdatedAt = true, "", time.Time{}, now()
		default:
			disable(s, disabledByRequest)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if on {
		a.o.Waker.Wake(r.Context(), key)
	}
	return a.answerSubscription(x, s)
}

func disable(s *subscription.Subscription, reason string) {
	at := now()
	s.Enabled, s.Reason, s.DisabledAt, s.UpdatedAt = false, reason, at, at
}

// rotateSecret serves POST /api/subscriptions/{id}/rotate-secret.
func (a *API) rotateSecret(x *exchange, r *http.Request) error {
	key, err := a.actionKey(x, r)
	if err != nil {
		return err
	}
	s, err := a.o.Subscriptions.UpdateSubscription(r.Context(), key, func(s *subscription.Subscription) (err error) {
		s.UpdatedAt = now()
		s.Target, err = a.o.Channels.Rotate(s, s.UpdatedAt)
		return err
	})
	if err != nil {
		return err
	}
	v, err := a.revealedView(s)
	if err != nil {
		return err
	}
	return writeJSON(x, http.StatusOK, v)
}

func (a *API) answerSubscription(x *exchange, s *subscription.Subscription) error {
	v, err := a.subscriptionView(s)
	if err != nil {
		return err
	}
	return writeJSON(x, http.StatusOK, v)
}
