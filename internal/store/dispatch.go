package store

import (
	"context"
	"database/sql"
	"slices"
	"time"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/subscription"
)

// Lease is how long a worker is the only one to deliver to a subscription,
// unless it renews.
const Lease = 15 * time.Second

const leaseSeconds = int(Lease / time.Second)

// Dispatch is what a worker that may deliver to a subscription must know.
type Dispatch struct {
	Owner        string        // who may deliver now: the caller, if Acquire succeeded
	Pause        time.Duration // the rate allows no attempt for so long
	FailingSince time.Time     // zero: the last attempt succeeded, or there was none
}

// Acquire makes owner the one worker that delivers to a subscription, for a
// Lease, unless another one's lease runs: then the answer names that one.
// NotFound if there is nothing to deliver to it any more.
func (s *Store) Acquire(ctx context.Context, key subscription.Key, owner string) (*Dispatch, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	// The row is written in any case, so that this waits for a Release under way:
	// either that one sees the deliveries which the caller comes for, or the caller
	// gets the lease. See Release.
	mine := "owner IN ('', $3) OR lease_until < " + s.dialect.now(0)
	statement := "UPDATE dispatches SET owner = CASE WHEN " + mine + " THEN $3 ELSE owner END, " +
		"lease_until = CASE WHEN " + mine + " THEN " + s.dialect.now(leaseSeconds) + " ELSE lease_until END " +
		"WHERE tenant = $1 AND subscription = $2 RETURNING owner, paced_until, failing_since, " + s.dialect.now(0) + ", " + s.dialect.relaxed()
	rows, err := s.writes.QueryContext(ctx, statement, key.Tenant, key.ID, owner)
	if err != nil {
		return nil, unavailable(err)
	}
	var found *Dispatch
	err = eachRow(rows, func(rows *sql.Rows) error {
		var pacedUntil, failingSince, now instant
		var relaxed string
		found = &Dispatch{}
		err := rows.Scan(&found.Owner, &pacedUntil, &failingSince, &now, &relaxed)
		found.Pause, found.FailingSince = max(0, pacedUntil.Sub(now.Time)), failingSince.orZero()
		return err
	})
	if err != nil {
		return nil, unavailable(err)
	}
	if found == nil {
		return nil, noSubscription(key)
	}
	return found, nil
}

// Renew prolongs owner's leases by a Lease from now, and returns those that it
// still has.
func (s *Store) Renew(ctx context.Context, owner string, keys []subscription.Key) (held []subscription.Key, err error) {
	err = s.transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
		held = nil
		input := []column{
			pluck(keys, "tenant", "text", func(k *subscription.Key) string { return k.Tenant }),
			pluck(keys, "id", "uuid", func(k *subscription.Key) string { return k.ID }),
			pluck(keys, "owner", "text", func(*subscription.Key) string { return owner }),
		}
		statement := "UPDATE dispatches SET lease_until = " + s.dialect.now(leaseSeconds) + " FROM v WHERE dispatches.tenant = v.tenant" +
			" AND dispatches.subscription = v.id AND dispatches.owner = v.owner RETURNING dispatches.tenant, dispatches.subscription"
		return s.dialect.query(ctx, tx, input, statement, func(rows *sql.Rows) error {
			var k subscription.Key
			err := rows.Scan(&k.Tenant, &k.ID)
			held = append(held, k)
			return err
		})
	})
	return held, err
}

// Release gives owner's lease up, unless a delivery is due: then the answer is
// false, and the owner must go on. pause is how long the rate allows no attempt.
func (s *Store) Release(ctx context.Context, key subscription.Key, owner string, pause time.Duration) (released bool, err error) {
	err = s.transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
		// First the row is locked, then the deliveries are looked at, by a statement of
		// its own. Whoever was refused the lease came before the lock, after its
		// deliveries were committed: they are seen here.
		rows, err := tx.QueryContext(ctx, "SELECT "+s.dialect.now(0)+", "+s.dialect.relaxed()+
			" FROM dispatches WHERE tenant = $1 AND subscription = $2"+s.dialect.lockRow(), key.Tenant, key.ID)
		if err != nil {
			return err
		}
		var now instant
		var relaxed string
		if err := eachRow(rows, func(rows *sql.Rows) error { return rows.Scan(&now, &relaxed) }); err != nil {
			return err
		}
		result, err := tx.ExecContext(ctx, "UPDATE dispatches SET owner = '', paced_until = $4 WHERE tenant = $1 AND subscription = $2 AND owner = $3"+
			" AND NOT EXISTS (SELECT 1 FROM deliveries WHERE tenant = $1 AND subscription = $2 AND status = 'pending' AND next_at <= "+s.once(0)+")",
			key.Tenant, key.ID, owner, s.dialect.at(now.Add(pause)))
		if err != nil {
			return err
		}
		changed, err := result.RowsAffected()
		released = changed > 0
		return err
	})
	return released, err
}

