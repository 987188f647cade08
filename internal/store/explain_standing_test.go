package store

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/waybill-dev/waybill/internal/testenv"
)

// manyDeliveries makes more than Standing counts, every second one pending.
const manyDeliveries = `INSERT INTO deliveries (tenant, id, subscription, event, type, status, generation, tries, attempts, next_at, error, progress, created_at, finished_at)
	SELECT 'default', gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'messages.created', CASE n % 2 WHEN 0 THEN 'pending' ELSE 'delivered' END,
		1, 0, 0, now(), '', '', now(), now() FROM generate_series(1, 25000) AS n`

// Metrics never read all deliveries, nor all that are pending.
func TestPlans_OfStanding(t *testing.T) {
	t.Parallel()
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		s := filled(t, testenv.PostgresURL(t))
		for _, statement := range []string{manyDeliveries, "VACUUM ANALYZE deliveries"} {
			if _, err := s.writes.ExecContext(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
		checkStanding(t, s, "EXPLAIN ", "Seq Scan on deliveries", "Sort", "Bitmap Index Scan on deliveries", "Filter: (next_at")
		n, err := s.Standing(t.Context())
		if err != nil || n.Pending != mostPending {
			t.Errorf("%+v, %v: want %d pending", n, err, mostPending)
		}
	})
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		s := filled(t, "sqlite:"+filepath.Join(t.TempDir(), "x.db"))
		checkStanding(t, s, "EXPLAIN QUERY PLAN ", "SCAN deliveries\n", "TEMP B-TREE")
	})
}

func checkStanding(t *testing.T, s *Store, explaining string, never ...string) {
	t.Helper()
	statement, args := s.standingStatement()
	plan := explain(t, s.reads, explaining+statement, args...)
	if n := strings.Count(plan, "deliveries_due"); n != 2 {
		t.Errorf("goes by deliveries_due %d times, want 2:\n%s", n, plan)
	}
	for _, bad := range never {
		if strings.Contains(plan, bad) {
			t.Errorf("%s:\n%s", bad, plan)
		}
	}
}
