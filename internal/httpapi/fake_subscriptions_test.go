package httpapi_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/store"
	"github.com/waybill-dev/waybill/internal/subscription"
)

// fakeSubscriptions stands in for the store's half of notifying, in memory.
type fakeSubscriptions struct {
	mu         sync.Mutex
	kept       []subscription.Subscription
	deliveries []subscription.Delivery
	attempts   []subscription.Attempt
	woken      []subscription.Key
	fail       error // what DeliveryCounts ends with
}

func (f *fakeSubscriptions) Wake(_ context.Context, keys ...subscription.Key) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.woken = append(f.woken, keys...)
}

// find needs the lock.
func (f *fakeSubscriptions) find(key subscription.Key) (int, error) {
	i := slices.IndexFunc(f.kept, func(s subscription.Subscription) bool { return s.Key == key })
	if i < 0 {
		return i, fault.New(fault.NotFound, "there is no subscription %q", key.ID)
	}
	return i, nil
}

func (f *fakeSubscriptions) CreateSubscription(_ context.Context, s *subscription.Subscription) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.kept = append(f.kept, *s)
	return nil
}

func (f *fakeSubscriptions) Subscription(ctx context.Context, key subscription.Key) (*subscription.Subscription, error) {
	return f.UpdateSubscription(ctx, key, func(*subscription.Subscription) error { return nil })
}

func (f *fakeSubscriptions) Subscriptions(_ context.Context, tenant string, limit int, before string) ([]subscription.Subscription, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var found []subscription.Subscription
	for _, s := range slices.Backward(f.kept) {
		if s.Tenant == tenant && (before == "" || s.ID < before) {
			found = append(found, s)
		}
	}
	return found[:min(len(found), limit)], len(found) > limit, nil
}

func (f *fakeSubscriptions) UpdateSubscription(_ context.Context, key subscription.Key, change func(*subscription.Subscription) error) (*subscription.Subscription, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i, err := f.find(key)
	if err != nil {
		return nil, err
	}
	s := f.kept[i]
	if err := change(&s); err != nil {
		return nil, err
	}
	f.kept[i] = s
	if !s.Enabled {
		f.cancel(key)
	}
	return &s, nil
}

func (f *fakeSubscriptions) cancel(key subscription.Key) {
	for i := range f.deliveries {
		d := &f.deliveries[i]
		if d.Tenant == key.Tenant && d.Subscription == key.ID && d.Status == subscription.Pending {
			d.Status, d.NextAt, d.FinishedAt = subscription.Canceled, time.Time{}, time.Now()
		}
	}
}

func (f *fakeSubscriptions) DeleteSubscription(_ context.Context, key subscription.Key) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	i, err := f.find(key)
	if err == nil {
		f.kept = slices.Delete(f.kept, i, i+1)
		f.cancel(key)
	}
	return err
}

func (f *fakeSubscriptions) Announce(_ context.Context, e *subscription.Event, to subscription.Key) (*subscription.Delivery, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := f.find(to); err != nil {
		return nil, err
	}
	d := subscription.Delivery{
		ID: uuid.Must(uuid.NewV7()).String(), Tenant: to.Tenant, Subscription: to.ID, Event: e.ID, Type: e.Type,
		Status: subscription.Pending, Generation: 1, NextAt: time.Now(), CreatedAt: time.Now(),
	}
	f.deliveries = append(f.deliveries, d)
	return &d, nil
}

func (f *fakeSubscriptions) Replay(_ context.Context, key subscription.Key, q store.ReplayQuery) (count int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.deliveries {
		d := &f.deliveries[i]
		at := record.AcceptedAt(d.Event)
		if d.Subscription != key.ID || at.Before(q.Since) || at.After(q.Until) || d.Status == subscription.Pending || q.Dead && d.Status != subscription.Dead {
			continue
		}
		again(d)
		count++
	}
	return count, nil
}

func again(d *subscription.Delivery) {
	d.Status, d.Generation, d.Tries, d.NextAt, d.FinishedAt = subscription.Pending, d.Generation+1, 0, time.Now(), time.Time{}
}

func (f *fakeSubscriptions) Deliveries(_ context.Context, tenant string, q store.DeliveryQuery) ([]subscription.Delivery, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var found []subscription.Delivery
	for _, d := range slices.Backward(f.deliveries) {
		if d.Tenant == tenant && (q.Before == "" || d.ID < q.Before) && (q.Status == "" || d.Status == q.Status) &&
			(q.Subscription == "" || d.Subscription == q.Subscription) && (q.Event == "" || d.Event == q.Event) {
			found = append(found, d)
		}
	}
	return found[:min(len(found), q.Limit)], len(found) > q.Limit, nil
}

// change calls change with a delivery, and returns it then.
func (f *fakeSubscriptions) change(tenant, id string, change func(*subscription.Delivery) error) (*subscription.Delivery, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.deliveries {
		if d := &f.deliveries[i]; d.Tenant == tenant && d.ID == id {
			return new(*d), change(d)
		}
	}
	return nil, fault.New(fault.NotFound, "there is no delivery %q", id)
}

func (f *fakeSubscriptions) Delivery(_ context.Context, tenant, id string) (*subscription.Delivery, error) {
	return f.change(tenant, id, func(*subscription.Delivery) error { return nil })
}

func (f *fakeSubscriptions) Attempts(_ context.Context, tenant, delivery string) (found []subscription.Attempt, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range f.attempts {
		if a.Tenant == tenant && a.Delivery == delivery {
			found = append(found, a)
		}
	}
	return found, nil
}

func (f *fakeSubscriptions) RetryDelivery(ctx context.Context, tenant, id string) (*subscription.Delivery, error) {
	_, err := f.change(tenant, id, func(d *subscription.Delivery) error {
		if i, err := f.find(subscription.Key{Tenant: tenant, ID: d.Subscription}); err != nil || !f.kept[i].Enabled {
			return fault.New(fault.Conflict, "the subscription is disabled or deleted")
		}
		again(d)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return f.Delivery(ctx, tenant, id)
}

func (f *fakeSubscriptions) DeliveryCounts(_ context.Context, keys []record.OperationKey) (map[string]subscription.Counts, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	counts := map[string]subscription.Counts{}
	for _, d := range f.deliveries {
		if slices.Contains(keys, record.OperationKey{Tenant: d.Tenant, ID: d.Event}) {
			c := counts[d.Event]
			c.Add(d.Status, 1)
			counts[d.Event] = c
		}
	}
	return counts, f.fail
}

// attempted records an attempt at a pending delivery, which ends it so.
func (f *fakeSubscriptions) attempted(t testing.TB, id string, status subscription.Status, a subscription.Attempt) {
	t.Helper()
	_, err := f.change(record.DefaultTenant, id, func(d *subscription.Delivery) error {
		d.Status, d.NextAt, d.FinishedAt, d.Error = status, time.Time{}, a.At.Add(a.Took), a.Error
		d.Attempts, d.Tries = d.Attempts+1, d.Tries+1
		a.ID, a.Tenant, a.Delivery = uuid.Must(uuid.NewV7()).String(), d.Tenant, d.ID
		f.attempts = append(f.attempts, a)
		return nil
	})
	must(t, err)
}