// Due is a delivery whose time has come, and the event.
type Due struct {
	subscription.Delivery
	Body  []byte
	Trace record.Trace // the event's
}

// DueFor returns at most limit deliveries of a subscription that are due, the
// longest first, without those that except has (by ID).
func (s *Store) DueFor(ctx context.Context, key subscription.Key, limit int, except map[string]bool) ([]Due, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	ids, err := s.dueIDs(ctx, key, limit+len(except))
	if err != nil {
		return nil, unavailable(err)
	}
	ids = slices.DeleteFunc(ids, func(id string) bool { return except[id] })
	ids = ids[:min(len(ids), limit)]
	if len(ids) == 0 {
		return nil, nil
	}
	input := []column{
		pluck(ids, "tenant", "text", func(*string) string { return key.Tenant }),
		pluck(ids, "id", "uuid", func(id *string) string { return *id }),
	}
	statement := selectDeliveries + ", events.body, events.traceparent, events.tracestate FROM v JOIN deliveries ON deliveries.tenant = v.tenant AND deliveries.id = v.id" +
		" JOIN events ON events.tenant = deliveries.tenant AND events.id = deliveries.event WHERE " + stillPending
	place := make(map[string]int, len(ids))
	for i, id := range ids {
		place[id] = i
	}
	found := make([]Due, 0, len(ids))
	err = s.dialect.query(ctx, s.reads, input, statement, func(rows *sql.Rows) error {
		var d Due
		var err error
		d.Delivery, err = scanDelivery(rows, &d.Body, &d.Trace.Parent, &d.Trace.State)
		found = append(found, d)
		return err
	})
	if err != nil {
		return nil, unavailable(err)
	}
	slices.SortFunc(found, func(a, b Due) int { return place[a.ID] - place[b.ID] })
	return found, nil
}

// once is the database's time as a bound of an index: a clock that is read for
// each row makes the database pass over all that is due later.
func (s *Store) once(ahead int) string { return "(SELECT " + s.dialect.now(ahead) + ")" }

func (s *Store) dueStatement() string {
	return "SELECT id FROM deliveries" + s.dialect.by("deliveries_due") +
		" WHERE tenant = $1 AND subscription = $2 AND status = 'pending' AND next_at <= " + s.once(0) +
		" ORDER BY next_at, id LIMIT $3"
}

func (s *Store) dueIDs(ctx context.Context, key subscription.Key, limit int) (ids []string, err error) {
	rows, err := s.reads.QueryContext(ctx, s.dueStatement(), key.Tenant, key.ID, limit)
	if err != nil {
		return nil, err
	}
	return ids, eachRow(rows, func(rows *sql.Rows) error {
		var id string
		err := rows.Scan(&id)
		ids = append(ids, id)
		return err
	})
}

// Tried is an attempt that ended, and what becomes of its delivery.
type Tried struct {
	Delivery subscription.Delivery // as it was when the attempt began
	Attempt  subscription.Attempt
	Status   subscription.Status // Pending: to be tried again after Delay
	Delay    time.Duration
	Progress string
}

// Failing is since when all attempts for a subscription have failed; zero: since
// never. Owner, who found out, must have the lease for it to count.
type Failing struct {
	subscription.Key
	Owner string
	Since time.Time
}

// RecordAttempts stores attempts and what becomes of their deliveries, in one
// transaction. A delivery that meanwhile was replayed or tried by somebody else
// keeps what it has, and one that was canceled stays so unless the attempt
// succeeded; the attempt is stored all the same.
func (s *Store) RecordAttempts(ctx context.Context, tried []Tried, failing []Failing) error {
	return s.transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
		input := attemptColumns(tried)
		if _, err := s.dialect.exec(ctx, tx, input, insertInto("attempts", input)+" ON CONFLICT (tenant, delivery, id) DO NOTHING"); err != nil {
			return err
		}
		input, err := s.outcomeColumns(ctx, tx, tried)
		if err != nil {
			return err
		}
		if _, err := s.dialect.exec(ctx, tx, input, recordOutcomes); err != nil || len(failing) == 0 {
			return err
		}
		input = []column{
			pluck(failing, "tenant", "text", func(f *Failing) string { return f.Tenant }),
			pluck(failing, "id", "uuid", func(f *Failing) string { return f.ID }),
			pluck(failing, "owner", "text", func(f *Failing) string { return f.Owner }),
			pluck(failing, "since", "timestamptz", func(f *Failing) time.Time { return orNever(f.Since) }),
		}
		_, err = s.dialect.exec(ctx, tx, input, "UPDATE dispatches SET failing_since = v.since FROM v"+
			" WHERE dispatches.tenant = v.tenant AND dispatches.subscription = v.id AND dispatches.owner = v.owner")
		return err
	})
}

