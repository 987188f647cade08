package accept_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/waybill-dev/waybill/internal/accept"
	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/testenv"
	"github.com/waybill-dev/waybill/tasks"
)

func TestOperation_IsFoundWhereverItIs(t *testing.T) {
	t.Parallel()
	b := setup(t, accept.Options{})
	w := put("r", `{}`)
	w.Principal = "ann"
	accepted := b.submit(t, w)
	check := func(where string, want record.Status) {
		t.Helper()
		op, err := b.Operation(t.Context(), "default", accepted.ID)
		if err != nil {
			t.Fatalf("%s: %v", where, err)
		}
		if op.ID != accepted.ID || op.Key != accepted.Key || op.Action != record.Replace || op.Status != want ||
			op.Principal != "ann" || op.Owner != "ann" || !op.AcceptedAt.Equal(record.AcceptedAt(accepted.ID)) {
			t.Errorf("%s: %+v", where, op)
		}
	}
	check("in its batch", record.Queued)
	single := b.single(t, accepted.Operation)
	check("in both", record.Queued)
	if err := b.rc.Del(t.Context(), "asynq:{writes}:t:"+accepted.ID).Err(); err != nil {
		t.Fatal(err)
	}
	check("in a task of its own", record.Queued)
	b.keep(t, accepted.Operation)
	check("in the queue and the store", record.Done) // a terminal status never changes back
	if err := b.rc.Del(t.Context(), "asynq:{writes}:t:"+single).Err(); err != nil {
		t.Fatal(err)
	}
	check("in the store", record.Done)
}

// single enqueues op in a task of its own, and returns the task's ID.
func (b *bundle) single(t testing.TB, op record.Operation) string {
	t.Helper()
	payload, err := tasks.EncodeApply([]tasks.Operation{{
		ID: op.ID, Tenant: op.Tenant, Collection: op.Collection, Record: op.Key.ID, Action: string(op.Action), Body: op.Body, Principal: op.Principal,
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.queue.Enqueue(t.Context(), tasks.NewApply(tasks.SingleID(op.ID), payload, nil)); err != nil {
		t.Fatal(err)
	}
	return tasks.SingleID(op.ID)
}

func TestOperation_SaysNotFoundOnlyIfBothAnswered(t *testing.T) {
	t.Parallel()
	const unknown = "019a0000-0000-7000-8000-000000000000"
	tests := []struct {
		name                  string
		queueDown, storeDown  bool
		queued, kept, nowhere fault.Kind // what a look-up of each says; "" for found
	}{
		{"both up", false, false, "", "", fault.NotFound},
		{"queue down", true, false, fault.QueueUnavailable, "", fault.QueueUnavailable},
		{"store down", false, true, "", fault.StoreUnavailable, fault.StoreUnavailable},
		{"both down", true, true, fault.StoreUnavailable, fault.StoreUnavailable, fault.StoreUnavailable},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := testenv.NewRedis(t)
			b := setupOn(t, r.URL(), accept.Options{})
			queued, kept := b.submit(t, put("queued", `{}`)), b.submit(t, put("kept", `{}`))
			b.keep(t, kept.Operation)
			if err := b.rc.Del(t.Context(), "asynq:{writes}:t:"+kept.ID).Err(); err != nil {
				t.Fatal(err)
			}
			if tt.queueDown {
				if err := r.Stop(); err != nil {
					t.Fatal(err)
				}
			}
			if tt.storeDown {
				if err := b.store.Close(); err != nil {
					t.Fatal(err)
				}
			}
			for id, want := range map[string]fault.Kind{queued.ID: tt.queued, kept.ID: tt.kept, unknown: tt.nowhere} {
				_, err := b.Operation(t.Context(), "default", id)
				if fault.KindOf(err) != want {
					t.Errorf("%s: %v, want %q", id, err, want)
				}
			}
		})
	}
}

func TestOperation_OfOthersIsNotThere(t *testing.T) {
	t.Parallel()
	b := setup(t, accept.Options{})
	queued, kept := b.submit(t, put("r", `{}`)), b.submit(t, put("s", `{}`))
	b.keep(t, kept.Operation)
	for _, id := range []string{queued.ID, kept.ID} {
		_, err := b.Operation(t.Context(), "acme", id)
		wantKind(t, err, fault.NotFound)
	}
	for _, id := range []string{"", "x", queued.ID[:35] + "f", queued.ID + ".1"} {
		_, err := b.Operation(t.Context(), "default", id)
		wantKind(t, err, fault.NotFound)
	}
}

// waiting submits a write whose outcome will be awaited.
func (b *bundle) waiting(t testing.TB) accept.Accepted {
	t.Helper()
	w := put("r", `{"a":1}`)
	w.Wait = true
	accepted := b.submit(t, w)
	if accepted.Reply == "" {
		t.Fatal("the operation carries no reply channel")
	}
	return accepted
}

// listening runs the receiver of outcomes, and returns once Redis knows it.
func (b *bundle) listening(t testing.TB, channel string) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		b.Run(ctx)
	}()
	t.Cleanup(func() {
		stop()
		receive(t, ended, "the end of Run")
	})
	testenv.Eventually(t, soon, "somebody listens", func() error {
		n, err := b.rc.PubSubNumSub(ctx, channel).Result()
		if err == nil && n[channel] != 1 {
			err = fmt.Errorf("%d listen", n[channel])
		}
		return err
	})
}

