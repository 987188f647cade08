package accept_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/waybill-dev/waybill/internal/accept"
	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/tasks"
)

func TestIdempotency_ARepeatIsTheSameOperation(t *testing.T) {
	t.Parallel()
	b := setup(t, accept.Options{})
	for _, draft := range []func() *accept.Write{
		func() *accept.Write { return keyed(post(`{"a":1}`), "of a post") },
		func() *accept.Write { return keyed(put("r", `{"a":1}`), "of a put") },
	} {
		first := b.submit(t, draft())
		if first.Replayed {
			t.Error("the first request is called a repeat")
		}
		for range 2 { // once while it is queued, once more while that is
			second := b.submit(t, draft())
			if !second.Replayed || second.ID != first.ID || second.Key != first.Key {
				t.Errorf("a repeat of %s %v is %s %v, replayed %v", first.ID, first.Key, second.ID, second.Key, second.Replayed)
			}
		}
		if !b.inQueue(t, first.ID) {
			t.Error("the batch is not in the queue")
		}
		if accept.Marked(&first.Operation) && !slices.Equal(b.marks(t, "r"), []string{first.ID}) {
			t.Errorf("under way are %v, want %s alone", b.marks(t, "r"), first.ID)
		}
	}
}

func TestIdempotency_WhatIsStoredIsNotEnqueuedAgain(t *testing.T) {
	t.Parallel()
	b := setup(t, accept.Options{})
	first := b.submit(t, keyed(put("r", `{}`), "k"))
	b.keep(t, first.Operation)
	if again := b.submit(t, keyed(put("r", `{}`), "k")); !again.Replayed || again.ID != first.ID {
		t.Errorf("a repeat of %s is %s", first.ID, again.ID)
	}
	if b.inQueue(t, tasks.SingleID(first.ID)) {
		t.Error("what is stored was enqueued again")
	}
}

// The queue lost it (or its api died before the enqueue): a repeat is what brings it back.
func TestIdempotency_WhatIsNowhereIsEnqueuedAgain(t *testing.T) {
	t.Parallel()
	b := setup(t, accept.Options{})
	first := b.submit(t, keyed(put("r", `{}`), "k"))
	if err := b.rc.Del(t.Context(), "asynq:{writes}:t:"+first.ID, "asynq:{writes}:pending").Err(); err != nil {
		t.Fatal(err)
	}
	if err := accept.NewUnderWay(b.rc).Clear(t.Context(), accept.Mark{Record: first.Key, Operation: first.ID}); err != nil {
		t.Fatal(err)
	}
	if again := b.submit(t, keyed(put("r", `{}`), "k")); again.ID != first.ID {
		t.Errorf("a repeat of %s is %s", first.ID, again.ID)
	}
	if !b.inQueue(t, tasks.SingleID(first.ID)) {
		t.Error("it is not in the queue")
	}
	if m := b.marks(t, "r"); !slices.Equal(m, []string{first.ID}) {
		t.Errorf("under way are %v, want %s", m, first.ID)
	}
}

