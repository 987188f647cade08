package store

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/waybill-dev/waybill/internal/collection"
	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/subscription"
)

// cancelAtOnce is how many deliveries one transaction cancels: no more than it
// holds locks for in a moment.
const cancelAtOnce = 5000

const selectSubscriptions = `SELECT tenant, id, name, events, filter, channel, target, rate_limit, max_in_flight, enabled, reason,
	disabled_at, created_by, created_at, updated_at, reach_role, reach_principal, reach_collections`

// controlled runs change in a transaction that alters subscriptions: it tells
// every worker, by the version. Faults are returned as they are.
func (s *Store) controlled(ctx context.Context, change func(context.Context, *sql.Tx) error) error {
	return s.transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := change(ctx, tx); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "UPDATE subscription_changes SET version = version + 1")
		return err
	})
}

// transact runs f in a transaction of its own. Errors that are not faults become
// StoreUnavailable. A connection that died unnoticed in the pool is found out by
// the first statement: as long as nothing was committed, f is run once more,
// so it must bear that.
func (s *Store) transact(ctx context.Context, f func(context.Context, *sql.Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	committing, err := s.transactOnce(ctx, f)
	if !committing && Unavailable(err) && ctx.Err() == nil {
		_, err = s.transactOnce(ctx, f)
	}
	return asFault(err)
}

// transactOnce also says whether it came to the commit: then nobody knows what an
// error left behind.
func (s *Store) transactOnce(ctx context.Context, f func(context.Context, *sql.Tx) error) (committing bool, err error) {
	tx, err := s.dialect.begin(ctx, s.writes)
	if err != nil {
		return false, err
	}
	defer func() { _ = tx.Rollback() }() // does nothing after the commit
	if err := f(ctx, tx); err != nil {
		return false, err
	}
	return true, tx.Commit()
}

// asFault leaves faults alone; any other error of the database is StoreUnavailable.
func asFault(err error) error {
	if err == nil || fault.KindOf(err) != fault.Internal {
		return err
	}
	return unavailable(err)
}

// CreateSubscription stores a new subscription, whose ID and times are set.
func (s *Store) CreateSubscription(ctx context.Context, sub *subscription.Subscription) error {
	return s.controlled(ctx, func(ctx context.Context, tx *sql.Tx) error {
		one := []subscription.Subscription{*sub}
		input := subscriptionColumns(one)
		if _, err := s.dialect.exec(ctx, tx, input, insertInto("subscriptions", input)); err != nil {
			return err
		}
		input = append(subscriptionKey(one),
			pluck(one, "owner", "text", func(*subscription.Subscription) string { return "" }),
			pluck(one, "lease_until", "timestamptz", func(*subscription.Subscription) time.Time { return never }),
			pluck(one, "paced_until", "timestamptz", func(*subscription.Subscription) time.Time { return never }),
			pluck(one, "failing_since", "timestamptz", func(*subscription.Subscription) time.Time { return never }))
		input[1].name = "subscription"
		_, err := s.dialect.exec(ctx, tx, input, insertInto("dispatches", input))
		return err
	})
}

func subscriptionKey(in []subscription.Subscription) []column {
	return []column{
		pluck(in, "tenant", "text", func(s *subscription.Subscription) string { return s.Tenant }),
		pluck(in, "id", "uuid", func(s *subscription.Subscription) string { return s.ID }),
	}
}

func subscriptionColumns(in []subscription.Subscription) []column {
	type row = subscription.Subscription
	return append(subscriptionKey(in),
		pluck(in, "name", "text", func(s *row) string { return s.Name }),
		pluck(in, "events", "json", func(s *row) []byte { b, _ := json.Marshal(s.Events); return b }), //nolint:errchkjson // strings
		pluck(in, "filter", "text", func(s *row) string { return string(s.Filter) }),
		pluck(in, "channel", "text", func(s *row) string { return string(s.Channel) }),
		pluck(in, "target", "text", func(s *row) string { return base64.StdEncoding.EncodeToString(s.Target) }),
		pluck(in, "rate_limit", "text", func(s *row) string { return s.Rate.String() }),
		pluck(in, "max_in_flight", "integer", func(s *row) int64 { return int64(s.MaxInFlight) }),
		pluck(in, "enabled", "boolean", func(s *row) bool { return s.Enabled }),
		pluck(in, "reason", "text", func(s *row) string { return s.Reason }),
		pluck(in, "disabled_at", "timestamptz", func(s *row) time.Time { return orNever(s.DisabledAt) }),
		pluck(in, "created_by", "text", func(s *row) string { return s.CreatedBy }),
		pluck(in, "reach_role", "text", func(s *row) string { return string(s.Reach.Role) }),
		pluck(in, "reach_principal", "text", func(s *row) string { return s.Reach.Principal }),
		pluck(in, "reach_collections", "text", func(s *row) string { return listed(s.Reach.Collections) }),
		pluck(in, "created_at", "timestamptz", func(s *row) time.Time { return orNever(s.CreatedAt) }),
		pluck(in, "updated_at", "timestamptz", func(s *row) time.Time { return orNever(s.UpdatedAt) }))
}

// Subscription returns a subscription, or NotFound.
func (s *Store) Subscription(ctx context.Context, key subscription.Key) (*subscription.Subscription, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	found, err := s.subscription(ctx, s.reads, key, "")
	return found, asFault(err)
}

func (s *Store) subscription(ctx context.Context, q querier, key subscription.Key, lock string) (*subscription.Subscription, error) {
	if _, err := uuid.Parse(key.ID); err != nil || !storable(key.Tenant) {
		return nil, noSubscription(key)
	}
	found, err := readSubscriptions(ctx, q, selectSubscriptions+" FROM subscriptions WHERE tenant = $1 AND id = $2"+lock, arguments{key.Tenant, key.ID})
	if err == nil && len(found) == 0 {
		return nil, noSubscription(key)
	}
	if err != nil {
		return nil, err
	}
	return &found[0], nil
}

func noSubscription(key subscription.Key) error {
	return fault.New(fault.NotFound, "there is no subscription %q", key.ID)
}

// Subscriptions returns a page of a tenant's subscriptions, newest first, and
// whether there are more. before is the ID of the last of the page before.
func (s *Store) Subscriptions(ctx context.Context, tenant string, limit int, before string) (items []subscription.Subscription, more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	args := arguments{tenant}
	statement := selectSubscriptions + " FROM subscriptions WHERE tenant = $1"
	if before != "" {
		statement += " AND id < " + args.add(before)
	}
	statement += " ORDER BY id DESC LIMIT " + args.add(limit+1)
	if items, err = readSubscriptions(ctx, s.reads, statement, args); err != nil {
		return nil, false, unavailable(err)
	}
	items, more = cut(items, limit)
	return items, more, nil
}

// UpdateSubscription lets change alter a subscription in a transaction. An error
// of change is returned and changes nothing. The pending deliveries of one that
// becomes disabled end canceled: many at once, the rest by CancelPending.
func (s *Store) UpdateSubscription(ctx context.Context, key subscription.Key, change func(*subscription.Subscription) error) (*subscription.Subscription, error) {
	var changed *subscription.Subscription
	err := s.controlled(ctx, func(ctx context.Context, tx *sql.Tx) (err error) {
		if changed, err = s.subscription(ctx, tx, key, s.dialect.lockRow()); err != nil {
			return err
		}
		enabled := changed.Enabled
		if err := change(changed); err != nil {
			return err
		}
		changed.Key = key
		return s.writeSubscription(ctx, tx, changed, enabled)
	})
	if err != nil {
		return nil, err
	}
	return changed, nil
}

// writeSubscription stores what changed of a subscription that was enabled or not.
func (s *Store) writeSubscription(ctx context.Context, tx *sql.Tx, sub *subscription.Subscription, enabled bool) error {
	input := subscriptionColumns([]subscription.Subscription{*sub})
	if _, err := s.dialect.exec(ctx, tx, input, updateSubscription); err != nil {
		return err
	}
	switch {
	case enabled && !sub.Enabled:
		_, err := s.cancelPending(ctx, tx, sub.Key)
		return err
	case !enabled && sub.Enabled: // begins with a clean sheet
		_, err := tx.ExecContext(ctx, "UPDATE dispatches SET failing_since = $1 WHERE tenant = $2 AND subscription = $3",
			s.dialect.at(never), sub.Tenant, sub.ID)
		return err
	}
	return nil
}

const updateSubscription = `UPDATE subscriptions SET name = v.name, events = v.events, filter = v.filter, channel = v.channel,
	target = v.target, rate_limit = v.rate_limit, max_in_flight = v.max_in_flight, enabled = v.enabled, reason = v.reason,
	disabled_at = v.disabled_at, reach_role = v.reach_role, reach_principal = v.reach_principal,
	reach_collections = v.reach_collections, updated_at = v.updated_at
	FROM v WHERE subscriptions.tenant = v.tenant AND subscriptions.id = v.id`

// DeleteSubscription removes a subscription. Its pending deliveries end canceled:
// many at once, the rest by CancelPending.
func (s *Store) DeleteSubscription(ctx context.Context, key subscription.Key) error {
	return s.controlled(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if _, err := s.subscription(ctx, tx, key, s.dialect.lockRow()); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM subscriptions WHERE tenant = $1 AND id = $2", key.Tenant, key.ID); err != nil {
			return err
		}
		// From now on Tidy counts.
		_, err := tx.ExecContext(ctx, "UPDATE dispatches SET lease_until = "+s.dialect.now(0)+" WHERE tenant = $1 AND subscription = $2 AND owner = ''", key.Tenant, key.ID)
		if err != nil {
			return err
		}
		_, err = s.cancelPending(ctx, tx, key)
		return err
	})
}

