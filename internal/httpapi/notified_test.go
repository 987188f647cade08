package httpapi_test

import (
	"context"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/store"
	"github.com/waybill-dev/waybill/internal/subscription"
)

// notified is the store's half of notifying. It notes who is woken: there is no
// dispatcher here, and tests stand in for it.
type notified struct {
	*store.Store
	mu    sync.Mutex
	woken []subscription.Key
	fail  error // what DeliveryCounts ends with
}

func (n *notified) Wake(_ context.Context, keys ...subscription.Key) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.woken = append(n.woken, keys...)
}

func (n *notified) DeliveryCounts(ctx context.Context, keys []record.OperationKey) (map[string]subscription.Counts, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.fail != nil {
		return nil, n.fail
	}
	return n.Store.DeliveryCounts(ctx, keys)
}

// countsFail has DeliveryCounts fail from now on.
func (n *notified) countsFail(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fail = err
}

// attempted records an attempt at a delivery that is pending, and what becomes of
// it; Pending: it is to be tried again at once.
func (n *notified) attempted(t testing.TB, id string, status subscription.Status, a subscription.Attempt) {
	t.Helper()
	before, err := n.Delivery(t.Context(), record.DefaultTenant, id)
	must(t, err)
	a.ID, a.Tenant, a.Delivery = uuid.Must(uuid.NewV7()).String(), before.Tenant, id
	must(t, n.RecordAttempts(t.Context(), []store.Tried{{Delivery: *before, Attempt: a, Status: status}}, nil))
	after, err := n.Delivery(t.Context(), record.DefaultTenant, id)
	must(t, err)
	if after.Status != status || after.Attempts != before.Attempts+1 {
		t.Fatalf("the attempt did not count: from %+v to %+v", before, after)
	}
}

// announced stores an event of an operation, and its deliveries: their IDs. Only
// a write has an event for more than one subscription, so the others' deliveries
// are copies of the first's.
func (s *service) announced(operation, eventType string, to ...string) []string {
	s.t.Helper()
	e := subscription.Event{Tenant: record.DefaultTenant, ID: operation, Type: eventType, Body: []byte(`{"data":{}}`)}
	first, err := s.notify.Announce(s.t.Context(), &e, subscription.Key{Tenant: record.DefaultTenant, ID: to[0]})
	must(s.t, err)
	ids := []string{first.ID}
	for _, other := range to[1:] {
		id := uuid.Must(uuid.NewV7()).String()
		ids = append(ids, id)
		_, err := s.store.DB().ExecContext(s.t.Context(), `INSERT INTO deliveries
			(tenant, id, subscription, event, type, status, generation, tries, attempts, next_at, error, progress, created_at, finished_at)
			SELECT tenant, $1, $2, event, type, status, generation, tries, attempts, next_at, error, progress, created_at, finished_at
			FROM deliveries WHERE tenant = $3 AND id = $4`, id, other, record.DefaultTenant, first.ID)
		must(s.t, err)
	}
	return ids
}
