package accept_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/waybill-dev/waybill/internal/accept"
	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/testenv"
	"github.com/waybill-dev/waybill/tasks"
)

func TestAcceptor_WithoutRedisAWriteIsNotConfirmedAndNeverAppears(t *testing.T) {
	t.Parallel()
	r := testenv.NewRedis(t)
	b := setupOn(t, r.URL(), accept.Options{})
	if err := r.Stop(); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	_, err := b.Submit(t.Context(), keyed(put("r", `{}`), "k"))
	wantKind(t, err, fault.QueueUnavailable)
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("it took %v to say so", took)
	}
	_, err = b.SubmitBulk(t.Context(), &accept.Bulk{Operations: creates(3), Tenant: "default"})
	wantKind(t, err, fault.QueueUnavailable)
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if found := b.keys(t, "*"); len(found) > 0 {
		t.Errorf("Redis has %v", found)
	}
	var accepted accept.Accepted
	testenv.Eventually(t, soon, "writes work again", func() (err error) {
		accepted, err = b.Submit(t.Context(), keyed(put("r", `{}`), "k"))
		return err
	})
	if accepted.Replayed {
		t.Error("a write that was refused is called accepted")
	}
}

func TestAcceptor_AFrozenRedisIsNotWaitedForLong(t *testing.T) {
	t.Parallel()
	r := testenv.NewRedis(t)
	b := setupOn(t, r.URL(), accept.Options{})
	b.submit(t, put("r", `{}`)) // connected
	if err := r.Pause(); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	_, err := b.Submit(t.Context(), put("r", `{}`))
	took := time.Since(start)
	if resumed := r.Resume(); resumed != nil {
		t.Fatal(resumed)
	}
	wantKind(t, err, fault.QueueUnavailable)
	if took > 3*time.Second {
		t.Errorf("it took %v to say so, want 2 s and what a busy machine adds", took)
	}
	testenv.Eventually(t, soon, "writes work again", func() error {
		_, err := b.Submit(t.Context(), put("r", `{}`))
		return err
	})
}

// full makes every enqueue from now on find Redis out of memory.
func (b *bundle) full(t testing.TB) {
	t.Helper()
	b.queue.intercept(func(ctx context.Context) error { return b.rc.ConfigSet(ctx, "maxmemory", "1").Err() })
}

func (b *bundle) roomAgain(t testing.TB) {
	t.Helper()
	b.queue.intercept(nil)
	if err := b.rc.ConfigSet(t.Context(), "maxmemory", "0").Err(); err != nil {
		t.Fatal(err)
	}
}

func TestAcceptor_AFullRedisIsOverloadedAndLeavesNoTrace(t *testing.T) {
	t.Parallel()
	b := setupOn(t, ownRedis(t), accept.Options{})
	b.full(t)
	_, err := b.Submit(t.Context(), put("r", `{}`)) // stamped, and then refused
	wantKind(t, err, fault.Overloaded)
	if m := b.marks(t, "r"); len(m) > 0 {
		t.Errorf("marks are left: %v", m)
	}
	_, err = b.Submit(t.Context(), put("r", `{}`)) // not even stamped
	wantKind(t, err, fault.Overloaded)
	b.roomAgain(t)
	b.submit(t, put("r", `{}`))
	if n := len(b.queue.taken()); n != 1 {
		t.Errorf("%d tasks, want the last alone", n)
	}
}

// A repeat of a refused write takes its operation over, which kept its place.
func TestAcceptor_ARefusedWriteIsRepeatedAsTheSameOperation(t *testing.T) {
	t.Parallel()
	b := setupOn(t, ownRedis(t), accept.Options{})
	b.full(t)
	_, err := b.Submit(t.Context(), keyed(put("r", `{}`), "k"))
	wantKind(t, err, fault.Overloaded)
	before := b.marks(t, "r")
	b.roomAgain(t)
	accepted := b.submit(t, keyed(put("r", `{}`), "k"))
	if len(before) != 1 || accepted.ID != before[0] || !b.inQueue(t, tasks.SingleID(accepted.ID)) {
		t.Errorf("operation %s, marks before %v", accepted.ID, before)
	}
}

// After a failure that may have been none, the marks stay: the write may be in.
func TestAcceptor_WhatMayHaveArrivedStaysMarked(t *testing.T) {
	t.Parallel()
	b := setup(t, accept.Options{})
	b.queue.intercept(func(context.Context) error { return errors.New("the answer was lost on the way") })
	_, err := b.Submit(t.Context(), keyed(put("r", `{}`), "k"))
	wantKind(t, err, fault.QueueUnavailable)
	m := b.marks(t, "r")
	if len(m) != 1 {
		t.Fatalf("under way are %v, want one", m)
	}
	b.queue.intercept(nil)
	if again := b.submit(t, keyed(put("r", `{}`), "k")); !again.Replayed || again.ID != m[0] {
		t.Errorf("a repeat is %s, replayed %v; want %s", again.ID, again.Replayed, m[0])
	}
}
