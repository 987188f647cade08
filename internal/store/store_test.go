package store_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/waybill-dev/waybill/internal/auth"
	"github.com/waybill-dev/waybill/internal/store"
	"github.com/waybill-dev/waybill/internal/store/storetest"
	"github.com/waybill-dev/waybill/internal/testenv"
)

var _ auth.Store = (*store.Store)(nil)

func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }

// TestConformance_Postgres has one database, and a schema for each test: that is
// much faster made.
func TestConformance_Postgres(t *testing.T) {
	t.Parallel()
	url := testenv.PostgresURL(t)
	db := open(t, url).DB()
	var schemas atomic.Int32
	storetest.Run(t, func(t testing.TB) *store.Store {
		t.Helper()
		schema := fmt.Sprint("s", schemas.Add(1))
		if _, err := db.ExecContext(t.Context(), "CREATE SCHEMA "+schema); err != nil {
			t.Fatal(err)
		}
		return migrated(t, with(t, url, "search_path", schema))
	})
}

func TestConformance_SQLite(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t testing.TB) *store.Store {
		t.Helper()
		return migrated(t, sqliteURL(t))
	})
}

func sqliteURL(t testing.TB) string {
	t.Helper()
	return "sqlite:" + filepath.Join(t.TempDir(), "waybill.db")
}

// open returns the store at url, which is closed when the test ends.
func open(t testing.TB, url string) *store.Store {
	t.Helper()
	s, err := store.Open(url, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func migrated(t testing.TB, url string) *store.Store {
	t.Helper()
	s := open(t, url)
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestOpen_RefusesABadURLWithoutShowingIt(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"", "postgres", "mysql://u:hunter2@h/db", "postgres://u:hunter2@h:port/db", "postgres://u:hunter2@h/db?sslmode=hunter2",
		"postgres://u:hunt%er2@h/db", "sqlite:", "sqlite::memory:", "sqlite://host/hunter2", "sqlite:a\x00hunter2"} {
		_, err := store.Open(url, store.Options{})
		if err == nil || strings.Contains(err.Error(), "hunt") {
			t.Errorf("%q: %v", url, err)
		}
	}
}
