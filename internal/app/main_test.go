package app_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/waybill-dev/waybill/internal/testenv"
)

// These tests run whole systems: the commands as they are built, as processes of
// their own, on real servers. What they see is what a user sees: HTTP, tables,
// keys, exit statuses.
func TestMain(m *testing.M) {
	code := testenv.Main(m)
	if err := built.remove(); err != nil {
		fmt.Fprintln(os.Stderr, "remove the commands:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}