// stillPending is a condition on deliveries that are found by their IDs. Written so,
// no index of what is pending serves it: as long as their statistics are old,
// PostgreSQL would rather read one of those to its end, for each ID.
const stillPending = "deliveries.status || '' = 'pending'"

// recordOutcomes lets an attempt count that was under way when its delivery was
// canceled: if it succeeded, the event was delivered.
const recordOutcomes = `UPDATE deliveries SET tries = v.tries + 1, attempts = v.attempts + 1, error = v.error, progress = v.progress,
	status = CASE WHEN ` + staysCanceled + ` THEN deliveries.status ELSE v.status END,
	next_at = CASE WHEN ` + staysCanceled + ` THEN deliveries.next_at ELSE v.next_at END,
	finished_at = CASE WHEN ` + staysCanceled + ` THEN deliveries.finished_at ELSE v.finished_at END
	FROM v WHERE deliveries.tenant = v.tenant AND deliveries.id = v.id AND deliveries.status || '' IN ('pending', 'canceled')
	AND deliveries.generation = v.generation AND deliveries.attempts = v.attempts`

const staysCanceled = "deliveries.status = 'canceled' AND v.status <> 'delivered'"

func attemptColumns(in []Tried) []column {
	return []column{
		pluck(in, "tenant", "text", func(t *Tried) string { return t.Delivery.Tenant }),
		pluck(in, "delivery", "uuid", func(t *Tried) string { return t.Delivery.ID }),
		pluck(in, "id", "uuid", func(t *Tried) string { return t.Attempt.ID }),
		pluck(in, "at", "timestamptz", func(t *Tried) time.Time { return orNever(t.Attempt.At) }),
		pluck(in, "status", "integer", func(t *Tried) int64 { return int64(t.Attempt.Status) }),
		pluck(in, "took", "bigint", func(t *Tried) int64 { return t.Attempt.Took.Microseconds() }),
		pluck(in, "reply", "text", func(t *Tried) string { return legible(string(t.Attempt.Reply)) }),
		pluck(in, "error", "text", func(t *Tried) string { return legible(t.Attempt.Error) }),
	}
}

// outcomeColumns reckons times by the database's clock.
func (s *Store) outcomeColumns(ctx context.Context, tx *sql.Tx, in []Tried) ([]column, error) {
	now, err := s.clock(ctx, tx)
	if err != nil {
		return nil, err
	}
	return []column{
		pluck(in, "tenant", "text", func(t *Tried) string { return t.Delivery.Tenant }),
		pluck(in, "id", "uuid", func(t *Tried) string { return t.Delivery.ID }),
		pluck(in, "status", "text", func(t *Tried) string { return string(t.Status) }),
		pluck(in, "generation", "integer", func(t *Tried) int64 { return int64(t.Delivery.Generation) }),
		pluck(in, "tries", "integer", func(t *Tried) int64 { return int64(t.Delivery.Tries) }),
		pluck(in, "attempts", "integer", func(t *Tried) int64 { return int64(t.Delivery.Attempts) }),
		pluck(in, "error", "text", func(t *Tried) string { return legible(t.Attempt.Error) }),
		pluck(in, "progress", "text", func(t *Tried) string { return legible(t.Progress) }),
		pluck(in, "next_at", "timestamptz", func(t *Tried) time.Time {
			if t.Status == subscription.Pending {
				return orNever(now.Add(t.Delay))
			}
			return never
		}),
		pluck(in, "finished_at", "timestamptz", func(t *Tried) time.Time {
			if t.Status == subscription.Pending {
				return never
			}
			return now
		}),
	}, nil
}

// pendingOf begins the condition that a subscription has pending deliveries.
const pendingOf = "EXISTS (SELECT 1 FROM deliveries AS d WHERE d.tenant = p.tenant AND d.subscription = p.subscription AND d.status = 'pending'"

