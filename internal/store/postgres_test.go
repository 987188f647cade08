package store_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/store"
	"github.com/waybill-dev/waybill/internal/testenv"
)

// patience is for what takes a moment on a busy machine.
const patience = 30 * time.Second

func fold(current *record.Record, op *record.Operation) (*record.Record, record.Outcome) {
	return record.Apply(current, op, func(_, patch []byte) ([]byte, error) { return patch, nil })
}

// creates returns a batch of n creates; batches differ by number.
func creates(number, n int) []record.Operation {
	batch := make([]record.Operation, n)
	for i := range batch {
		id := record.NewID(1_767_225_600_000_000+int64(number), 42, i)
		batch[i] = record.Operation{ID: id, Key: record.Key{Tenant: record.DefaultTenant, Collection: "messages", ID: id},
			Action: record.Create, Body: []byte(`{"content":"hello"}`)}
	}
	return batch
}

func apply(ctx context.Context, s *store.Store, batch []record.Operation) error {
	_, err := s.Apply(ctx, batch, nil, time.Now(), fold)
	return err
}

// known returns how many of the batch's operations are stored.
func known(t testing.TB, s *store.Store, batch []record.Operation) int {
	t.Helper()
	keys := make([]record.OperationKey, len(batch))
	for i, op := range batch {
		keys[i] = record.OperationKey{Tenant: op.Tenant, ID: op.ID}
	}
	known, err := s.Known(t.Context(), keys)
	if err != nil {
		t.Fatal(err)
	}
	return len(known)
}

func existing(t testing.TB, s *store.Store, batch []record.Operation) int {
	t.Helper()
	keys := make([]record.Key, len(batch))
	for i, op := range batch {
		keys[i] = op.Key
	}
	exist, err := s.Exists(t.Context(), keys)
	if err != nil {
		t.Fatal(err)
	}
	return len(exist)
}

