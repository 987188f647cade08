package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/principal"
	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/subscription"
)

// disabledByRequest is the reason of a subscription that its owner disabled.
const disabledByRequest = "disabled by request"

func subscriptionPath(id string) string { return "/api/subscriptions/" + id }

// subscriptionKey returns the subscription that the path names, if anything can
// have that ID.
func subscriptionKey(x *exchange, r *http.Request) (subscription.Key, error) {
	id := chi.URLParam(r, "id")
	if _, err := record.ParseID(id); err != nil {
		return subscription.Key{}, fault.New(fault.NotFound, "there is no subscription %q", clip(id))
	}
	return subscription.Key{Tenant: x.tenant, ID: id}, nil
}

// reachOf is what a subscription that who makes may be told of: what who may read.
// A key that is not for reading makes one that is told what anybody may read.
func reachOf(who *principal.Principal) subscription.Reach {
	if !who.Has(principal.RecordsRead) {
		return subscription.Reach{Collections: who.Collections}
	}
	return subscription.Reach{Role: who.Role, Principal: who.ID, Collections: who.Collections}
}

// managesAll says whether all of the tenant's subscriptions are the principal's to
// read and change: an admin's, but not those of a key that is limited to
// collections, which could have others' events sent to itself.
func (x *exchange) managesAll() bool { return x.admin() && len(x.who.Collections) == 0 }

// manages says whether the principal may read and change a subscription: their
// own, and all as an admin.
func (x *exchange) manages(s *subscription.Subscription) bool {
	return x.managesAll() || x.who.ID != "" && s.CreatedBy == x.who.ID
}

// findSubscription returns a subscription that the principal manages.
func (a *API) findSubscription(x *exchange, r *http.Request, key subscription.Key) (*subscription.Subscription, error) {
	s, err := a.o.Subscriptions.Subscription(r.Context(), key)
	if err == nil && !x.manages(s) {
		err = fault.New(fault.NotFound, "there is no subscription %q", key.ID) // as the store says it
	}
	return s, err
}

// managed refuses a change of what the principal does not manage, inside of the
// transaction that makes it.
func (x *exchange) managed(change func(*subscription.Subscription) error) func(*subscription.Subscription) error {
	return func(s *subscription.Subscription) error {
		if !x.manages(s) {
			return fault.New(fault.NotFound, "there is no subscription %q", s.ID)
		}
		return change(s)
	}
}

// newID returns a UUIDv7.
func newID() string { return uuid.Must(uuid.NewV7()).String() }

