package app_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/waybill-dev/waybill/internal/testenv"
)

// quickRetries has a delivery tried again soon, and for long.
var quickRetries = "WAYBILL_WEBHOOK_RETRIES=200ms,500ms" + strings.Repeat(",1s", 40)

// writeMessages has n messages of the same content stored, and returns the
// operations.
func writeMessages(t testing.TB, base string, n int, content string) (ids []string) {
	t.Helper()
	lines := strings.Repeat(fmt.Sprintf("{\"content\":%q}\n", content), n)
	a := mustCall(t, http.MethodPost, base+"/api/messages", lines, "Content-Type", "application/x-ndjson").want(t, http.StatusAccepted)
	for _, o := range a.operations(t) {
		ids = append(ids, o.ID)
	}
	awaitDone(t, 30*time.Second, base, ids...)
	return ids
}

// counts are the operation's deliveries.
func counts(t testing.TB, base, operation string) deliveryCounts {
	t.Helper()
	return mustCall(t, http.MethodGet, base+"/api/operations/"+operation, "").want(t, http.StatusOK).operation(t).Deliveries
}

// awaitCounts waits until each operation's deliveries stand so.
func awaitCounts(t testing.TB, within time.Duration, base string, operations []string, want deliveryCounts) {
	t.Helper()
	testenv.Eventually(t, within, fmt.Sprintf("deliveries of %d operations are %+v", len(operations), want), func() error {
		for len(operations) > 0 {
			if got := counts(t, base, operations[0]); got != want {
				return fmt.Errorf("of %s: %+v (%d left)", operations[0], got, len(operations))
			}
			operations = operations[1:]
		}
		return nil
	})
}

// checkNonePending says how many deliveries are pending: none may be.
func checkNonePending(ctx context.Context, db *pgx.Conn) error {
	var n int
	err := db.QueryRow(ctx, "SELECT count(*) FROM deliveries WHERE status = 'pending'").Scan(&n)
	if err == nil && n > 0 {
		err = fmt.Errorf("%d deliveries are pending", n)
	}
	return err
}

// checkAlive fails the test if a process has ended.
func (s *system) checkAlive(t testing.TB) {
	t.Helper()
	for _, p := range s.processes() {
		if status, err := p.wait(0); err == nil {
			t.Errorf("%s at %s has ended: %v", p.name, p.ops, status)
		}
	}
}

// checkRows: there is one delivery of each of n events, and all are delivered.
func checkRows(t testing.TB, db *pgx.Conn, subscription string, n int) {
	t.Helper()
	if got := count(t, db, "SELECT count(*) FROM deliveries WHERE subscription = $1::text::uuid", subscription); got != n {
		t.Errorf("%d deliveries for %s, want %d", got, subscription, n)
	}
	if got := count(t, db, "SELECT count(DISTINCT event) FROM deliveries WHERE subscription = $1::text::uuid AND status = 'delivered'", subscription); got != n {
		t.Errorf("%d events are delivered for %s, want %d", got, subscription, n)
	}
}
