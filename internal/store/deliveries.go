package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/subscription"
)

// DeliveryQuery selects and pages a list of deliveries. What is "" selects all.
type DeliveryQuery struct {
	Subscription string
	Event        string // the event's ID, which is the operation's
	Status       subscription.Status
	Limit        int    // at least 1
	Before       string // ID of the last delivery of the page before
}

const selectDeliveries = `SELECT deliveries.tenant, deliveries.id, deliveries.subscription, deliveries.event, deliveries.type, deliveries.status,
	deliveries.generation, deliveries.tries, deliveries.attempts, deliveries.next_at, deliveries.error, deliveries.progress,
	deliveries.created_at, deliveries.finished_at`

// Deliveries returns a page of a tenant's deliveries, newest first, and whether
// there are more. A page costs the same at any depth.
func (s *Store) Deliveries(ctx context.Context, tenant string, q DeliveryQuery) (items []subscription.Delivery, more bool, err error) {
	if !storable(tenant) || !isUUID(q.Subscription) || !isUUID(q.Event) || !isUUID(q.Before) ||
		q.Status != "" && !slices.Contains(subscription.Statuses, q.Status) {
		return nil, false, nil
	}
	statement, args := deliveriesStatement(s.dialect, tenant, q)
	if items, err = s.readDeliveries(ctx, statement, args); err != nil {
		return nil, false, err
	}
	items, more = cut(items, q.Limit)
	return items, more, nil
}

// isUUID says whether text can be an ID here; "" stands for any.
func isUUID(text string) bool {
	if text == "" {
		return true
	}
	id, err := uuid.Parse(text)
	return err == nil && id.String() == text
}

// deliveriesStatement returns the newest rows of each of the index ranges that
// the query's deliveries lie in, and of these the newest, like operationsStatement.
func deliveriesStatement(d dialect, tenant string, q DeliveryQuery) (string, arguments) {
	var args arguments
	where := " WHERE tenant = " + args.add(tenant)
	if q.Before != "" {
		where += " AND id < " + args.add(q.Before)
	}
	ranges := deliveryRanges(q, &args)
	newest := " ORDER BY id DESC LIMIT " + args.add(q.Limit+1)
	parts := make([]string, len(ranges))
	for i, r := range ranges {
		parts[i] = fmt.Sprintf("SELECT * FROM (%s FROM deliveries%s%s%s%s) AS r%d", selectDeliveries, d.by(r.index), where, r.condition, newest, i)
	}
	return strings.Join(parts, " UNION ALL ") + newest, args
}

// deliveryRanges returns ranges that exclude each other.
func deliveryRanges(q DeliveryQuery, args *arguments) []indexRange {
	status := ""
	if q.Status != "" {
		status = " AND status = '" + string(q.Status) + "'"
	}
	switch {
	case q.Event != "":
		condition := " AND event = " + args.add(q.Event) + status
		if q.Subscription != "" {
			condition += " AND subscription = " + args.add(q.Subscription)
		}
		return []indexRange{{"deliveries_by_event", condition}}
	case q.Subscription != "":
		same := " AND subscription = " + args.add(q.Subscription)
		if status != "" {
			return []indexRange{{"deliveries_by_subscription", same + status}}
		}
		ranges := make([]indexRange, len(subscription.Statuses))
		for i, each := range subscription.Statuses {
			ranges[i] = indexRange{"deliveries_by_subscription", same + " AND status = '" + string(each) + "'"}
		}
		return ranges
	case q.Status == subscription.Delivered || status == "":
		return []indexRange{{"", status}}
	}
	return []indexRange{{"deliveries_not_delivered", status + " AND status <> 'delivered'"}}
}

// Delivery returns a delivery, or NotFound.
func (s *Store) Delivery(ctx context.Context, tenant, id string) (*subscription.Delivery, error) {
	if id == "" || !isUUID(id) || !storable(tenant) {
		return nil, noDelivery(id)
	}
	found, err := s.readDeliveries(ctx, selectDeliveries+" FROM deliveries WHERE tenant = $1 AND id = $2", arguments{tenant, id})
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, noDelivery(id)
	}
	return &found[0], nil
}

func noDelivery(id string) error { return fault.New(fault.NotFound, "there is no delivery %q", id) }

// Attempts returns the attempts at a delivery, the first first.
func (s *Store) Attempts(ctx context.Context, tenant, delivery string) ([]subscription.Attempt, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	rows, err := s.reads.QueryContext(ctx, "SELECT tenant, delivery, id, at, status, took, reply, error FROM attempts WHERE tenant = $1 AND delivery = $2 ORDER BY id", tenant, delivery)
	if err != nil {
		return nil, unavailable(err)
	}
	var found []subscription.Attempt
	err = eachRow(rows, func(rows *sql.Rows) error {
		var a subscription.Attempt
		var at instant
		var took int64
		err := rows.Scan(&a.Tenant, &a.Delivery, &a.ID, &at, &a.Status, &took, &a.Reply, &a.Error)
		a.At, a.Took = at.Time, time.Duration(took)*time.Microsecond
		found = append(found, a)
		return err
	})
	if err != nil {
		return nil, unavailable(err)
	}
	return found, nil
}

