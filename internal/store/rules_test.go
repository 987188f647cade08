package store_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/waybill-dev/waybill/internal/collection"
	"github.com/waybill-dev/waybill/internal/principal"
	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/store"
	"github.com/waybill-dev/waybill/internal/subscription"
)

// An event makes deliveries only for those who may read what it is about, also
// in a replay.
func TestRules_KeepDeliveriesFromThoseWhoMayNotRead(t *testing.T) {
	t.Parallel()
	s, err := store.Open(sqliteURL(t), store.Options{Rules: func(string) (collection.Access, bool) {
		return collection.Access{Read: collection.Owner, Write: collection.Member}, true
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC().Truncate(time.Microsecond)
	by := map[string]subscription.Reach{
		"guest": {}, "owner": {Role: principal.Member, Principal: "user:ann"},
		"other": {Role: principal.Member, Principal: "user:bob"}, "admin": {Role: principal.Admin, Principal: "user:bob"},
	}
	keys := map[string]subscription.Key{}
	for name, reach := range by {
		keys[name] = subscription.Key{Tenant: record.DefaultTenant, ID: uuid.NewString()}
		err := s.CreateSubscription(t.Context(), &subscription.Subscription{
			Key: keys[name], Name: name, Events: []string{"*"}, Channel: subscription.Webhook, Target: []byte{1},
			MaxInFlight: 1, Enabled: true, Reach: reach, CreatedAt: now, UpdatedAt: now,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	id := record.NewID(now.UnixMicro(), 1, 0)
	op := record.Operation{ID: id, Key: record.Key{Tenant: record.DefaultTenant, Collection: "todos", ID: id}, Action: record.Create, Body: []byte(`{}`), Principal: "user:ann"}
	outcomes, err := s.Apply(t.Context(), []record.Operation{op}, nil, now, func(r *record.Record, op *record.Operation) (*record.Record, record.Outcome) {
		return record.Apply(r, op, nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range keys {
		want := name == "owner" || name == "admin"
		if got := slices.Contains(outcomes[0].Notify, key.ID); got != want {
			t.Errorf("%s: a delivery %v, want %v", name, got, want)
		}
		if want {
			continue
		}
		n, err := s.Replay(t.Context(), key, store.ReplayQuery{Since: now.Add(-time.Minute), Until: now.Add(time.Minute)})
		if err != nil || n != 0 {
			t.Errorf("%s: a replay made %d deliveries, %v", name, n, err)
		}
	}
}
