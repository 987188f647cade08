package testenv

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// query runs sql on a fresh connection and returns its one number.
func query(ctx context.Context, url, sql string) (n int, err error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	err = conn.QueryRow(ctx, sql).Scan(&n)
	return n, err
}

func TestPostgres_KilledKeepsWhatItCommitted(t *testing.T) {
	t.Parallel()
	p := NewPostgres(t)
	url, err := p.NewDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := execute(t.Context(), url, "CREATE TABLE kept AS SELECT generate_series(1, 50) AS n"); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	children, err := childrenOf(p.PID())
	if err != nil || len(children) < 2 {
		t.Fatalf("children of the postmaster: %d, %v; want several", len(children), err)
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	for _, c := range children {
		if state, err := processState(c.Pid); err == nil && state != 'Z' {
			t.Errorf("process %d is still there after Kill, in state %c", c.Pid, state)
		}
	}
	if err := conn.Ping(t.Context()); err == nil {
		t.Error("a killed server answers")
	}
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, err := query(t.Context(), url, "SELECT count(*) FROM kept"); n != 50 || err != nil {
		t.Errorf("rows after the restart: %d, %v; want 50", n, err)
	}
}

func TestPostgres_StopCutsClientsOff(t *testing.T) {
	t.Parallel()
	p := NewPostgres(t)
	conn, err := pgx.Connect(t.Context(), p.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if err := p.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := conn.Ping(t.Context()); err == nil {
		t.Error("a stopped server answers")
	}
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, err := query(t.Context(), p.URL(), "SELECT 7"); n != 7 || err != nil {
		t.Errorf("after the restart: %d, %v", n, err)
	}
}

func TestPostgres_PausedBlocksBackendsToo(t *testing.T) {
	t.Parallel()
	p := NewPostgres(t)
	conn, err := pgx.Connect(t.Context(), p.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if err := p.Pause(); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := conn.Ping(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a connection to a paused server: %v, want a timeout", err)
	}
	if err := p.Resume(); err != nil {
		t.Fatal(err)
	}
	if n, err := query(t.Context(), p.URL(), "SELECT 7"); n != 7 || err != nil {
		t.Errorf("after Resume: %d, %v", n, err)
	}
	if err := errors.Join(p.Pause(), p.Kill(), p.Start(t.Context())); err != nil {
		t.Errorf("kill a paused server and start it: %v", err)
	}
}

func TestPostgres_StartsAfterItsPostmasterAloneWasKilled(t *testing.T) {
	t.Parallel()
	p := NewPostgres(t)
	postmaster, err := os.FindProcess(p.PID())
	if err != nil {
		t.Fatal(err)
	}
	if err := postmaster.Kill(); err != nil {
		t.Fatal(err)
	}
	Eventually(t, 10*time.Second, "the server is gone", func() error {
		if p.PID() != 0 {
			return errors.New("it has a PID")
		}
		return nil
	})
	if err := p.Start(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestStartPostgres_AppliesItsOptionsAndKeepsANamedDirectory(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "waybill-keep-") //nolint:usetesting // root's PostgreSQL runs as another user, who cannot enter t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for round := range 2 {
		p, err := StartPostgres(t.Context(), PostgresOptions{Dir: dir, Fsync: round == 1,
			Settings: map[string]string{"max_connections": "20"}})
		if err != nil {
			unavailable(t, "postgres", err)
		}
		n, err := query(t.Context(), p.URL(), "SELECT current_setting('max_connections')::int + (current_setting('fsync') = 'on')::int")
		if want := 20 + round; n != want || err != nil {
			t.Errorf("round %d: settings %d, %v; want %d", round, n, err, want)
		}
		if round == 0 {
			err = execute(t.Context(), p.URL(), "CREATE TABLE kept ()")
		} else {
			_, err = query(t.Context(), p.URL(), "SELECT count(*) FROM kept")
		}
		if err := errors.Join(err, p.Stop(), p.Close()); err != nil {
			t.Errorf("round %d: %v", round, err)
		}
	}
}

func TestPostgresURL_EachTestHasAnEmptyDatabase(t *testing.T) {
	t.Parallel()
	for range 2 {
		url := PostgresURL(t)
		if err := execute(t.Context(), url, "CREATE TABLE mine ()"); err != nil {
			t.Error(err)
		}
	}
}

func TestPostgresURL_DropsItsDatabaseOnAServerOfOthers(t *testing.T) {
	p := NewPostgres(t)
	t.Setenv(envPostgres, p.URL())
	const count = "SELECT count(*) FROM pg_database WHERE datname LIKE 'waybill\\_test\\_%'"
	t.Run("the test", func(t *testing.T) {
		url := PostgresURL(t)
		conn, err := pgx.Connect(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close(context.Background()) })
		if n, err := query(t.Context(), p.URL(), count); n != 1 || err != nil {
			t.Errorf("databases while the test runs: %d, %v; want 1", n, err)
		}
	})
	if n, err := query(t.Context(), p.URL(), count); n != 0 || err != nil {
		t.Errorf("databases after the test: %d, %v; want none", n, err)
	}
}
