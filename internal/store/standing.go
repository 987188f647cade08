package store

import (
	"context"

	"github.com/waybill-dev/waybill/internal/telemetry"
)

// Bounds of what Standing counts: a metric may not cost more for a larger system.
const (
	mostSubscriptions = 100_000
	mostBehind        = 1_000
	mostPending       = 10_000
)

// standingStatement counts in one row. What is pending is counted along the index of
// what is due, which the order makes Postgres do whatever its statistics say.
func (s *Store) standingStatement() (string, arguments) {
	args := arguments{mostSubscriptions, mostBehind, mostPending}
	return `SELECT (SELECT count(*) FROM (SELECT enabled FROM subscriptions LIMIT $1) AS s WHERE enabled),
		(SELECT count(*) FROM (SELECT enabled FROM subscriptions LIMIT $1) AS s WHERE NOT enabled),
		(SELECT count(*) FROM (SELECT 1 FROM dispatches AS p WHERE ` + pendingOf + ` AND d.next_at < ` + s.once(-60) + `) LIMIT $2) AS b),
		(SELECT count(*) FROM (SELECT 1 FROM deliveries` + s.dialect.by("deliveries_due") + ` WHERE status = 'pending'
			ORDER BY tenant, subscription, next_at, id LIMIT $3) AS d)`, args
}

// Standing counts subscriptions and pending deliveries, for metrics, up to bounds.
func (s *Store) Standing(ctx context.Context) (n telemetry.Standing, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	statement, args := s.standingStatement()
	err = s.reads.QueryRowContext(ctx, statement, args...).Scan(&n.Enabled, &n.Disabled, &n.Behind, &n.Pending)
	return n, asFault(err)
}
