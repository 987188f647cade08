package store

import (
	"context"
	"database/sql"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/subscription"
)

// subscribers is what this process last read of all subscriptions, and the
// version that it read them at. A transaction that announces asks for the version
// first: one that a committed change made stale is never used.
type subscribers struct {
	mu      sync.Mutex
	version int64
	index   *subscription.Index
}

// wanted returns the index of all subscriptions as of the transaction, and the
// database's clock: all workers go by that one.
func (s *Store) wanted(ctx context.Context, tx *sql.Tx) (*subscription.Index, time.Time, error) {
	var version int64
	var now instant
	row := tx.QueryRowContext(ctx, "SELECT version, "+s.dialect.now(0)+" FROM subscription_changes")
	if err := row.Scan(&version, &now); err != nil {
		return nil, time.Time{}, err
	}
	s.subscribers.mu.Lock()
	index, known := s.subscribers.index, s.subscribers.version
	s.subscribers.mu.Unlock()
	if index != nil && known == version {
		return index, now.Time, nil
	}
	all, err := readSubscriptions(ctx, tx, selectSubscriptions+" FROM subscriptions", nil)
	if err != nil {
		return nil, time.Time{}, err
	}
	index = subscription.NewIndex(all, s.rules)
	s.subscribers.mu.Lock()
	defer s.subscribers.mu.Unlock()
	if version > s.subscribers.version {
		s.subscribers.index, s.subscribers.version = index, version
	}
	return index, now.Time, nil
}

// clock is the database's time, which all workers go by.
func (s *Store) clock(ctx context.Context, tx *sql.Tx) (time.Time, error) {
	var now instant
	err := tx.QueryRowContext(ctx, "SELECT "+s.dialect.now(0)).Scan(&now)
	return now.Time, err
}

// announceOutcomes stores the events that somebody wants, with a delivery for
// each enabled subscription that does, whose IDs it notes in the outcomes. The
// event is also kept for a disabled one: it can be replayed.
func (s *Store) announceOutcomes(ctx context.Context, tx *sql.Tx, outcomes []record.Outcome, createdAt time.Time) error {
	index, now, err := s.wanted(ctx, tx)
	if err != nil {
		return err
	}
	var events []subscription.Event
	var deliveries []subscription.Delivery
	for i := range outcomes {
		o := &outcomes[i]
		o.Notify = nil
		matched := index.MatchOutcome(o)
		if len(matched) == 0 {
			continue
		}
		e := subscription.EventOf(o)
		events = append(events, e)
		for _, to := range matched {
			if to.Enabled {
				o.Notify = append(o.Notify, to.ID)
				deliveries = append(deliveries, newDelivery(&e, to.ID, createdAt, now))
			}
		}
	}
	return s.insertEvents(ctx, tx, events, deliveries)
}

// newDelivery is due at once. IDs of deliveries are drawn in order.
func newDelivery(e *subscription.Event, to string, createdAt, dueAt time.Time) subscription.Delivery {
	return subscription.Delivery{
		ID: uuid.Must(uuid.NewV7()).String(), Tenant: e.Tenant, Subscription: to, Event: e.ID, Type: e.Type,
		Status: subscription.Pending, Generation: 1, NextAt: dueAt, CreatedAt: createdAt,
	}
}

func (s *Store) insertEvents(ctx context.Context, tx *sql.Tx, events []subscription.Event, deliveries []subscription.Delivery) error {
	if len(events) == 0 {
		return nil
	}
	input := []column{
		pluck(events, "tenant", "text", func(e *subscription.Event) string { return e.Tenant }),
		pluck(events, "id", "uuid", func(e *subscription.Event) string { return e.ID }),
		pluck(events, "type", "text", func(e *subscription.Event) string { return e.Type }),
		pluck(events, "owner", "text", func(e *subscription.Event) string { return e.Owner }),
		pluck(events, "body", "text", func(e *subscription.Event) string { return string(e.Body) }),
		pluck(events, "traceparent", "text", func(e *subscription.Event) string { return e.Trace.Parent }),
		pluck(events, "tracestate", "text", func(e *subscription.Event) string { return e.Trace.State }),
	}
	if _, err := s.dialect.exec(ctx, tx, input, insertInto("events", input)); err != nil || len(deliveries) == 0 {
		return err
	}
	input = deliveryColumns(deliveries)
	_, err := s.dialect.exec(ctx, tx, input, insertInto("deliveries", input))
	return err
}

func deliveryColumns(in []subscription.Delivery) []column {
	type row = subscription.Delivery
	return []column{
		pluck(in, "tenant", "text", func(d *row) string { return d.Tenant }),
		pluck(in, "id", "uuid", func(d *row) string { return d.ID }),
		pluck(in, "subscription", "uuid", func(d *row) string { return d.Subscription }),
		pluck(in, "event", "uuid", func(d *row) string { return d.Event }),
		pluck(in, "type", "text", func(d *row) string { return d.Type }),
		pluck(in, "status", "text", func(d *row) string { return string(d.Status) }),
		pluck(in, "generation", "integer", func(d *row) int64 { return int64(d.Generation) }),
		pluck(in, "tries", "integer", func(d *row) int64 { return int64(d.Tries) }),
		pluck(in, "attempts", "integer", func(d *row) int64 { return int64(d.Attempts) }),
		pluck(in, "next_at", "timestamptz", func(d *row) time.Time { return orNever(d.NextAt) }),
		pluck(in, "error", "text", func(d *row) string { return d.Error }),
		pluck(in, "progress", "text", func(d *row) string { return d.Progress }),
		pluck(in, "created_at", "timestamptz", func(d *row) time.Time { return orNever(d.CreatedAt) }),
		pluck(in, "finished_at", "timestamptz", func(d *row) time.Time { return orNever(d.FinishedAt) }),
	}
}