func TestIdempotency_AnotherRequestUnderTheKeyIsRefused(t *testing.T) {
	t.Parallel()
	b := setup(t, accept.Options{})
	b.submit(t, keyed(put("r", `{"a":1}`), "k"))
	for name, w := range map[string]*accept.Write{
		"another body":   put("r", `{"a":2}`),
		"another path":   put("s", `{"a":1}`),
		"another method": func() *accept.Write { w := put("r", `{"a":1}`); w.Action = "patch"; return w }(),
	} {
		_, err := b.Submit(t.Context(), keyed(w, "k"))
		if fault.KindOf(err) != fault.IdempotencyMismatch {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := len(b.queue.taken()); n != 1 {
		t.Errorf("%d tasks, want 1", n)
	}
	if m := append(b.marks(t, "r"), b.marks(t, "s")...); len(m) != 1 {
		t.Errorf("under way are %v, want the first alone", m)
	}
}

func TestIdempotency_KeysOfOthersAreOthers(t *testing.T) {
	t.Parallel()
	b := setup(t, accept.Options{})
	seen := map[string]bool{}
	for _, tenant := range []string{"default", "acme"} {
		for _, principal := range []string{"", "ann", "bob"} {
			w := keyed(post(`{}`), "k")
			w.Tenant, w.Principal = tenant, principal
			accepted := b.submit(t, w)
			if accepted.Replayed || seen[accepted.ID] {
				t.Errorf("%q of %q was given the operation of somebody else", principal, tenant)
			}
			seen[accepted.ID] = true
		}
	}
}

func TestIdempotency_KeysAreKeptFor24Hours(t *testing.T) {
	t.Parallel()
	b := setup(t, accept.Options{})
	b.submit(t, keyed(post(`{}`), "k"))
	found := b.keys(t, "*idempotency*")
	if len(found) != 1 {
		t.Fatalf("keys %v, want one", found)
	}
	ttl, err := b.rc.TTL(t.Context(), found[0]).Result()
	if err != nil || ttl > 24*time.Hour || ttl < 24*time.Hour-time.Minute {
		t.Errorf("it lives %v (%v), want 24 h", ttl, err)
	}
}

func TestIdempotency_ForgottenKeysAreFree(t *testing.T) {
	t.Parallel()
	b := setup(t, accept.Options{IdempotencyTTL: time.Second})
	first := b.submit(t, keyed(post(`{}`), "k"))
	deadline := time.Now().Add(soon)
	for len(b.keys(t, "*idempotency*")) > 0 && time.Now().Before(deadline) {
		<-time.After(20 * time.Millisecond)
	}
	if again := b.submit(t, keyed(post(`{}`), "k")); again.Replayed || again.ID == first.ID {
		t.Errorf("a day later %s is still %s", again.ID, first.ID)
	}
}

func TestIdempotency_TwoInOneBatchAreOneOperation(t *testing.T) {
	t.Parallel()
	b := setup(t, accept.Options{Wait: soon})
	entered, release := b.queue.hold()
	defer release()
	first := b.submitAll(post(`{}`))
	receive(t, entered, "the first enqueue")
	results := make(chan accept.Accepted, 3)
	for _, body := range []string{`{"a":1}`, `{"a":1}`, `{"a":1}`} {
		go func() {
			accepted, err := b.Submit(context.Background(), keyed(put("r", body), "k"))
			if err != nil {
				t.Errorf("submit: %v", err)
			}
			results <- accepted
		}()
	}
	b.pending(t, 3)
	release()
	if err := receive(t, first, "the first 202"); err != nil {
		t.Fatal(err)
	}
	ids, replayed := map[string]bool{}, 0
	for range 3 {
		accepted := receive(t, results, "a 202")
		ids[accepted.ID] = true
		if accepted.Replayed {
			replayed++
		}
	}
	if len(ids) != 1 || replayed != 2 {
		t.Errorf("operations %v, %d of them repeats; want one operation, two repeats", ids, replayed)
	}
	if m := b.marks(t, "r"); len(m) != 1 {
		t.Errorf("under way are %v, want one", m)
	}
}

// An operation that was stamped long ago and came in nowhere has lost its place
// among the writes to its record: its repeat gets a new one, once.
func TestIdempotency_ASpentOperationIsReplaced(t *testing.T) {
	t.Parallel()
	b := setup(t, accept.Options{})
	draft := keyed(put("r", `{}`), "k")
	for _, c := range []struct {
		age      time.Duration
		kind     fault.Kind
		replaced bool
	}{{10 * time.Second, "", false}, {27 * time.Second, fault.QueueUnavailable, false}, {40 * time.Second, "", true}} {
		lost := record.NewID(time.Now().Add(-c.age).UnixMicro(), 7, 0)
		held := "waybill:{writes}:idempotency:default//k"
		if err := b.rc.Set(t.Context(), held, lost+":"+draft.Hash, time.Hour).Err(); err != nil {
			t.Fatal(err)
		}
		if err := accept.NewUnderWay(b.rc).Add(t.Context(), accept.Mark{Record: draft.Key, Operation: lost}); err != nil {
			t.Fatal(err)
		}
		accepted, err := b.Submit(t.Context(), draft)
		if fault.KindOf(err) != c.kind {
			t.Fatalf("%v old: %v", c.age, err)
		}
		if err != nil {
			continue
		}
		if replaced := accepted.ID != lost; replaced != c.replaced || accepted.Replayed == c.replaced {
			t.Errorf("%v old: %s became %s, replayed %v", c.age, lost, accepted.ID, accepted.Replayed)
		}
		if m := b.marks(t, "r"); slices.Contains(m, lost) == c.replaced || !slices.Contains(m, accepted.ID) {
			t.Errorf("%v old: under way are %v", c.age, m)
		}
		if again := b.submit(t, draft); again.ID != accepted.ID || !again.Replayed {
			t.Errorf("%v old: repeated once more, it is %s", c.age, again.ID)
		}
	}
}
