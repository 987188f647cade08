package accept_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waybill-dev/waybill/internal/accept"
	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/tasks"
)

func creates(n int) []record.Operation {
	operations := make([]record.Operation, n)
	for i := range operations {
		operations[i] = record.Operation{
			Key: record.Key{Tenant: "default", Collection: "todos"}, Action: record.Create, Body: fmt.Appendf(nil, `{"n":%d}`, i),
		}
	}
	return operations
}

func bulk(n int, key string) *accept.Bulk {
	return &accept.Bulk{Operations: creates(n), Tenant: "default", IdempotencyKey: key, Hash: accept.Hash("POST", "/todos", "", fmt.Append(nil, n))}
}

func idsOf(operations []record.Operation) (ids []string) {
	for i := range operations {
		ids = append(ids, operations[i].ID)
	}
	return ids
}

func TestBulk_IsSplitIntoTasksInTheOrderOfItsLines(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		bulk *accept.Bulk
		want []int
	}{
		{"one", bulk(1, ""), []int{1}},
		{"a task full", bulk(tasks.MaxOperations, ""), []int{tasks.MaxOperations}},
		{"several", bulk(2*tasks.MaxOperations+1, ""), []int{tasks.MaxOperations, tasks.MaxOperations, 1}},
		{"of large records", &accept.Bulk{Tenant: "default", Operations: slices.Repeat([]record.Operation{{
			Key: record.Key{Tenant: "default", Collection: "todos"}, Action: record.Create, Body: []byte(`"` + strings.Repeat("x", 100<<10) + `"`),
		}}, 5)}, []int{2, 2, 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, accept.Options{})
			replayed, err := b.SubmitBulk(t.Context(), tt.bulk)
			if err != nil || replayed {
				t.Fatalf("replayed %v, error %v", replayed, err)
			}
			if d := cmp.Diff(tt.want, b.queue.sizes()); d != "" {
				t.Fatalf("operations in each task (-want +got):\n%s", d)
			}
			b.checkNames(t)
			var taken []record.Operation
			for _, task := range b.queue.taken() {
				taken = append(taken, b.queue.tasks[task]...)
			}
			if d := cmp.Diff(tt.bulk.Operations, taken, cmp.Comparer(bytes.Equal)); d != "" {
				t.Errorf("operations (-answered +enqueued):\n%s", d)
			}
			for i := range tt.bulk.Operations {
				if op := &tt.bulk.Operations[i]; op.Key.ID != op.ID {
					t.Fatalf("the record of %s is %s", op.ID, op.Key.ID)
				}
			}
			if next := b.submit(t, post(`{}`)); next.ID <= taken[len(taken)-1].ID {
				t.Errorf("the next operation, %s, is not after the bulk's last, %s", next.ID, taken[len(taken)-1].ID)
			}
		})
	}
}

func TestBulk_ItsOperationsAreItsTenantsAndWriters(t *testing.T) {
	t.Parallel()
	b := setup(t, accept.Options{})
	sent := bulk(tasks.MaxOperations+1, "k")
	sent.Tenant, sent.Principal, sent.Admin = "acme", "user:ann", true
	if _, err := b.SubmitBulk(t.Context(), sent); err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, task := range b.queue.taken() {
		for _, op := range b.queue.tasks[task] {
			count++
			if op.Tenant != "acme" || op.Principal != "user:ann" || !op.Admin {
				t.Fatalf("enqueued %+v", op)
			}
		}
	}
	if count != len(sent.Operations) {
		t.Errorf("%d operations are enqueued, want %d", count, len(sent.Operations))
	}
	for _, other := range [][2]string{{"default", "user:ann"}, {"acme", "key:ann"}, {"acme", ""}} {
		theirs := bulk(1, "k")
		theirs.Tenant, theirs.Principal = other[0], other[1]
		if replayed, err := b.SubmitBulk(t.Context(), theirs); err != nil || replayed {
			t.Errorf("the key of somebody else stands in the way of %v: %v, %v", other, replayed, err)
		}
	}
}

func TestBulk_ARepeatEnqueuesWhatIsMissing(t *testing.T) {
	t.Parallel()
	b := setup(t, accept.Options{Wait: soon})
	enqueues := 0
	b.queue.intercept(func(context.Context) error {
		if enqueues++; enqueues > 1 {
			return errors.New("cut off")
		}
		return nil
	})
	first := bulk(tasks.MaxOperations+8, "k")
	_, err := b.SubmitBulk(t.Context(), first)
	wantKind(t, err, fault.QueueUnavailable)
	if found := b.keys(t, "*idempotency*"); len(found) != 1 {
		t.Fatalf("idempotency keys %v, want the one of the request", found)
	}
	b.queue.intercept(nil)
	second := bulk(tasks.MaxOperations+8, "k")
	replayed, err := b.SubmitBulk(t.Context(), second)
	if err != nil || !replayed {
		t.Fatalf("replayed %v, error %v", replayed, err)
	}
	if d := cmp.Diff(idsOf(first.Operations), idsOf(second.Operations)); d != "" {
		t.Errorf("IDs (-first +repeat):\n%s", d)
	}
	if d := cmp.Diff([]int{tasks.MaxOperations, 8}, b.queue.sizes()); d != "" {
		t.Errorf("operations in each task (-want +got):\n%s", d)
	}
}

func TestBulk_WhatIsStoredIsNotEnqueuedAgain(t *testing.T) {
	t.Parallel()
	b := setup(t, accept.Options{})
	first := bulk(3, "k")
	if _, err := b.SubmitBulk(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	b.keep(t, first.Operations...)
	if err := b.rc.Del(t.Context(), "asynq:{writes}:t:"+first.Operations[0].ID).Err(); err != nil {
		t.Fatal(err)
	}
	if replayed, err := b.SubmitBulk(t.Context(), bulk(3, "k")); err != nil || !replayed {
		t.Fatalf("replayed %v, error %v", replayed, err)
	}
	if b.inQueue(t, first.Operations[0].ID) {
		t.Error("what is stored was enqueued again")
	}
}

func TestBulk_AnotherRequestUnderTheKeyIsRefused(t *testing.T) {
	t.Parallel()
	b := setup(t, accept.Options{})
	if _, err := b.SubmitBulk(t.Context(), bulk(3, "k")); err != nil {
		t.Fatal(err)
	}
	_, err := b.SubmitBulk(t.Context(), bulk(4, "k"))
	wantKind(t, err, fault.IdempotencyMismatch)
	_, err = b.Submit(t.Context(), keyed(post(`{}`), "k"))
	wantKind(t, err, fault.IdempotencyMismatch)
	b.submit(t, keyed(post(`{}`), "single"))
	_, err = b.SubmitBulk(t.Context(), bulk(1, "single"))
	wantKind(t, err, fault.IdempotencyMismatch)
}

func TestBulk_RefusedAndRepeatedIsTheSame(t *testing.T) {
	t.Parallel()
	b := setupOn(t, ownRedis(t), accept.Options{})
	b.full(t)
	first := bulk(3, "k")
	_, err := b.SubmitBulk(t.Context(), first)
	wantKind(t, err, fault.Overloaded)
	b.roomAgain(t)
	again := bulk(3, "k")
	if _, err := b.SubmitBulk(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	if first.Operations[2].ID != again.Operations[2].ID || !b.inQueue(t, again.Operations[0].ID) {
		t.Errorf("first %s, then %s", first.Operations[2].ID, again.Operations[2].ID)
	}
}