func TestAwait_IsToldByTheWorker(t *testing.T) {
	t.Parallel()
	b := setup(t, accept.Options{})
	accepted := b.waiting(t)
	b.listening(t, accepted.Reply)
	tests := []struct {
		outcome tasks.Outcome
		check   func(*accept.Ended) bool
	}{
		{tasks.Outcome{Status: "done", Version: 1, Created: true, CreatedBy: "c", Owner: "user:ann", Data: json.RawMessage(`{"a":1}`)}, func(e *accept.Ended) bool {
			return e.Created && e.Operation.Status == record.Done && e.Record.Version == 1 && string(e.Record.Data) == `{"a":1}` && e.Record.CreatedBy == "c" &&
				e.Record.Owner == "user:ann" && e.Operation.Owner == "user:ann"
		}},
		{tasks.Outcome{Status: "failed", Code: "conflict", Detail: "taken", Owner: "user:ann"}, func(e *accept.Ended) bool {
			return e.Operation.Status == record.Failed && e.Operation.Code == fault.Conflict && e.Operation.Detail == "taken" && e.Operation.Owner == "user:ann" && e.Record == nil
		}},
	}
	for _, tt := range tests {
		accepted := b.waiting(t)
		tt.outcome.ID = accepted.ID
		message, err := json.Marshal(tt.outcome)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range []string{"not JSON", `{"id":"of nobody"}`, string(message), string(message)} { // none of it may get in the way
			if err := b.rc.Publish(t.Context(), accepted.Reply, m).Err(); err != nil {
				t.Fatal(err)
			}
		}
		ended, err := b.Await(t.Context(), &accepted, soon)
		if err != nil || ended == nil || !tt.check(ended) || ended.Operation.ID != accepted.ID {
			t.Errorf("ended %+v, error %v", ended, err)
		}
	}
}

func TestAwait_SeesItInTheStoreWhenNobodyTells(t *testing.T) {
	t.Parallel()
	b := setup(t, accept.Options{})
	accepted := b.waiting(t) // and nobody listens
	b.keep(t, accepted.Operation)
	ended, err := b.Await(t.Context(), &accepted, soon)
	if err != nil || ended == nil {
		t.Fatalf("ended %+v, error %v", ended, err)
	}
	if !ended.Created || ended.Operation.Status != record.Done || ended.Record == nil || string(ended.Record.Data) != `{"a":1}` {
		t.Errorf("ended %+v", ended)
	}
}

func TestAwait_EndsInTime(t *testing.T) {
	t.Parallel()
	b := setup(t, accept.Options{})
	accepted := b.waiting(t)
	if ended, err := b.Await(t.Context(), &accepted, 50*time.Millisecond); err != nil || ended != nil {
		t.Errorf("ended %+v, error %v; want neither", ended, err)
	}
	again := b.waiting(t)
	if err := b.store.Close(); err != nil { // a store that is away is not an answer
		t.Fatal(err)
	}
	if ended, err := b.Await(t.Context(), &again, 1100*time.Millisecond); err != nil || ended != nil {
		t.Errorf("ended %+v, error %v; want neither", ended, err)
	}
}

func TestWait_ReturnsAsSoonAsItEnds(t *testing.T) {
	t.Parallel()
	b := setup(t, accept.Options{})
	accepted := b.submit(t, put("r", `{}`))
	if op, err := b.Wait(t.Context(), "default", accepted.ID, 60*time.Millisecond); err != nil || op.Status != record.Queued {
		t.Errorf("operation %+v, error %v; want it queued", op, err)
	}
	result := make(chan error, 1)
	go func() {
		op, err := b.Wait(context.Background(), "default", accepted.ID, soon)
		if err == nil && op.Status != record.Done {
			err = errors.New("it is " + string(op.Status))
		}
		result <- err
	}()
	b.keep(t, accepted.Operation)
	if err := receive(t, result, "the end of the wait"); err != nil {
		t.Error(err)
	}
}
