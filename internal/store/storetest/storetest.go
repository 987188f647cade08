// Package storetest is the conformance suite of the store: what every database
// under it must do, whatever its dialect. Only tests import it.
package storetest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/store"
)

// Open returns an empty, migrated store, which it closes when the test ends.
type Open func(t testing.TB) *store.Store

// Run runs the suite; each test gets a store of its own.
func Run(t *testing.T, open Open) {
	for _, group := range []map[string]func(*testing.T, *store.Store){applyTests, listTests, operationTests, notifyTests, userTests, keyTests, sessionTests, purgeTests, purgePageTests, auditTests, ownerTests, standingTests} {
		for name, test := range group {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t, open(t))
			})
		}
	}
}

// fold is record.Fold where a patch replaces the data; a record is its creator's.
func fold(current *record.Record, op *record.Operation) (*record.Record, record.Outcome) {
	after, outcome := record.Apply(current, op, func(_, patch []byte) ([]byte, error) { return patch, nil })
	outcome.Owner = op.Principal
	if current != nil {
		outcome.Owner = current.Owner
	}
	if after != nil {
		after.Owner = outcome.Owner
	}
	return after, outcome
}

// stamp is the first that clock draws: 2026-01-01 and some.
const stamp = 1_767_225_600_123_456

// storedAt is when every operation of the suite is stored.
var storedAt = time.Date(2026, 2, 3, 4, 5, 6, 789_012_000, time.UTC)

// clock draws the IDs of operations, in rising order.
type clock struct {
	mu    sync.Mutex
	drawn int64
}

func (c *clock) id() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drawn++
	return record.NewID(stamp+c.drawn, 0x2ada_dead_beef, int(c.drawn%7))
}

// create returns the creation of a record under the operation's own ID.
func (c *clock) create(collection, body string) record.Operation {
	id := c.id()
	return record.Operation{ID: id, Key: key(collection, id), Action: record.Create, Body: []byte(body)}
}

func (c *clock) write(action record.Action, k record.Key, body string) record.Operation {
	op := record.Operation{ID: c.id(), Key: k, Action: action}
	if action != record.Delete {
		op.Body = []byte(body)
	}
	return op
}

func (c *clock) replace(k record.Key, body string) record.Operation {
	return c.write(record.Replace, k, body)
}

func key(collection, id string) record.Key {
	return record.Key{Tenant: record.DefaultTenant, Collection: collection, ID: id}
}

// apply applies operations and returns their outcomes.
func apply(t testing.TB, s *store.Store, operations ...record.Operation) []record.Outcome {
	t.Helper()
	outcomes, err := s.Apply(t.Context(), operations, nil, storedAt, fold)
	if err != nil {
		t.Fatalf("Apply: %v", err)
	}
	return outcomes
}

// get returns a record, nil if there is none.
func get(t testing.TB, s *store.Store, k record.Key) *record.Record {
	t.Helper()
	exist, err := s.Exists(t.Context(), []record.Key{k})
	if err != nil {
		t.Fatalf("Exists: %v", err)
	}
	if !exist[k] {
		return nil
	}
	r, err := s.Record(t.Context(), k)
	if err != nil {
		t.Fatalf("Record: %v", err)
	}
	return r
}

func operation(t testing.TB, s *store.Store, tenant, id string) *record.Stored {
	t.Helper()
	o, err := s.Operation(t.Context(), tenant, id)
	if err != nil {
		t.Fatalf("Operation %s: %v", id, err)
	}
	return o
}

// same fails the test unless got is want.
func same(t testing.TB, what string, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

// together calls f n times at once and returns when all calls have; f reports
// with t.Error alone.
func together(n int, f func(i int)) {
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			f(i)
		})
	}
	close(start)
	wg.Wait()
}

// ids returns the operations' IDs.
func ids(outcomes []record.Outcome) []string {
	ids := make([]string, len(outcomes))
	for i, o := range outcomes {
		ids[i] = o.Operation.ID
	}
	return ids
}

func body(n int) string { return fmt.Sprintf(`{"n":%d}`, n) }