// Tidy forgets the dispatches of subscriptions that were deleted a minute ago and
// have nothing pending. Before that, a transaction that still saw one may make a
// delivery, which Overdue must find.
func (s *Store) Tidy(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	_, err := s.writes.ExecContext(ctx, "DELETE FROM dispatches AS p WHERE p.owner = '' AND p.lease_until < "+s.dialect.now(-60)+
		" AND NOT EXISTS (SELECT 1 FROM subscriptions AS s WHERE s.tenant = p.tenant AND s.id = p.subscription) AND NOT "+pendingOf+")")
	return asFault(err)
}

// Overdue returns the subscriptions that somebody should look after, though
// nobody does: a delivery has been due for a second, or is still pending though
// the subscription is disabled or deleted.
func (s *Store) Overdue(ctx context.Context) ([]subscription.Key, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	return readKeys(ctx, s.reads, "SELECT p.tenant, p.subscription FROM dispatches AS p WHERE (p.owner = '' OR p.lease_until < "+s.dialect.now(0)+
		") AND ("+pendingOf+" AND d.next_at <= "+s.once(-1)+") OR "+pendingOf+") AND NOT EXISTS"+
		" (SELECT 1 FROM subscriptions AS s WHERE s.tenant = p.tenant AND s.id = p.subscription AND s.enabled))")
}

// Disable disables a subscription, for the reason given, unless that was done
// already, and announces notice to whoever wants to know. It returns whose
// deliveries that made.
func (s *Store) Disable(ctx context.Context, key subscription.Key, reason string, at time.Time, notice func(*subscription.Subscription) subscription.Event) (told []subscription.Key, err error) {
	err = s.controlled(ctx, func(ctx context.Context, tx *sql.Tx) error {
		sub, err := s.subscription(ctx, tx, key, s.dialect.lockRow())
		if fault.KindOf(err) == fault.NotFound || err == nil && !sub.Enabled {
			return nil
		}
		if err != nil {
			return err
		}
		sub.Enabled, sub.Reason, sub.DisabledAt = false, reason, at
		sub.UpdatedAt = sub.UpdatedAt.Add(time.Microsecond) // at least: it tells one state from another
		if at.After(sub.UpdatedAt) {
			sub.UpdatedAt = at
		}
		if err := s.writeSubscription(ctx, tx, sub, true); err != nil {
			return err
		}
		if told, err = s.announceNotice(ctx, tx, sub, notice(sub)); err != nil {
			return err
		}
		return s.audit(ctx, tx, key.Tenant, "subscription.disable", key.ID, nil)
	})
	return told, err
}

// announceNotice stores an event about a subscription, for whoever else wants it.
// It goes by the transaction's own view, which nobody else may have: nothing of
// it is kept in memory.
func (s *Store) announceNotice(ctx context.Context, tx *sql.Tx, about *subscription.Subscription, e subscription.Event) (told []subscription.Key, err error) {
	all, err := readSubscriptions(ctx, tx, selectSubscriptions+" FROM subscriptions WHERE tenant = $1", arguments{about.Tenant})
	if err != nil {
		return nil, err
	}
	now, err := s.clock(ctx, tx)
	if err != nil {
		return nil, err
	}
	var deliveries []subscription.Delivery
	for i := range all {
		if to := &all[i]; to.Enabled && to.ID != about.ID && to.Wants(&e, s.rules) {
			told = append(told, to.Key)
			deliveries = append(deliveries, newDelivery(&e, to.ID, now, now))
		}
	}
	return told, s.insertEvents(ctx, tx, []subscription.Event{e}, deliveries)
}

// Abandon gives up all leases of owner, whatever is due, and returns whose.
func (s *Store) Abandon(ctx context.Context, owner string) ([]subscription.Key, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	return readKeys(ctx, s.writes, "UPDATE dispatches SET owner = '' WHERE owner = $1 RETURNING tenant, subscription", owner)
}

// readKeys returns the subscriptions that statement names.
func readKeys(ctx context.Context, db *sql.DB, statement string, args ...any) (keys []subscription.Key, err error) {
	rows, err := db.QueryContext(ctx, statement, args...)
	if err == nil {
		err = eachRow(rows, func(rows *sql.Rows) error {
			var k subscription.Key
			err := rows.Scan(&k.Tenant, &k.ID)
			keys = append(keys, k)
			return err
		})
	}
	if err != nil {
		return nil, unavailable(err)
	}
	return keys, nil
}
