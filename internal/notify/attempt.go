package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/store"
	"github.com/waybill-dev/waybill/internal/subscription"
	"github.com/waybill-dev/waybill/internal/telemetry"
)

// attempt makes one attempt at a delivery, and records how it ended. The sender
// and the settings are those of when it was begun.
func (s *session) attempt(settings *subscription.Subscription, sender Sender, d *store.Due) {
	begun := time.Now()
	span, traced := s.startSpan(d, settings.Channel)
	result := s.send(sender, &Message{
		Event:        subscription.Event{Tenant: d.Tenant, ID: d.Event, Type: d.Type, Body: d.Body, Trace: traced},
		Subscription: s.key, Name: settings.Name, Delivery: d.ID, Attempt: d.Attempts + 1, Progress: d.Progress,
	})
	took := time.Since(begun)
	endSpan(span, &result)
	s.slots.give()
	if s.sends.Err() != nil { // cut off: nobody knows what became of it
		s.ended(d.ID, true)
		return
	}
	status, delay := next(&result, s.o.Retries, d.Tries, random())
	failing, disable := s.judge(&result, begun)
	s.signal()
	s.recorder.record(s.sends, &entry{
		tried: store.Tried{
			Delivery: d.Delivery, Status: status, Delay: delay, Progress: result.Progress,
			Attempt: subscription.Attempt{
				ID: uuid.Must(uuid.NewV7()).String(), Tenant: d.Tenant, Delivery: d.ID, At: begun.UTC(), Status: result.Status,
				Took: took, Reply: result.Reply[:min(len(result.Reply), MaxReply)], Error: result.Error,
			},
		},
		failing: failing,
	})
	s.announce(settings, d, &result, status, took, traced)
	if status == subscription.Pending {
		s.setAlarm(s.sends, s.key, delay)
	}
	if disable != "" {
		s.disable(disable)
	}
	s.ended(d.ID, false)
}

// send never panics, whatever a channel does: that would end the worker, and the
// next one on the same delivery.
func (s *session) send(sender Sender, m *Message) (r Result) {
	ctx, cancel := context.WithTimeout(s.sends, Timeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			s.o.Logger.LogAttrs(ctx, slog.LevelError, "a channel panicked", slog.String("delivery", m.Delivery), slog.String("subscription", s.key.ID),
				slog.String("tenant", s.key.Tenant), slog.String("panic", fmt.Sprint(p)), telemetry.TraceID(m.Event.Trace))
			r = Result{Error: "the attempt failed on our side; the log has it"}
		}
	}()
	return sender.Send(ctx, m)
}

// judge notes what a result says of the subscription: since when it fails, if
// that changed, and why it is to be disabled, if it is. The attempt is over, and
// to be recorded.
func (s *session) judge(r *Result, begun time.Time) (failing *store.Failing, disable string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sending--
	s.recording++
	switch {
	case r.OK && !s.failing.IsZero():
		s.failing = time.Time{}
		failing = &store.Failing{Key: s.key, Owner: s.id}
	case !r.OK && s.failing.IsZero():
		s.failing = begun
		failing = &store.Failing{Key: s.key, Owner: s.id, Since: begun}
	}
	switch {
	case r.Gone:
		disable = "the receiver answered that it is gone for good"
	case !r.OK && s.o.Now().Sub(s.failing) >= failingLimit:
		disable = "all attempts failed for five days"
	}
	if disable != "" {
		s.ending++
	}
	return failing, disable
}

// ended lets go of a delivery that was recorded, or whose attempt was cut off.
func (s *session) ended(id string, cut bool) {
	s.mu.Lock()
	delete(s.inHand, id)
	if cut {
		s.sending--
	} else {
		s.recording--
	}
	s.mu.Unlock()
	s.signal()
}

// announce tells the log and the metrics.
func (s *session) announce(settings *subscription.Subscription, d *store.Due, r *Result, status subscription.Status, took time.Duration, t record.Trace) {
	outcome := string(status)
	switch status {
	case subscription.Pending:
		outcome = "retried"
		s.o.Logger.LogAttrs(s.sends, slog.LevelDebug, "an attempt failed", about(d, r, t)...)
	case subscription.Dead:
		s.o.Logger.LogAttrs(s.sends, slog.LevelWarn, "a delivery is dead", about(d, r, t)...)
	case subscription.Delivered:
		s.o.Observer.Delivered(t, time.Since(d.CreatedAt))
	}
	s.o.Observer.Attempted(t, settings.Channel, outcome, took)
}

// about is what a line of the log about an attempt that failed has.
func about(d *store.Due, r *Result, t record.Trace) []slog.Attr {
	return []slog.Attr{
		slog.String("delivery", d.ID), slog.String("subscription", d.Subscription), slog.String("event", d.Event), slog.String("tenant", d.Tenant),
		slog.String("error", r.Error), telemetry.TraceID(t),
	}
}

// disable disables the subscription, and tells who wants to know.
func (s *session) disable(reason string) {
	defer func() {
		s.mu.Lock()
		s.ending--
		s.changed = true
		s.mu.Unlock()
		s.signal()
	}()
	told, err := s.store.Disable(s.sends, s.key, reason, s.o.Now().UTC().Truncate(time.Microsecond), DisabledNotice)
	if err != nil { // the next failed attempt tries again
		s.o.Logger.Error("a subscription could not be disabled", "subscription", s.key.ID, "tenant", s.key.Tenant, "error", err)
		return
	}
	s.o.Observer.Disabled(reason)
	s.o.Logger.Warn("a subscription was disabled", "subscription", s.key.ID, "tenant", s.key.Tenant, "reason", reason)
	s.Poke(told...)
	s.poke() // the rest of its pending deliveries is canceled
}

// DisabledNotice is the event subscription.disabled of a subscription that was.
func DisabledNotice(sub *subscription.Subscription) subscription.Event {
	data, _ := json.Marshal(struct { //nolint:errchkjson // strings
		ID     string               `json:"id"`
		Name   string               `json:"name"`
		Type   subscription.Channel `json:"channel"`
		Reason string               `json:"reason"`
	}{sub.ID, sub.Name, sub.Channel, sub.Reason})
	return subscription.Notice(sub.Tenant, uuid.Must(uuid.NewV7()).String(), subscription.TypeDisabled, sub.DisabledAt, data)
}
