package store

import (
	"context"
	"time"
)

// ClaimJob says whether the caller is to do a job of maintenance now: it is due,
// and nobody else was told so within the lease. A job that is due only after longest
// counts as due: the database's clock was wrong when that was noted.
func (s *Store) ClaimJob(ctx context.Context, job string, lease, longest time.Duration) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	result, err := s.writes.ExecContext(ctx, "INSERT INTO maintenance (job, due_at) VALUES ($1, "+s.dialect.now(seconds(lease))+
		") ON CONFLICT (job) DO UPDATE SET due_at = excluded.due_at WHERE maintenance.due_at <= "+s.dialect.now(0)+
		" OR maintenance.due_at > "+s.dialect.now(seconds(longest)), job)
	if err != nil {
		return false, asFault(err)
	}
	n, err := result.RowsAffected()
	return n == 1, asFault(err)
}

// EndJob notes that a job is done, and due again after next.
func (s *Store) EndJob(ctx context.Context, job string, next time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	_, err := s.writes.ExecContext(ctx, "UPDATE maintenance SET due_at = "+s.dialect.now(seconds(next))+" WHERE job = $1", job)
	return asFault(err)
}

func seconds(d time.Duration) int { return int(d / time.Second) }

// Now is the time by the database's clock.
func (s *Store) Now(ctx context.Context) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	var now instant
	err := s.reads.QueryRowContext(ctx, "SELECT "+s.dialect.now(0)).Scan(&now)
	return now.Time, asFault(err)
}