// with returns url with a parameter more.
func with(t testing.TB, databaseURL, name, value string) string {
	t.Helper()
	u, err := url.Parse(databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set(name, value)
	u.RawQuery = strings.ReplaceAll(q.Encode(), "+", "%20")
	return u.String()
}

func TestStore_MigratesOnceHoweverManyDoIt(t *testing.T) {
	t.Parallel()
	for name, url := range map[string]string{"postgres": testenv.PostgresURL(t), "sqlite": sqliteURL(t)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first := open(t, url)
			err := first.Ping(t.Context())
			if !errors.Is(err, store.ErrNotMigrated) || fault.KindOf(err) != fault.StoreUnavailable {
				t.Errorf("before: %v", err)
			}
			var wg sync.WaitGroup
			for range 8 {
				s := open(t, url)
				wg.Go(func() {
					if err := errors.Join(s.Migrate(t.Context()), s.Ping(t.Context())); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			var rows, versions int
			if err := first.DB().QueryRow("SELECT COUNT(*), COUNT(DISTINCT version_id) FROM waybill_migrations").Scan(&rows, &versions); err != nil || rows != versions {
				t.Errorf("%d migrations noted, %d different: %v", rows, versions, err)
			}
			if err := apply(t.Context(), first, creates(1, 3)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestStore_PostgresDownAtOpen(t *testing.T) {
	t.Parallel()
	p := testenv.NewPostgres(t)
	if err := p.Stop(); err != nil {
		t.Fatal(err)
	}
	s := open(t, p.URL())
	for what, err := range map[string]error{"Ping": s.Ping(t.Context()), "Migrate": s.Migrate(t.Context())} {
		if fault.KindOf(err) != fault.StoreUnavailable || !store.Unavailable(err) {
			t.Errorf("%s while it is down: %v", what, err)
		}
	}
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, patience, "migrate once it is up", func() error { return s.Migrate(t.Context()) })
	if err := apply(t.Context(), s, creates(1, 3)); err != nil {
		t.Error(err)
	}
}

func TestStore_PostgresKilledInTheMiddleOfApply(t *testing.T) {
	t.Parallel()
	p := testenv.NewPostgres(t)
	s := migrated(t, p.URL())
	batch := creates(1, 20)
	_, err := s.Apply(t.Context(), batch, nil, time.Now(), func(current *record.Record, op *record.Operation) (*record.Record, record.Outcome) {
		if err := p.Kill(); err != nil { // again and again; the first time counts
			t.Error(err)
		}
		return fold(current, op)
	})
	if !store.Unavailable(err) {
		t.Errorf("killed before the writes: %v", err)
	}
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, patience, "ping", func() error { return s.Ping(t.Context()) })
	if n, m := known(t, s, batch), existing(t, s, batch); n+m > 0 {
		t.Errorf("%d operations and %d records of the batch were stored", n, m)
	}
	if err := apply(t.Context(), s, batch); err != nil || known(t, s, batch) != 20 || existing(t, s, batch) != 20 {
		t.Errorf("applied again: %v", err)
	}
}

// TestStore_PostgresKilledUnderLoad kills the server while four goroutines
// apply: each batch must be stored wholly or not at all, and those that Apply
// returned from must be.
func TestStore_PostgresKilledUnderLoad(t *testing.T) {
	t.Parallel()
	p := testenv.NewPostgres(t)
	s := migrated(t, p.URL())
	const size, writers = 20, 4
	var mu sync.Mutex
	tried, acked := map[int]bool{}, map[int]bool{}
	down := make(chan struct{})
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for number := w; ; number += writers {
				err := apply(t.Context(), s, creates(number, size))
				mu.Lock()
				tried[number], acked[number] = true, err == nil
				mu.Unlock()
				if err == nil {
					continue
				}
				if !store.Unavailable(err) {
					t.Errorf("not taken for an outage: %v", err)
				}
				<-down
				return
			}
		})
	}
	testenv.Eventually(t, patience, "some batches", func() error {
		mu.Lock()
		defer mu.Unlock()
		if len(acked) < 50 {
			return fmt.Errorf("only %d", len(acked))
		}
		return nil
	})
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	close(down)
	wg.Wait()
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, patience, "ping", func() error { return s.Ping(t.Context()) })
	for number := range tried {
		batch := creates(number, size)
		n, m := known(t, s, batch), existing(t, s, batch)
		if n != m || n != 0 && n != size || acked[number] && n != size {
			t.Errorf("batch %d, acked %v: %d operations, %d records", number, acked[number], n, m)
		}
	}
}

func TestStore_APausedPostgresIsNoticed(t *testing.T) {
	t.Parallel()
	p := testenv.NewPostgres(t)
	s := migrated(t, p.URL())
	batch := creates(1, 3)
	if err := p.Pause(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := apply(ctx, s, batch); !store.Unavailable(err) {
		t.Errorf("Apply: %v", err)
	}
	if err := s.Ping(ctx); !store.Unavailable(err) || fault.KindOf(err) != fault.StoreUnavailable {
		t.Errorf("Ping: %v", err)
	}
	if err := p.Resume(); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, patience, "apply", func() error { return apply(t.Context(), s, batch) })
	if n := known(t, s, batch); n != 3 {
		t.Errorf("%d of 3 stored", n)
	}
}

func TestUnavailable_Postgres(t *testing.T) {
	t.Parallel()
	p := testenv.NewPostgres(t)
	s := migrated(t, p.URL())
	exec := func(url string, statements ...string) (err error) {
		db := open(t, url).DB()
		db.SetMaxOpenConns(1)
		for _, statement := range statements {
			if _, err = db.ExecContext(t.Context(), statement); err != nil {
				return err
			}
		}
		return nil
	}
	if err := exec(p.URL(), "CREATE ROLE full_up LOGIN CONNECTION LIMIT 0", "CREATE ROLE weak LOGIN"); err != nil {
		t.Fatal(err)
	}
	as := func(user string) string { return strings.Replace(p.URL(), "postgres@", user+"@", 1) }
	holder, err := s.DB().BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = holder.Rollback() }()
	if _, err := holder.Exec("LOCK TABLE operations"); err != nil {
		t.Fatal(err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, test := range map[string]struct {
		err  error
		want bool
	}{
		"nothing listens":      {exec("postgres://postgres@127.0.0.1:1/x", "SELECT 1"), true},
		"no such database":     {exec(strings.Replace(p.URL(), "/postgres?", "/absent?", 1), "SELECT 1"), true},
		"no such user":         {exec(as("nobody_at_all"), "SELECT 1"), true},
		"out of connections":   {exec(as("full_up"), "SELECT 1"), true},
		"terminated":           {exec(p.URL(), "SELECT pg_terminate_backend(pg_backend_pid())"), true},
		"statement timeout":    {exec(with(t, p.URL(), "statement_timeout", "50ms"), "SELECT pg_sleep(30)"), true},
		"a standby":            {exec(with(t, p.URL(), "default_transaction_read_only", "on"), "CREATE TABLE x ()"), true},
		"wrapped for a reader": {fault.Wrap(fault.StoreUnavailable, exec(as("full_up"), "SELECT 1"), "x"), true},
		"locked by another":    {exec(with(t, p.URL(), "lock_timeout", "50ms"), "LOCK TABLE operations"), false},
		"no permission":        {exec(as("weak"), "SELECT 1 FROM records"), false},
		"no such table":        {exec(p.URL(), "SELECT 1 FROM nothing"), false},
		"bad data":             {exec(p.URL(), "SELECT '{'::json"), false},
		"cancelled":            {apply(cancelled, s, creates(1, 1)), false},
		"none":                 {nil, false},
	} {
		if name != "none" && test.err == nil {
			t.Errorf("%s: no error", name)
		}
		if got := store.Unavailable(test.err); got != test.want {
			t.Errorf("%s: unavailable %v: %v", name, got, test.err)
		}
		if _, _, refused := store.Refused(test.err); refused != (name == "bad data") {
			t.Errorf("%s: refused %v: %v", name, refused, test.err)
		}
	}
}

func TestRefused_Postgres(t *testing.T) {
	t.Parallel()
	s := migrated(t, testenv.PostgresURL(t))
	if _, err := s.DB().Exec(`ALTER TABLE records ADD CONSTRAINT content_is_short CHECK (length(data ->> 'content') < 10)`); err != nil {
		t.Fatal(err)
	}
	for body, want := range map[string]struct {
		kind   fault.Kind
		detail string
	}{
		`{"content":"much too long"}`: {fault.Conflict, `new row for relation "records" violates check constraint "content_is_short"`},
		`{"content":`:                 {fault.InvalidRecord, "invalid input syntax for type json"},
		"{\"content\":\"\xff\"}":      {fault.InvalidRecord, `invalid byte sequence for encoding "UTF8": 0xff`},
	} {
		batch := creates(len(body), 3)
		batch[1].Body = []byte(body)
		err := apply(t.Context(), s, batch)
		kind, detail, refused := store.Refused(err)
		if !refused || kind != want.kind || detail != want.detail {
			t.Errorf("%q: refused %v, %s %q: %v", body, refused, kind, detail, err)
		}
		if n, m := known(t, s, batch), existing(t, s, batch); n+m > 0 {
			t.Errorf("%q: %d operations and %d records were stored", body, n, m)
		}
	}
}

func TestOpen_SetsThePostgresSession(t *testing.T) {
	t.Parallel()
	url := testenv.PostgresURL(t)
	for _, test := range []struct{ url, setting, want string }{
		{url, "lock_timeout", "10s"},
		{url, "idle_in_transaction_session_timeout", "15s"},
		{url, "application_name", "waybill"},
		{with(t, url, "lock_timeout", "3s"), "lock_timeout", "3s"},
		{with(t, url, "options", "-c lock_timeout=4s"), "lock_timeout", "4s"},
		{with(t, url, "application_name", "mine"), "application_name", "mine"},
	} {
		var got string
		if err := open(t, test.url).DB().QueryRow("SHOW " + test.setting).Scan(&got); err != nil || got != test.want {
			t.Errorf("%s: %q, want %q: %v", test.setting, got, test.want, err)
		}
	}
}

// TestApply_AFrozenWorkerHoldsUpNoOneForLong freezes one between reading a
// record and writing it: its session is ended, another goes on, and what the
// frozen one then does comes to nothing.
func TestApply_AFrozenWorkerHoldsUpNoOneForLong(t *testing.T) {
	t.Parallel()
	url := testenv.PostgresURL(t)
	s := migrated(t, url)
	frozen := open(t, with(t, url, "idle_in_transaction_session_timeout", "500ms"))
	first := creates(1, 1)
	if err := apply(t.Context(), s, first); err != nil {
		t.Fatal(err)
	}
	patch := func(number int) []record.Operation {
		op := creates(number, 1)[0]
		op.Action, op.Key = record.Patch, first[0].Key
		return []record.Operation{op}
	}
	_, err := frozen.Apply(t.Context(), patch(2), nil, time.Now(), func(current *record.Record, op *record.Operation) (*record.Record, record.Outcome) {
		if err := apply(t.Context(), s, patch(3)); err != nil {
			t.Errorf("the other worker: %v", err)
		}
		return fold(current, op)
	})
	if _, _, refused := store.Refused(err); err == nil || refused {
		t.Errorf("the frozen worker: %v", err)
	}
	r, err := s.Record(t.Context(), first[0].Key)
	if err != nil || r.UpdatedBy != patch(3)[0].ID || r.Version != 2 {
		t.Errorf("record %+v: %v", r, err)
	}
	if err := apply(t.Context(), frozen, patch(2)); err != nil {
		t.Errorf("thawed: %v", err)
	}
}

// TestApply_WaitsForALockNoLongerThanItMay has a record locked by someone else.
func TestApply_WaitsForALockNoLongerThanItMay(t *testing.T) {
	t.Parallel()
	url := testenv.PostgresURL(t)
	s := migrated(t, url)
	batch := creates(1, 1)
	if err := apply(t.Context(), s, batch); err != nil {
		t.Fatal(err)
	}
	tx, err := s.DB().BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.Exec("SELECT 1 FROM records FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
	remove := creates(2, 1)
	remove[0].Action, remove[0].Body, remove[0].Key = record.Delete, nil, batch[0].Key
	err = apply(t.Context(), open(t, with(t, url, "lock_timeout", "100ms")), remove)
	var e *pgconn.PgError
	if !errors.As(err, &e) || e.Code != "55P03" {
		t.Errorf("error: %v", err)
	}
}

// TestEnsureIndexes_RebuildsWhatWasLeftBroken has a transaction hold up the
// building of an index until it is given up.
func TestEnsureIndexes_RebuildsWhatWasLeftBroken(t *testing.T) {
	t.Parallel()
	url := testenv.PostgresURL(t)
	s := migrated(t, url)
	want := map[string][]string{"messages": {"content"}}
	indexes := func() (valid, broken int) {
		t.Helper()
		err := s.DB().QueryRow(`SELECT COUNT(*) FILTER (WHERE indisvalid), COUNT(*) FILTER (WHERE NOT indisvalid) FROM pg_index i
			JOIN pg_class c ON c.oid = i.indexrelid WHERE c.relname LIKE 'records\_field\_%'`).Scan(&valid, &broken)
		if err != nil {
			t.Fatal(err)
		}
		return valid, broken
	}
	tx, err := s.DB().BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.Exec("LOCK TABLE records IN ROW EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error)
	go func() { failed <- s.EnsureIndexes(ctx, want) }()
	testenv.Eventually(t, patience, "the index is under way", func() error {
		if _, broken := indexes(); broken != 1 {
			return errors.New("not yet")
		}
		return nil
	})
	cancel()
	if err := <-failed; err == nil {
		t.Error("made the index in spite of the transaction")
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := open(t, url).EnsureIndexes(t.Context(), want); err != nil {
		t.Error(err)
	}
	if valid, broken := indexes(); valid != 1 || broken != 0 {
		t.Errorf("%d valid indexes, %d broken", valid, broken)
	}
	if err := s.EnsureIndexes(t.Context(), nil); err != nil {
		t.Error(err)
	}
	if valid, broken := indexes(); valid+broken != 0 {
		t.Errorf("%d valid indexes, %d broken; none are wanted", valid, broken)
	}
}
