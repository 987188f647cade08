package store_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/store"
)

// childURL names, in the environment of a process that a test has started, the
// file to work on.
const childURL = "WAYBILL_STORE_TEST_CHILD"

// TestStore_SQLiteFromSeveralProcesses starts processes that at once migrate
// one file, apply the same batches to it and read.
func TestStore_SQLiteFromSeveralProcesses(t *testing.T) {
	t.Parallel()
	const batches, size = 25, 10
	if url := os.Getenv(childURL); url != "" {
		s := migrated(t, url)
		for number := range batches {
			batch := creates(number, size)
			if err := apply(t.Context(), s, batch); err != nil {
				t.Fatal(err)
			}
			if n := existing(t, s, batch); n != size {
				t.Fatalf("batch %d: %d records", number, n)
			}
		}
		return
	}
	url := sqliteURL(t)
	var children []*exec.Cmd
	for range 3 {
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestStore_SQLiteFromSeveralProcesses$")
		child.Env = append(os.Environ(), childURL+"="+url)
		child.Stdout, child.Stderr = os.Stdout, os.Stderr
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		children = append(children, child)
	}
	for _, child := range children {
		if err := child.Wait(); err != nil {
			t.Error(err)
		}
	}
	s := migrated(t, url)
	for number := range batches {
		if n := known(t, s, creates(number, size)); n != size {
			t.Errorf("batch %d: %d operations", number, n)
		}
	}
}

func TestOpen_SQLitePaths(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"a/new/directory/x.db", "with space & %41 ?#=;.db", "ünï'\"$.db", "x.db?_pragma=query_only(1)"} {
		full := filepath.Join(t.TempDir(), path)
		s := open(t, "sqlite:"+full)
		if _, err := os.Stat(filepath.Dir(full)); path[0] == 'a' && err == nil {
			t.Error("made the directory before it was needed")
		}
		if err := s.Migrate(t.Context()); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		if err := apply(t.Context(), s, creates(1, 1)); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		if _, err := os.Stat(full); err != nil {
			t.Error(err)
		}
	}
	if err := open(t, "sqlite://"+filepath.Join(t.TempDir(), "x.db")).Migrate(t.Context()); err != nil { // three slashes in all
		t.Error(err)
	}
}

func TestUnavailable_SQLite(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "text.db")
	if err := os.WriteFile(file, []byte("This is not a database, it is a text that is long enough to tell."), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, url := range map[string]string{"no database": "sqlite:" + file, "under a file": "sqlite:" + file + "/x.db", "a directory": "sqlite:" + dir} {
		s := open(t, url)
		for _, err := range []error{s.Ping(t.Context()), s.Migrate(t.Context())} {
			if !store.Unavailable(err) || fault.KindOf(err) != fault.StoreUnavailable {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	s := migrated(t, sqliteURL(t))
	if _, err := s.DB().Exec("SELECT 1 FROM nothing"); err == nil || store.Unavailable(err) {
		t.Errorf("no such table: %v", err)
	}
}

func TestApply_SQLiteHeldByAnother(t *testing.T) {
	t.Parallel()
	url := sqliteURL(t)
	s, other := migrated(t, url), open(t, url)
	if err := apply(t.Context(), s, creates(1, 1)); err != nil {
		t.Fatal(err)
	}
	tx, err := other.DB().BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := apply(ctx, s, creates(2, 1)); !store.Unavailable(err) {
		t.Errorf("Apply: %v", err)
	}
	if n := existing(t, s, creates(1, 1)); n != 1 { // readers go on
		t.Errorf("%d records", n)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := apply(t.Context(), s, creates(2, 1)); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestRefused_SQLite(t *testing.T) {
	t.Parallel()
	s := migrated(t, sqliteURL(t))
	if _, err := s.DB().Exec(`CREATE TRIGGER short BEFORE INSERT ON records WHEN length(NEW.data ->> 'content') > 10
		BEGIN SELECT RAISE(ABORT, 'the content is too long'); END`); err != nil {
		t.Fatal(err)
	}
	batch := creates(1, 3)
	batch[1].Body = []byte(`{"content":"much too long"}`)
	err := apply(t.Context(), s, batch)
	kind, detail, refused := store.Refused(err)
	if !refused || kind != fault.Conflict || detail != "the content is too long" {
		t.Errorf("refused %v, %s %q: %v", refused, kind, detail, err)
	}
	if n, m := known(t, s, batch), existing(t, s, batch); n+m > 0 {
		t.Errorf("%d operations and %d records were stored", n, m)
	}
	if _, err := s.Record(t.Context(), record.Key{}); fault.KindOf(err) != fault.NotFound {
		t.Errorf("no record: %v", err)
	}
}