// CancelPending cancels pending deliveries of a subscription that is disabled or
// deleted, a bounded number, and returns how many.
func (s *Store) CancelPending(ctx context.Context, key subscription.Key) (canceled int64, err error) {
	err = s.transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
		sub, err := s.subscription(ctx, tx, key, s.dialect.lockRow())
		if err != nil && fault.KindOf(err) != fault.NotFound || err == nil && sub.Enabled {
			return err
		}
		canceled, err = s.cancelPending(ctx, tx, key)
		return err
	})
	return canceled, err
}

func (s *Store) cancelPending(ctx context.Context, tx *sql.Tx, key subscription.Key) (int64, error) {
	result, err := tx.ExecContext(ctx, `WITH chosen AS MATERIALIZED (SELECT id FROM deliveries WHERE tenant = $2 AND subscription = $3 AND status = 'pending' LIMIT $4)
		UPDATE deliveries SET status = 'canceled', next_at = $1, finished_at = `+s.dialect.now(0)+`
		FROM chosen WHERE deliveries.tenant = $2 AND deliveries.id = chosen.id AND `+stillPending, s.dialect.at(never), key.Tenant, key.ID, cancelAtOnce)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

func readSubscriptions(ctx context.Context, q querier, statement string, args arguments) ([]subscription.Subscription, error) {
	rows, err := q.QueryContext(ctx, statement, args...)
	if err != nil {
		return nil, err
	}
	var found []subscription.Subscription
	return found, eachRow(rows, func(rows *sql.Rows) error {
		sub, err := scanSubscription(rows)
		found = append(found, sub)
		return err
	})
}

// scanSubscription reads a row of selectSubscriptions.
func scanSubscription(rows *sql.Rows) (sub subscription.Subscription, err error) {
	var events []byte
	var filter, target, rate, reaches string
	var disabledAt, createdAt, updatedAt instant
	err = rows.Scan(&sub.Tenant, &sub.ID, &sub.Name, &events, &filter, &sub.Channel, &target, &rate, &sub.MaxInFlight,
		&sub.Enabled, &sub.Reason, &disabledAt, &sub.CreatedBy, &createdAt, &updatedAt,
		&sub.Reach.Role, &sub.Reach.Principal, &reaches)
	if err != nil {
		return sub, err
	}
	sub.DisabledAt, sub.CreatedAt, sub.UpdatedAt = disabledAt.orZero(), createdAt.Time, updatedAt.Time
	if filter != "" {
		sub.Filter = json.RawMessage(filter)
	}
	if err := json.Unmarshal(events, &sub.Events); err != nil {
		return sub, fmt.Errorf("events of subscription %s: %w", sub.ID, err)
	}
	if sub.Reach.Collections, err = unlisted[string](reaches); err != nil {
		return sub, fmt.Errorf("reach of subscription %s: %w", sub.ID, err)
	}
	if sub.Target, err = base64.StdEncoding.DecodeString(target); err != nil {
		return sub, fmt.Errorf("target of subscription %s: %w", sub.ID, err)
	}
	if rate != "" {
		if sub.Rate, err = collection.ParseRate(rate); err != nil {
			return sub, fmt.Errorf("rate limit of subscription %s: %w", sub.ID, err)
		}
	}
	return sub, nil
}
