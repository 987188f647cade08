package accept_test

import (
	"context"
	"slices"
	"testing"

	"github.com/waybill-dev/waybill/internal/accept"
	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/record"
)

// tenants are two whose writes meet in a batch, and who writes for each.
var tenants = map[string]string{"acme": "user:ann", "umbrella": "key:bob"}

// together submits a PUT of one record's name under one Idempotency-Key for each
// tenant, such that both travel in one batch.
func (b *bundle) together(t *testing.T) map[string]accept.Accepted {
	t.Helper()
	entered, release := b.queue.hold()
	defer release()
	first := b.submitAll(post(`{}`))
	receive(t, entered, "the first enqueue")
	results := make(chan accept.Accepted, len(tenants))
	for tenant, principal := range tenants {
		w := put("r", `{"of":"`+tenant+`"}`)
		w.Tenant, w.Principal, w.Admin = tenant, principal, tenant == "acme"
		go func() {
			accepted, err := b.Submit(context.Background(), keyed(w, "k"))
			if err != nil {
				t.Errorf("submit: %v", err)
			}
			results <- accepted
		}()
	}
	b.pending(t, len(tenants))
	release()
	if err := receive(t, first, "the first 202"); err != nil {
		t.Fatal(err)
	}
	accepted := map[string]accept.Accepted{}
	for range tenants {
		a := receive(t, results, "a 202")
		accepted[a.Tenant] = a
	}
	return accepted
}

func TestAcceptor_ABatchKeepsTenantsApart(t *testing.T) {
	t.Parallel()
	b := setup(t, accept.Options{Wait: soon})
	accepted := b.together(t)
	ours, theirs := accepted["acme"], accepted["umbrella"]
	if record.BatchID(ours.ID) != record.BatchID(theirs.ID) || ours.ID == theirs.ID || ours.Replayed || theirs.Replayed {
		t.Fatalf("accepted %+v and %+v: want two operations of one batch", ours, theirs)
	}
	batch := b.queue.tasks[record.BatchID(ours.ID)]
	if len(batch) != 2 {
		t.Fatalf("the task carries %+v", batch)
	}
	for _, op := range batch {
		if op.Principal != tenants[op.Tenant] || op.Admin != (op.Tenant == "acme") || string(op.Body) != `{"of":"`+op.Tenant+`"}` || op.ID != accepted[op.Tenant].ID {
			t.Errorf("enqueued %+v", op)
		}
	}
	b.tracked(t, accepted, record.Queued)
	b.keep(t, batch...)
	b.tracked(t, accepted, record.Done)
	for tenant, a := range accepted {
		r, err := b.store.Record(t.Context(), a.Key)
		if err != nil || string(r.Data) != `{"of":"`+tenant+`"}` || r.Version != 1 {
			t.Errorf("stored for %s: %+v, %v", tenant, r, err)
		}
	}
}

// tracked checks that each tenant sees its own operation, and that alone.
func (b *bundle) tracked(t *testing.T, accepted map[string]accept.Accepted, want record.Status) {
	t.Helper()
	for tenant, a := range accepted {
		marks, _, err := accept.NewUnderWay(b.rc).Of(t.Context(), []record.Key{a.Key})
		if err != nil || !slices.Equal(marks[0], []string{a.ID}) {
			t.Errorf("under way for %s are %v, %v; want %s", tenant, marks, err, a.ID)
		}
		for other := range accepted {
			op, err := b.Operation(t.Context(), other, a.ID)
			switch {
			case other != tenant && fault.KindOf(err) != fault.NotFound:
				t.Errorf("%s sees %s of %s: %+v, %v", other, a.ID, tenant, op, err)
			case other == tenant && (err != nil || op.Status != want || op.Principal != a.Principal):
				t.Errorf("%s sees %+v of its own, %v", tenant, op, err)
			}
		}
	}
}
