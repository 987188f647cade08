package app_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/waybill-dev/waybill/internal/testenv"
)

// TestBackup_RestoredAnswersTheSame: deploy/backup.sh copies Redis and Postgres
// under load, while writes and deliveries wait, and goes on to be done during it.
// On fresh servers, every write that was answered before the backup is there once
// and answers as it does on the servers that went on; what waited is stored and
// delivered.
func TestBackup_RestoredAnswersTheSame(t *testing.T) {
	t.Parallel()
	needTools(t, "bash", "tar", "redis-cli", "pg_dump", "pg_restore")
	b := newCrashBench(t)
	r := subscribe(t, b.apis[0].api, "backup", `"events":["messages.created"]`, nil)
	b.ledger.write(t, 300, 150)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			b.ledger.write(t, 20, 150)
		}
	}()
	signalAll(t, syscall.SIGSTOP, b.workers)
	waiting := mustCall(t, http.MethodPost, b.url("/api/messages"), `{"content":"it waits"}`).want(t, http.StatusAccepted).operation(t).ID
	before := append(b.ledger.acked(), waiting)
	dir := b.backup(t)
	cancel()
	<-ended

	restored := restore(t, dir)
	for _, s := range []*system{b.system, restored} {
		s.settle(t, before)
	}
	t.Logf("%v; %d operations were answered before the backup", b.ledger, len(before))
	compareOperations(t, b.system, restored, before)
	compareRecords(t, b.system, restored)
	if r.body(waiting) == "" { // by one, or by both: the dump may have been taken before its delivery or after
		t.Error("the event of the write that waited was not delivered")
	}
}

func needTools(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("no %s here", name)
		}
	}
}

// acked are the operations of all writes that were answered.
func (l *ledger) acked() (ids []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range l.answered {
		ids = append(ids, w.operation)
	}
	return ids
}

// backup runs deploy/backup.sh into a new directory, and lets the workers go on
// once a first copy has begun: copied in the wrong order, what they do now is lost.
func (b *crashBench) backup(t *testing.T) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "backup")
	script := exec.CommandContext(t.Context(), "bash", "../../deploy/backup.sh", dir)
	script.Env = append(os.Environ(), "REDIS_URL="+b.redisURL, "REDIS_DIR="+filepath.Dir(b.aof), "DATABASE_URL="+b.databaseURL)
	done := make(chan error, 1)
	go func() {
		out, err := script.CombinedOutput()
		if err != nil {
			err = fmt.Errorf("backup.sh: %w\n%s", err, out)
		}
		done <- err
	}()
	testenv.Eventually(t, 30*time.Second, "the backup has begun", func() error {
		for _, name := range []string{"redis.tar", "database.dump"} {
			if info, err := os.Stat(filepath.Join(dir, name)); err == nil && info.Size() > 0 {
				return nil
			}
		}
		return fmt.Errorf("nothing in %s", dir)
	})
	signalAll(t, syscall.SIGCONT, b.workers)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return dir
}

// restore makes a system of a backup, as docs/backup.md says.
func restore(t *testing.T, dir string) *system {
	t.Helper()
	postgres, redisDir := testenv.NewPostgres(t), t.TempDir()
	for _, command := range [][]string{
		{"pg_restore", "--no-owner", "--exit-on-error", "-d", postgres.URL(), filepath.Join(dir, "database.dump")},
		{"tar", "-C", redisDir, "-xf", filepath.Join(dir, "redis.tar")},
	} {
		if out, err := exec.CommandContext(t.Context(), command[0], command[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", command, err, out)
		}
	}
	redis := startOwnRedis(t, testenv.RedisOptions{Dir: redisDir})
	return newSystem(t, redis.URL(), postgres.URL(), 1, 1, quickRetries)
}

// settle waits until the operations are done or failed, and nothing is to be
// stored or delivered any more.
func (s *system) settle(t *testing.T, ids []string) {
	t.Helper()
	rc, db := connectRedis(t, s.redisURL), connectPostgres(t, s.databaseURL)
	testenv.Eventually(t, 4*time.Minute, "the queue is empty", func() error { return checkQueueEmpty(t.Context(), rc) })
	testenv.Eventually(t, 2*time.Minute, "no delivery is pending", func() error { return checkNonePending(t.Context(), db) })
	for _, id := range ids {
		if o := mustCall(t, http.MethodGet, s.url("/api/operations/"+id), "").want(t, http.StatusOK).operation(t); !o.terminal() {
			t.Errorf("operation %s is %s", id, o.Status)
		}
	}
	if twice := count(t, db, "SELECT count(*) - count(DISTINCT (event, subscription)) FROM deliveries"); twice != 0 {
		t.Errorf("%d deliveries too many", twice)
	}
}

// compareOperations: both answer the same of each, deliveries included.
func compareOperations(t *testing.T, a, b *system, ids []string) {
	t.Helper()
	for _, id := range ids {
		var answers [2]string
		for i, s := range []*system{a, b} {
			o := mustCall(t, http.MethodGet, s.url("/api/operations/"+id), "").want(t, http.StatusOK).operation(t)
			answers[i] = fmt.Sprintf("%s %s %s, deliveries %+v", o.Action, o.Record, o.outcome(), o.Deliveries)
		}
		if answers[0] != answers[1] {
			t.Errorf("operation %s was %s, and is %s", id, answers[0], answers[1])
		}
	}
}

// compareRecords: both answer the same of each record that has not been written
// to since the backup.
func compareRecords(t *testing.T, a, b *system) {
	t.Helper()
	same := 0
	later := written(t, connectPostgres(t, a.databaseURL))
	for path, operations := range written(t, connectPostgres(t, b.databaseURL)) {
		if !strings.HasPrefix(later[path], operations) {
			t.Errorf("%s was written to by %s, and is by %s", path, later[path], operations)
		}
		if later[path] != operations {
			continue
		}
		same++
		was, is := mustCall(t, http.MethodGet, a.url(path), ""), mustCall(t, http.MethodGet, b.url(path), "")
		if was.status != is.status || was.header.Get("ETag") != is.header.Get("ETag") || was.status == http.StatusOK && string(was.body) != string(is.body) {
			t.Errorf("%s was %v, and is %v", path, was, is)
		}
	}
	if same < 100 {
		t.Errorf("only %d records could be compared", same)
	}
}

// written returns the operations on each record, by its path, in order.
func written(t *testing.T, db *pgx.Conn) map[string]string {
	t.Helper()
	rows, err := db.Query(t.Context(), "SELECT '/api/' || collection || '/' || record, string_agg(id::text, ' ' ORDER BY id) FROM operations GROUP BY 1")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	var path, operations string
	if _, err := pgx.ForEachRow(rows, []any{&path, &operations}, func() error {
		all[path] = operations
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return all
}