// DeliveryCounts returns how many deliveries of operations stand where, by the
// operation's ID. One without any is left out.
func (s *Store) DeliveryCounts(ctx context.Context, keys []record.OperationKey) (map[string]subscription.Counts, error) {
	counts := map[string]subscription.Counts{}
	if len(keys) == 0 {
		return counts, nil
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	input := []column{
		pluck(keys, "tenant", "text", func(k *record.OperationKey) string { return k.Tenant }),
		pluck(keys, "id", "uuid", func(k *record.OperationKey) string { return k.ID }),
	}
	statement := "SELECT deliveries.event, deliveries.status, count(*) FROM v JOIN deliveries ON deliveries.tenant = v.tenant AND deliveries.event = v.id GROUP BY deliveries.event, deliveries.status"
	err := s.dialect.query(ctx, s.reads, input, statement, func(rows *sql.Rows) error {
		var id string
		var status subscription.Status
		var n int
		err := rows.Scan(&id, &status, &n)
		c := counts[id]
		c.Add(status, n)
		counts[id] = c
		return err
	})
	if err != nil {
		return nil, unavailable(err)
	}
	return counts, nil
}

// Announce stores an event that is for one subscription alone, and its delivery.
// Conflict if the subscription is disabled.
func (s *Store) Announce(ctx context.Context, e *subscription.Event, to subscription.Key) (made *subscription.Delivery, err error) {
	err = s.transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if _, err := s.mustDeliver(ctx, tx, to); err != nil {
			return err
		}
		now, err := s.clock(ctx, tx)
		if err != nil {
			return err
		}
		d := newDelivery(e, to.ID, now, now)
		made = &d
		if err := s.insertEvents(ctx, tx, []subscription.Event{*e}, []subscription.Delivery{d}); err != nil {
			return err
		}
		return s.audit(ctx, tx, to.Tenant, "subscription.test", to.ID, detail{"delivery": d.ID})
	})
	return made, err
}

// mustDeliver returns the subscription if it is enabled, else Conflict or
// NotFound. It cannot be disabled or deleted before the transaction ends.
func (s *Store) mustDeliver(ctx context.Context, tx *sql.Tx, key subscription.Key) (*subscription.Subscription, error) {
	sub, err := s.subscription(ctx, tx, key, s.dialect.lockRow())
	if err == nil && !sub.Enabled {
		err = fault.New(fault.Conflict, "the subscription is disabled: enable it first")
	}
	return sub, err
}

// RetryDelivery makes a delivery due now, in a new generation with the whole
// schedule before it. Conflict if it is due anyway, and so may be being made, or
// if its subscription is disabled or gone.
func (s *Store) RetryDelivery(ctx context.Context, tenant, id string) (*subscription.Delivery, error) {
	d, err := s.Delivery(ctx, tenant, id)
	if err != nil {
		return nil, err
	}
	err = s.transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
		key := subscription.Key{Tenant: tenant, ID: d.Subscription}
		_, err := s.mustDeliver(ctx, tx, key)
		if fault.KindOf(err) == fault.NotFound {
			err = fault.New(fault.Conflict, "the subscription is deleted")
		}
		if err != nil {
			return err
		}
		result, err := tx.ExecContext(ctx, "UPDATE deliveries SET "+s.renewed("$1")+" WHERE tenant = $2 AND id = $3 AND "+s.renewable(), s.dialect.at(never), tenant, id)
		if err != nil {
			return err
		}
		changed, err := result.RowsAffected()
		if err == nil && changed == 0 {
			err = fault.New(fault.Conflict, "the delivery is due now: it is being made, or waits for its turn")
		}
		if err != nil {
			return err
		}
		return s.audit(ctx, tx, tenant, "delivery.retry", id, detail{"subscription": d.Subscription})
	})
	if err != nil {
		return nil, err
	}
	return s.Delivery(ctx, tenant, id)
}

// renewed begins a delivery's new generation; never is the expression for the
// time that stands for none.
func (s *Store) renewed(never string) string {
	return "status = 'pending', generation = deliveries.generation + 1, tries = 0, next_at = " + s.dialect.now(0) +
		", error = '', progress = '', finished_at = " + never
}

// renewable is the condition of it: nobody can be making the delivery now.
func (s *Store) renewable() string {
	return "NOT (deliveries.status = 'pending' AND deliveries.next_at <= " + s.dialect.now(0) + ")"
}

func (s *Store) readDeliveries(ctx context.Context, statement string, args arguments) (found []subscription.Delivery, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	rows, err := s.reads.QueryContext(ctx, statement, args...)
	if err == nil {
		err = eachRow(rows, func(rows *sql.Rows) error {
			d, err := scanDelivery(rows)
			found = append(found, d)
			return err
		})
	}
	if err != nil {
		return nil, unavailable(err)
	}
	return found, nil
}

// scanDelivery reads a row of selectDeliveries, and what follows.
func scanDelivery(rows *sql.Rows, more ...any) (d subscription.Delivery, err error) {
	var nextAt, createdAt, finishedAt instant
	err = rows.Scan(append([]any{&d.Tenant, &d.ID, &d.Subscription, &d.Event, &d.Type, &d.Status, &d.Generation, &d.Tries, &d.Attempts,
		&nextAt, &d.Error, &d.Progress, &createdAt, &finishedAt}, more...)...)
	d.NextAt, d.CreatedAt, d.FinishedAt = nextAt.orZero(), createdAt.Time, finishedAt.orZero()
	return d, err
}
