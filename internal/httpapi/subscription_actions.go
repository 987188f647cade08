package httpapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/waybill-dev/waybill/internal/collection"
	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/store"
	"github.com/waybill-dev/waybill/internal/subscription"
)

// maxReplay bounds the time that one replay goes over: events are kept 30 days.
const maxReplay = 30 * 24 * time.Hour

// actionKey returns the subscription that an action is on, if it says nothing
// more: a body that could only be ignored is refused.
func (a *API) actionKey(x *exchange, r *http.Request) (subscription.Key, error) {
	key, err := subscriptionKey(x, r)
	if err != nil {
		return key, err
	}
	return key, a.noBody(x, r)
}

// noBody refuses a body that says anything: more than {}.
func (a *API) noBody(x *exchange, r *http.Request) error {
	return readBody(x, r, a.o.MaxBody, func(body []byte) error {
		if len(bytes.TrimSpace(body)) == 0 {
			return nil
		}
		if _, err := mediaType(r, typeJSON); err != nil {
			return err
		}
		_, err := bodyOf("nothing").Record("body", body)
		return err
	})
}

// enabled returns a subscription that must be able to get something now.
func (a *API) enabled(x *exchange, r *http.Request, key subscription.Key) (*subscription.Subscription, error) {
	s, err := a.findSubscription(x, r, key)
	if err == nil && !s.Enabled {
		err = fault.New(fault.Conflict, "the subscription is disabled: enable it first")
	}
	return s, err
}

// testSubscription serves POST /api/subscriptions/{id}/test: an event that this
// subscription alone gets, whatever it asks for.
func (a *API) testSubscription(x *exchange, r *http.Request) error {
	key, err := a.actionKey(x, r)
	if err != nil {
		return err
	}
	s, err := a.enabled(x, r, key)
	if err != nil {
		return err
	}
	data, err := json.Marshal(struct {
		Subscription string `json:"subscription"`
		Name         string `json:"name"`
		Message      string `json:"message"`
	}{s.ID, s.Name, "This is a test: nothing has happened, and whoever reads this is reached."})
	if err != nil {
		return fmt.Errorf("encode the event: %w", err)
	}
	e := subscription.Notice(key.Tenant, newID(), subscription.TypeTest, now(), data)
	e.Trace = x.trace
	d, err := a.o.Subscriptions.Announce(r.Context(), &e, key)
	if err != nil {
		return err
	}
	a.o.Waker.Wake(r.Context(), key)
	return a.answerDelivery(x, d)
}

// replayView says how many deliveries begin anew.
type replayView struct {
	Count int `json:"count" doc:"Deliveries that begin anew"`
}

// replaySubscription serves POST /api/subscriptions/{id}/replay.
func (a *API) replaySubscription(x *exchange, r *http.Request) error {
	key, err := subscriptionKey(x, r)
	if err != nil {
		return err
	}
	if _, err := mediaType(r, typeJSON); err != nil {
		return err
	}
	var q store.ReplayQuery
	err = readBody(x, r, a.o.MaxBody, func(body []byte) (err error) {
		q, err = replayQuery(body, now())
		return err
	})
	if err != nil {
		return err
	}
	if _, err := a.enabled(x, r, key); err != nil {
		return err
	}
	count, err := a.o.Subscriptions.Replay(r.Context(), key, q)
	if err != nil {
		return err
	}
	a.o.Waker.Wake(r.Context(), key)
	return writeJSON(x, http.StatusAccepted, replayView{count})
}

func replayQuery(body []byte, until time.Time) (q store.ReplayQuery, err error) {
	var m mistakes
	text, err := bodyOf("replay").Record("body", body)
	if err != nil {
		if err := m.take(err); err != nil {
			return q, err
		}
		text = body
	}
	var parts map[string]json.RawMessage
	if err := json.Unmarshal(text, &parts); err != nil {
		return q, fmt.Errorf("read a body that was checked: %w", err)
	}
	q.Since, q.Until = readTime(parts, "since", time.Time{}, &m), readTime(parts, "until", until, &m)
	if m.clean("body.since") && m.clean("body.until") {
		switch {
		case q.Since.After(q.Until):
			m.add("body.since", "is after until")
		case q.Until.Sub(q.Since) > maxReplay:
			m.add("body.since", "is more than 30 days before until")
		}
	}
	var status string
	if m.clean("body.status") {
		_ = json.Unmarshal(parts["status"], &status) // a string, or left out beside another mistake
	}
	q.Dead = status == "dead"
	return q, m.fault()
}

// readTime reads a member that is an RFC 3339 time; without it, the time given.
// What the schema's format lets through and time does not know, such as a leap
// second, is a mistake.
func readTime(parts map[string]json.RawMessage, name string, without time.Time, m *mistakes) time.Time {
	at := collection.Locate("body", name)
	value, given := parts[name]
	if !given || !m.clean(at) {
		return without
	}
	var text string
	err := json.Unmarshal(value, &text)
	t, parseErr := time.Parse(time.RFC3339, text)
	if err != nil || parseErr != nil {
		m.add(at, "must be a valid date-time")
		return without
	}
	if t = t.UTC(); t.Before(time.Unix(0, 0)) {
		t = time.Unix(0, 0).UTC() // nothing was announced before, and some stores cannot count so far back
	}
	return t
}
