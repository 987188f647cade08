package maintain_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"

	"github.com/waybill-dev/waybill/internal/accept"
	"github.com/waybill-dev/waybill/internal/maintain"
	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/store"
	"github.com/waybill-dev/waybill/tasks"
)

func TestMaintainer_RemovesWhatIsOverAndNothingElse(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		old, keyed := w.write(t, "messages", 25, 3*day), w.write(t, "messages", 5, 24*time.Hour) // an idempotency key may live so long
		other := w.write(t, "todos", 5, 3*day)
		w.maintainer().Tick(t.Context())
		for _, c := range []struct {
			what, collection    string
			ids                 []string
			operations, records int
		}{{"old", "messages", old, 0, 0}, {"under a living key", "messages", keyed, 5, 5}, {"kept for ever", "todos", other, 0, 5}} {
			if operations, records := w.stays(t, c.collection, c.ids); operations != c.operations || records != c.records {
				t.Errorf("%s: %d operations and %d records stay, want %d and %d", c.what, operations, records, c.operations, c.records)
			}
		}
		if d := cmp.Diff(map[string]int64{"operations": 30, "records": 25}, w.purged); d != "" {
			t.Errorf("purged (-want +got):\n%s", d)
		}
		if !strings.Contains(w.log.String(), "operations=30") {
			t.Errorf("it logged %s", w.log.String())
		}
	})
}

func TestMaintainer_NoRetentionIsForEver(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		old := w.write(t, "messages", 5, 3650*day)
		w.maintainer(func(o *maintain.Options) { o.Operations, o.Deliveries, o.Audit, o.Records = 0, 0, 0, nil }).Tick(t.Context())
		if operations, records := w.stays(t, "messages", old); operations != 5 || records != 5 {
			t.Errorf("%d operations and %d records stay", operations, records)
		}
	})
}

func TestMaintainer_ManyWorkersDoAJobOnce(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		w.write(t, "messages", 100, 3*day)
		var all sync.WaitGroup
		for range 5 {
			all.Go(func() { w.maintainer().Tick(t.Context()) })
		}
		all.Wait()
		for job, n := range w.runs {
			if n != 1 {
				t.Errorf("%s was done %d times", job, n)
			}
		}
		if len(w.runs) != 6 || w.purged["operations"] != 100 || w.purged["records"] != 100 {
			t.Errorf("runs %v, purged %v", w.runs, w.purged)
		}
	})
}

// dying is a store whose caller dies in the middle of a purge: nothing that it does
// later has an effect.
type dying struct {
	*store.Store
	pages int
	die   context.CancelFunc
}

func (d *dying) PurgePage(ctx context.Context, p store.Purge, from store.Place, limit int) (map[string]int64, store.Place, error) {
	if d.pages--; d.pages == 0 {
		d.die()
	}
	return d.Store.PurgePage(ctx, p, from, limit)
}

func (d *dying) EndJob(context.Context, string, time.Duration) error { return nil }

func TestMaintainer_AnotherGoesOnWhereOneWasKilled(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		old := w.write(t, "messages", 50, 3*day)
		ctx, die := context.WithCancel(t.Context())
		killed := maintain.New(&dying{w.store, 3, die}, w.underWay, w.queue, maintain.Options{
			Operations: 25 * time.Hour, Pause: time.Microsecond, Batch: 10, Ready: func() bool { return true }, Down: func(error) {},
			Logger: discard, Observer: &w.seen,
		})
		killed.Tick(ctx)
		left, _ := w.stays(t, "messages", old)
		if left == 0 || left == 50 {
			t.Fatalf("%d operations are left: it was to be killed in the middle", left)
		}
		w.maintainer().Tick(t.Context())
		if now, _ := w.stays(t, "messages", old); now != left {
			t.Errorf("its lease did not hold: %d operations are left of %d", now, left)
		}
		w.runOut(t, "operations")
		w.maintainer().Tick(t.Context())
		if now, _ := w.stays(t, "messages", old); now != 0 {
			t.Errorf("%d operations are left", now)
		}
	})
}

func (w *world) runOut(t *testing.T, job string) {
	t.Helper()
	if err := w.store.EndJob(t.Context(), job, -time.Second); err != nil {
		t.Fatal(err)
	}
}

func TestMaintainer_AClockThatRunsAheadMakesNothingOld(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		young := w.write(t, "messages", 5, time.Hour)
		w.maintainer(func(o *maintain.Options) { o.Now = func() time.Time { return time.Now().Add(365 * day) } }).Tick(t.Context())
		if operations, records := w.stays(t, "messages", young); operations != 5 || records != 5 {
			t.Errorf("%d operations and %d records stay of 5", operations, records)
		}
		if !strings.Contains(w.log.String(), "clocks") {
			t.Error("it did not say that the clocks differ")
		}
	})
}

// TestMaintainer_WhatIsLeftIsForTheNextRun: a run has a budget.
func TestMaintainer_WhatIsLeftIsForTheNextRun(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		old := w.write(t, "messages", 50, 3*day)
		m := w.maintainer(func(o *maintain.Options) { o.Budget = time.Nanosecond })
		for left := 40; left >= 0; left -= 10 {
			m.Tick(t.Context())
			if now, _ := w.stays(t, "messages", old); now != left {
				t.Errorf("%d operations are left, want %d", now, left)
			}
			w.runOut(t, "operations")
		}
	})
}

func TestMaintainer_SweepsMarksOfWhatWasNeverEnqueued(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		at := func(ago time.Duration, n int) accept.Mark {
			return accept.Mark{
				Record:    record.Key{Tenant: "t", Collection: "todos", ID: "a/b " + string(rune('a'+n))},
				Operation: record.NewID(time.Now().Add(-ago).UnixMicro(), 9, n),
			}
		}
		lost, young, single := at(time.Hour, 0), at(time.Minute, 1), at(time.Hour, 2)
		stored := accept.Mark{Record: record.Key{Tenant: record.DefaultTenant, Collection: "todos", ID: "x"}, Operation: w.write(t, "todos", 1, time.Hour)[0]}
		queued := accept.Mark{Record: lost.Record, Operation: record.NewID(time.Now().Add(-2*time.Hour).UnixMicro(), 9, 3)}
		for _, id := range []string{record.BatchID(queued.Operation), tasks.SingleID(single.Operation)} {
			if err := w.queue.Enqueue(t.Context(), asynq.NewTask("write:apply", nil, asynq.Queue(tasks.QueueWrites), asynq.TaskID(id))); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.underWay.Add(t.Context(), lost, young, single, stored, queued); err != nil {
			t.Fatal(err)
		}
		w.maintainer().Tick(t.Context())
		want := map[record.Key][]string{lost.Record: {queued.Operation}, young.Record: {young.Operation}, single.Record: {single.Operation}, stored.Record: {}}
		for key, ids := range want {
			got, _, err := w.underWay.Of(t.Context(), []record.Key{key})
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(ids, got[0]); d != "" {
				t.Errorf("under way for %v (-want +got):\n%s", key, d)
			}
		}
		if w.stale != 1 {
			t.Errorf("%d counted as never enqueued, want 1", w.stale)
		}
	})
}

func TestMaintainer_CountsTheArchiveAndLeavesIt(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		w.archive(t, "given-up")
		w.maintainer().Tick(t.Context())
		w.maintainer().Tick(t.Context())
		if w.archived[tasks.QueueWrites] != 1 || w.archived[tasks.QueueNotify] != 0 || !strings.Contains(w.log.String(), "asynq has archived tasks") {
			t.Errorf("archived %v, logged %s", w.archived, w.log.String())
		}
	})
}
