package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/subscription"
)

// ReplayQuery selects events by when they were accepted.
type ReplayQuery struct {
	Since, Until time.Time // both included
	Dead         bool      // only those whose delivery is dead; else all that the subscription wants
}

const (
	// mostReplayed bounds one replay, so that a request for it ends.
	mostReplayed = 100_000
	// replayAtOnce is how many events one transaction replays.
	replayAtOnce = 1000
	// clockSkew is how much earlier than its event a delivery may seem to be made.
	clockSkew = time.Hour
)

// Replay makes deliveries of past events due now, in a new generation, and makes
// those that are missing. It returns how many. What is due anyway is left alone.
// Conflict if the subscription is disabled; InvalidRecord if the range has too
// many events for one replay: then nothing was replayed.
func (s *Store) Replay(ctx context.Context, key subscription.Key, q ReplayQuery) (count int, err error) {
	r := replay{s, key, firstID(q.Since), firstID(q.Until.Add(time.Microsecond)), firstID(q.Since.Add(-clockSkew)), newEntryID()}
	next, statement, args := r.wanted, "SELECT 1"+eventsBetween, arguments{key.Tenant, r.low, r.high}
	if q.Dead {
		next, statement, args = r.dead, "SELECT 1"+deadBetween, arguments{key.Tenant, r.low, r.high, key.ID, r.made}
	}
	if err := s.bounded(ctx, statement, args); err != nil {
		return 0, err
	}
	for more := true; more; {
		var n int64
		low := r.low
		err := s.transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
			r.low = low // again, if what failed is run once more
			sub, err := s.mustDeliver(ctx, tx, key)
			if err != nil {
				return err
			}
			if n, more, err = next(ctx, tx, sub); err != nil {
				return err
			}
			return s.auditAs(ctx, tx, r.entry, key.Tenant, "subscription.replay", key.ID, detail{"count": count + int(n)})
		})
		if err != nil {
			return count, err
		}
		count += int(n)
	}
	return count, nil
}

const (
	eventsBetween = " FROM events WHERE tenant = $1 AND id > $2 AND id < $3"
	deadBetween   = " FROM deliveries WHERE tenant = $1 AND event > $2 AND event < $3 AND subscription = $4 AND status = 'dead' AND id >= $5"
)

// bounded refuses a replay of more than mostReplayed rows.
func (s *Store) bounded(ctx context.Context, statement string, args arguments) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	var n int
	statement = "SELECT count(*) FROM (" + statement + " LIMIT " + args.add(mostReplayed+1) + ") AS r"
	if err := s.reads.QueryRowContext(ctx, statement, args...).Scan(&n); err != nil {
		return unavailable(err)
	}
	if n > mostReplayed {
		return fault.At(fault.InvalidRecord, "body.since", "there are more than %d events from since to until: replay a shorter time", mostReplayed)
	}
	return nil
}

// replay is one replay under way: events after low and before high are left,
// whose deliveries have IDs from made. All its transactions have one entry.
type replay struct {
	*Store
	key             subscription.Key
	low, high, made string
	entry           string // ID of its entry in the audit
}

// firstID is lower than the ID of every event of that time and later.
func firstID(t time.Time) string {
	return record.NewID(max(0, t.UnixMicro()), 0, 0)[:19] + "0000-000000000000"
}

// dead renews some dead deliveries, and says whether there may be more.
func (r *replay) dead(ctx context.Context, tx *sql.Tx, _ *subscription.Subscription) (int64, bool, error) {
	result, err := tx.ExecContext(ctx, "WITH chosen AS MATERIALIZED (SELECT id"+deadBetween+" LIMIT $6) UPDATE deliveries SET "+r.renewed("$7")+
		" FROM chosen WHERE deliveries.tenant = $1 AND deliveries.id = chosen.id",
		r.key.Tenant, r.low, r.high, r.key.ID, r.made, replayAtOnce, r.dialect.at(never))
	if err != nil {
		return 0, false, err
	}
	n, err := result.RowsAffected()
	return n, n == replayAtOnce, err
}

// wanted makes or renews the deliveries of some events that the subscription
// wants, and says whether there may be more.
func (r *replay) wanted(ctx context.Context, tx *sql.Tx, sub *subscription.Subscription) (int64, bool, error) {
	now, err := r.clock(ctx, tx)
	if err != nil {
		return 0, false, err
	}
	// Locked: a purge must not take them before they have their deliveries.
	rows, err := tx.QueryContext(ctx, "SELECT id, type, owner, body"+eventsBetween+" ORDER BY id LIMIT $4"+r.dialect.lockRow(), r.key.Tenant, r.low, r.high, replayAtOnce)
	if err != nil {
		return 0, false, err
	}
	var events []subscription.Event
	err = eachRow(rows, func(rows *sql.Rows) error {
		e := subscription.Event{Tenant: r.key.Tenant}
		err := rows.Scan(&e.ID, &e.Type, &e.Owner, &e.Body)
		events = append(events, e)
		return err
	})
	if err != nil || len(events) == 0 {
		return 0, false, err
	}
	var deliveries []subscription.Delivery
	for i := range events {
		if sub.Wants(&events[i], r.rules) {
			deliveries = append(deliveries, newDelivery(&events[i], sub.ID, now, now))
		}
	}
	var n int64
	if len(deliveries) > 0 {
		input := deliveryColumns(deliveries)
		n, err = r.dialect.exec(ctx, tx, input, insertInto("deliveries", input)+" ON CONFLICT (tenant, event, subscription) DO UPDATE SET "+
			r.renewed("excluded.finished_at")+" WHERE "+r.renewable())
		if err != nil {
			return 0, false, err
		}
	}
	r.low = events[len(events)-1].ID
	return n, len(events) == replayAtOnce, nil
}
