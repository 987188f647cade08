package testenv

import (
	"fmt"
	"os/exec"
	"testing"
)

// Prometheus returns the path of a program of Prometheus's: prometheus or
// promtool. Where it is not installed the test is skipped, or fails if
// WAYBILL_TEST_REQUIRE names prometheus.
func Prometheus(t testing.TB, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		unavailable(t, "prometheus", fmt.Errorf("%s: %w", program, ErrNotInstalled))
	}
	return path
}
