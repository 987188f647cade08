package store

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/waybill-dev/waybill/internal/testenv"
)

// Metrics never read all deliveries, whatever a planner thinks of them.
func TestPlans_OfStanding(t *testing.T) {
	t.Parallel()
	for name, url := range map[string]func() string{
		"postgres": func() string { return testenv.PostgresURL(t) },
		"sqlite":   func() string { return "sqlite:" + filepath.Join(t.TempDir(), "x.db") },
	} {
		s := filled(t, url())
		statement, args := s.standingStatement()
		plan := explain(t, s.reads, map[bool]string{true: "EXPLAIN ", false: "EXPLAIN QUERY PLAN "}[s.reads == s.writes]+statement, args...)
		if n := strings.Count(plan, "deliveries_due"); n != 2 {
			t.Errorf("%s: goes by deliveries_due %d times, want 2:\n%s", name, n, plan)
		}
		for _, bad := range []string{"Seq Scan on deliveries", "Sort", "SCAN deliveries\n", "SCAN d\n", "TEMP B-TREE"} {
			if strings.Contains(plan, bad) {
				t.Errorf("%s: %s:\n%s", name, bad, plan)
			}
		}
	}
}
