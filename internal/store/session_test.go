package store

import (
	"strings"
	"testing"

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
