package accept_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/waybill-dev/waybill/internal/accept"
	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/record"
)

var silent = slog.New(slog.DiscardHandler)

// backlog looks once and returns the count.
func (b *bundle) backlog(t testing.TB, l *accept.Backlog) int64 {
	t.Helper()
	if err := l.Look(t.Context()); err != nil {
		t.Fatal(err)
	}
	return l.Operations()
}

// TestBacklog_CountsEachOperationOnce: whatever is repeated, bulky or refused.
func TestBacklog_CountsEachOperationOnce(t *testing.T) {
	t.Parallel()
	b := setup(t, accept.Options{})
	l := accept.NewBacklog(b.rc, b.queue, 0, silent)
	want := func(what string, n int64) {
		t.Helper()
		if got := b.backlog(t, l); got != n {
			t.Errorf("%s: a backlog of %d, want %d", what, got, n)
		}
	}
	want("at first", 0)
	b.submit(t, post(`{"a":1}`))
	b.submit(t, put("a", `{}`))
	want("two writes", 2)
	b.submit(t, keyed(post(`{"b":1}`), "k"))
	b.submit(t, keyed(post(`{"b":1}`), "k"))
	want("a write and its repeat", 3)
	for range 2 {
		bulk := &accept.Bulk{Tenant: "default", IdempotencyKey: "bulk", Hash: "h"}
		for range 700 { // more than a batch
			bulk.Operations = append(bulk.Operations, post(`{}`).Operation)
		}
		if _, err := b.SubmitBulk(t.Context(), bulk); err != nil {
			t.Fatal(err)
		}
	}
	want("a bulk and its repeat", 703)
	b.queue.intercept(func(context.Context) error { return errors.New("no") })
	_, err := b.Submit(t.Context(), put("c", `{}`))
	wantKind(t, err, fault.QueueUnavailable)
	b.queue.intercept(nil)
	mark := accept.Mark{Record: record.Key{Tenant: "default", Collection: "todos", ID: "a"}, Operation: "x"}
	if err := accept.NewUnderWay(b.rc).Finish(t.Context(), 700, mark); err != nil {
		t.Fatal(err)
	}
	if got := b.backlog(t, l); got != 3 && got != 4 { // that write may have come in, as far as anybody knows
		t.Errorf("a backlog of %d at last, want 3 or 4", got)
	}
}

// TestBacklog_RefusesWhatIsTooMuch: with the time after which it is not, and lets in
// again with some distance.
func TestBacklog_RefusesWhatIsTooMuch(t *testing.T) {
	t.Parallel()
	l := accept.NewBacklog(nil, nil, 1000, silent)
	at := time.Unix(1_000_000, 0)
	finished := int64(0)
	look := func(operations, ended int64, memory float64) error {
		at, finished = at.Add(time.Second), finished+ended
		l.Judge(operations, finished, memory, at)
		return l.Admit()
	}
	for range 20 {
		if err := look(999, 100, 0.5); err != nil {
			t.Fatalf("refused below the limit: %v", err)
		}
	}
	for _, c := range []struct {
		operations, ended int64
		memory            float64
		refused           bool
		least, most       time.Duration // of Retry-After
	}{
		{1000, 100, 0, true, time.Second, time.Second},
		{1950, 100, 0, true, 9 * time.Second, 11 * time.Second}, // 1,000 more than lets in again, at 100 a second
		{951, 100, 0, true, time.Second, time.Second},
		{949, 100, 0, false, 0, 0},
		{999, 100, 0, false, 0, 0},
		{10, 100, 0.95, true, time.Second, time.Second},
		{10, 100, 0.91, true, time.Second, time.Second},
		{10, 100, 0.89, false, 0, 0},
		{100_000, 100, 0, true, time.Minute, time.Minute},
	} {
		err := look(c.operations, c.ended, c.memory)
		if (err != nil) != c.refused {
			t.Fatalf("%+v: %v", c, err)
		}
		if f, ok := errors.AsType[*fault.Error](err); ok && (f.Kind != fault.Overloaded || f.RetryAfter < c.least || f.RetryAfter > c.most) {
			t.Errorf("%+v: %v, after %v", c, f, f.RetryAfter)
		}
	}
	for range 60 { // nothing ends any more
		if err := look(100_000, 0, 0); err == nil {
			t.Fatal("let in over the limit")
		}
	}
	if f, _ := errors.AsType[*fault.Error](l.Admit()); f.RetryAfter != 30*time.Second {
		t.Errorf("Retry-After %v while nothing ends, want 30 s", f.RetryAfter)
	}
}

// TestSubmit_IsRefusedOverTheBacklog: single writes, repeats and bulks, and nothing
// of them reaches Redis.
func TestSubmit_IsRefusedOverTheBacklog(t *testing.T) {
	t.Parallel()
	b := setup(t, accept.Options{})
	l := accept.NewBacklog(b.rc, b.queue, 2, silent)
	b.Acceptor = accept.New(b.rc, b.queue, b.store, accept.Options{Backlog: l})
	b.submit(t, keyed(post(`{}`), "k"))
	b.submit(t, post(`{}`))
	if got := b.backlog(t, l); got != 2 {
		t.Fatalf("a backlog of %d", got)
	}
	before := fmt.Sprint(b.keys(t, "*"))
	for _, w := range []*accept.Write{post(`{}`), put("a", `{}`), keyed(post(`{}`), "k")} {
		_, err := b.Submit(t.Context(), w)
		wantKind(t, err, fault.Overloaded)
	}
	_, err := b.SubmitBulk(t.Context(), &accept.Bulk{Tenant: "default", Operations: []record.Operation{post(`{}`).Operation}})
	wantKind(t, err, fault.Overloaded)
	if after := fmt.Sprint(b.keys(t, "*")); after != before {
		t.Errorf("refused writes left something: %s, before %s", after, before)
	}
	if err := accept.NewUnderWay(b.rc).Finish(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	b.backlog(t, l)
	b.submit(t, post(`{}`))
}

// TestBacklog_IsSetRightByAnEmptyQueue: what dead processes left of the count goes,
// and only then.
func TestBacklog_IsSetRightByAnEmptyQueue(t *testing.T) {
	t.Parallel()
	b := setup(t, accept.Options{})
	l := accept.NewBacklog(b.rc, b.queue, 0, silent)
	b.submit(t, post(`{}`))
	for range 10 {
		if got := b.backlog(t, l); got != 1 {
			t.Fatalf("a backlog of %d while a task is queued", got)
		}
	}
	tasks := b.keys(t, "asynq:{writes}:*")
	if err := b.rc.Del(t.Context(), tasks...).Err(); err != nil {
		t.Fatal(err)
	}
	looks := 1
	for ; b.backlog(t, l) != 0; looks++ {
		if looks > 10 {
			t.Fatal("the count stays wrong")
		}
	}
	if looks < 3 {
		t.Errorf("set right after %d looks: a batch may be on its way", looks)
	}
	b.submit(t, post(`{}`))
	if got := b.backlog(t, l); got != 1 {
		t.Errorf("a backlog of %d after it was set right and one write", got)
	}
}