// now is the time as the store keeps it.
func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// createSubscription serves POST /api/subscriptions.
func (a *API) createSubscription(x *exchange, r *http.Request) error {
	if _, err := mediaType(r, typeJSON); err != nil {
		return err
	}
	at := now()
	s := &subscription.Subscription{
		Key: subscription.Key{Tenant: x.tenant, ID: newID()}, Enabled: true, CreatedAt: at, UpdatedAt: at,
		CreatedBy: x.who.ID, Reach: reachOf(x.who),
	}
	err := readBody(x, r, a.o.MaxBody, func(body []byte) error {
		return a.fill(r.Context(), x.who, s, bytes.Clone(body)) // parts of it are kept
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
	key, err := subscriptionKey(x, r)
	if err != nil {
		return err
	}
	s, err := a.findSubscription(x, r, key)
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
	items, last, err := visible(p, func(before string, limit int) ([]subscription.Subscription, bool, error) {
		return a.o.Subscriptions.Subscriptions(r.Context(), x.tenant, limit, before)
	}, func(items []subscription.Subscription) ([]bool, error) {
		return each(items, x.manages), nil
	}, func(s *subscription.Subscription) string { return s.ID })
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
	l.next(p, last != "", last)
	return writeBytes(x, http.StatusOK, l.json())
}

// patchSubscription serves PATCH /api/subscriptions/{id}.
func (a *API) patchSubscription(x *exchange, r *http.Request) error {
	key, err := subscriptionKey(x, r)
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
	var before subscription.Channel
	s, err := a.changeOutside(r.Context(), key, x.managed(func(s *subscription.Subscription) error {
		before = s.Channel
		if s.CreatedBy == x.who.ID { // somebody else's does not get to see more by an admin's touch
			s.Reach = reachOf(x.who)
		}
		return a.change(r.Context(), x.who, s, patch)
	}))
	if err != nil {
		return err
	}
	if s.Channel == before {
		return a.answerSubscription(x, s)
	}
	v, err := a.revealedView(s) // the new channel may have a secret of its own
	if err != nil {
		return err
	}
	return writeJSON(x, http.StatusOK, v)
}

// mostRaces is how often a change begins anew because another one was faster.
const mostRaces = 3

// changeOutside changes a subscription as it was read outside of a transaction:
// change may take its time, as DNS does, and would hold up every writer. What
// somebody else changes meanwhile makes it begin anew, and is Conflict in the end.
func (a *API) changeOutside(ctx context.Context, key subscription.Key, change func(*subscription.Subscription) error) (*subscription.Subscription, error) {
	for range mostRaces {
		s, err := a.o.Subscriptions.Subscription(ctx, key)
		if err != nil {
			return nil, err
		}
		read := s.UpdatedAt
		if err := change(s); err != nil {
			return nil, err
		}
		touch(s)
		raced := false
		changed, err := a.o.Subscriptions.UpdateSubscription(ctx, key, func(current *subscription.Subscription) error {
			if raced = !current.UpdatedAt.Equal(read); raced {
				return errRaced
			}
			*current = *s
			return nil
		})
		if !raced {
			return changed, err
		}
	}
	return nil, errRaced
}

var errRaced = fault.New(fault.Conflict, "the subscription is being changed by others: try again")

// touch sets the time of a change, later than the last one's whatever the clock
// says: it tells one state of a subscription from another.
func touch(s *subscription.Subscription) {
	if at := now(); at.After(s.UpdatedAt) {
		s.UpdatedAt = at
	} else {
		s.UpdatedAt = s.UpdatedAt.Add(time.Microsecond)
	}
}

// deleteSubscription serves DELETE /api/subscriptions/{id}.
func (a *API) deleteSubscription(x *exchange, r *http.Request) error {
	key, err := subscriptionKey(x, r)
	if err != nil {
		return err
	}
	if _, err := a.findSubscription(x, r, key); err != nil {
		return err
	}
	if err := a.o.Subscriptions.DeleteSubscription(r.Context(), key); err != nil {
		return err
	}
	a.o.Waker.Wake(r.Context(), key) // whoever delivers to it stops
	x.WriteHeader(http.StatusNoContent)
	return nil
}

// enableSubscription serves POST /api/subscriptions/{id}/enable, of one that is
// enabled too.
func (a *API) enableSubscription(x *exchange, r *http.Request) error {
	return a.turn(x, r, true)
}

// disableSubscription serves POST /api/subscriptions/{id}/disable. What is
// pending is canceled.
func (a *API) disableSubscription(x *exchange, r *http.Request) error {
	return a.turn(x, r, false)
}

func (a *API) turn(x *exchange, r *http.Request, on bool) error {
	key, err := a.actionKey(x, r)
	if err != nil {
		return err
	}
	s, err := a.o.Subscriptions.UpdateSubscription(r.Context(), key, x.managed(func(s *subscription.Subscription) error {
		switch {
		case s.Enabled == on: // its reason and its time stay
		case on:
			s.Enabled, s.Reason, s.DisabledAt = true, "", time.Time{}
			touch(s)
		default:
			disable(s, disabledByRequest)
		}
		return nil
	}))
	if err != nil {
		return err
	}
	a.o.Waker.Wake(r.Context(), key) // to begin, or to stop and to cancel what the store left
	return a.answerSubscription(x, s)
}

func disable(s *subscription.Subscription, reason string) {
	touch(s)
	s.Enabled, s.Reason, s.DisabledAt = false, reason, s.UpdatedAt
}

// rotateSecret serves POST /api/subscriptions/{id}/rotate-secret.
func (a *API) rotateSecret(x *exchange, r *http.Request) error {
	key, err := a.actionKey(x, r)
	if err != nil {
		return err
	}
	actor := x.actor()
	actor.Action = "subscription.rotate-secret" // the store sees only that the target is another
	s, err := a.o.Subscriptions.UpdateSubscription(principal.WithActor(r.Context(), actor), key, x.managed(func(s *subscription.Subscription) (err error) {
		touch(s)
		s.Target, err = a.o.Channels.Rotate(s, now())
		return err
	}))
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
