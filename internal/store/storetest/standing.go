package storetest

import (
	"testing"

	"github.com/waybill-dev/waybill/internal/store"
	"github.com/waybill-dev/waybill/internal/subscription"
	"github.com/waybill-dev/waybill/internal/telemetry"
)

var standingTests = map[string]func(*testing.T, *store.Store){"Standing": testStanding}

func testStanding(t *testing.T, s *store.Store) {
	standing := func(want telemetry.Standing) {
		t.Helper()
		got, err := s.Standing(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		same(t, "standing", got, want)
	}
	standing(telemetry.Standing{})
	c := &clock{}
	one := subscribe(t, s, "messages.created")
	subscribe(t, s, "todos.created")
	off := subscribe(t, s, "nothing.at_all")
	update(t, s, off.Key, func(u *subscription.Subscription) { u.Enabled = false })
	for n := range 3 {
		apply(t, s, c.create("messages", body(n)))
	}
	apply(t, s, c.create("todos", body(9)))
	standing(telemetry.Standing{Enabled: 2, Disabled: 1, Pending: 4})
	long := "2020-01-01T00:00:00.000000Z"
	if _, err := s.DB().ExecContext(t.Context(), "UPDATE deliveries SET next_at = $1 WHERE subscription = $2", long, one.ID); err != nil {
		t.Fatal(err)
	}
	standing(telemetry.Standing{Enabled: 2, Disabled: 1, Behind: 1, Pending: 4})
	tried(t, s, deliveries(t, s, store.DeliveryQuery{Subscription: one.ID})[0], subscription.Delivered, 0)
	standing(telemetry.Standing{Enabled: 2, Disabled: 1, Behind: 1, Pending: 3})
}
