package store

import (
	"strings"
	"testing"

	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/testenv"
)

// TestPostgres_CompilesNoStatement: a sequential scan, which is reckoned very dear
// here, is not worth 20 ms of compiling each time.
func TestPostgres_CompilesNoStatement(t *testing.T) {
	t.Parallel()
	s := filled(t, testenv.PostgresURL(t))
	plan := explain(t, s.reads, "EXPLAIN ANALYZE SELECT version, clock_timestamp() FROM subscription_changes")
	if strings.Contains(plan, "JIT:") {
		t.Errorf("compiled:\n%s", plan)
	}
}

// TestStore_PassesOverNothingThatIsDueLater: a receiver that is down has any
// number of deliveries that wait, and each new one has what is due looked for.
func TestStore_PassesOverNothingThatIsDueLater(t *testing.T) {
	t.Parallel()
	s := filled(t, testenv.PostgresURL(t))
	plan := explain(t, s.reads, "EXPLAIN "+s.dueStatement(), "default", record.NewID(1, 1, 1), 16)
	if !strings.Contains(plan, "next_at <=") || strings.Contains(plan, "Filter:") {
		t.Errorf("next_at is no bound of the index:\n%s", plan)
	}
}
