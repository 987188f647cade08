package app_test

import (
	"testing"
	"time"

	"github.com/waybill-dev/waybill/internal/testenv"
)

// TestDeliveries_LimitsHoldAcrossWorkers: also while the workers change.
func TestDeliveries_LimitsHoldAcrossWorkers(t *testing.T) {
	t.Parallel()
	s := newSystem(t, testenv.RedisURL(t), testenv.PostgresURL(t), 1, 2, quickRetries)
	const n, rate = 160, 20
	few := subscribe(t, s.apis[0].api, "few", `"events":["*"],"max_in_flight":3`, hold(50*time.Millisecond))
	slow := subscribe(t, s.apis[0].api, "slow", `"events":["messages.created"],"rate_limit":"20/s","max_in_flight":100`, nil)
	ids := writeMessages(t, s.apis[0].api, n/2, "limits")
	slow.awaitRequests(t, 20*time.Second, rate)
	for _, p := range s.workers { // whoever delivers hands over
		if err := p.Terminate(); err != nil {
			t.Fatal(err)
		}
		p.Start(t)
		p.awaitReady(t)
	}
	for range n / 20 { // in small batches, which both workers take
		ids = append(ids, writeMessages(t, s.apis[0].api, 10, "limits")...)
	}
	few.awaitAccepted(t, 30*time.Second, ids)
	slow.awaitAccepted(t, 30*time.Second, ids)
	if few.most > 3 {
		t.Errorf("%d attempts at once, want at most 3", few.most)
	}
	if few.most < 3 {
		t.Errorf("%d attempts at once at most: the limit was never reached", few.most)
	}
	// The receiver sees what the worker does a little late, and not always by the
	// same time: slack.
	const slack, burst = 250 * time.Millisecond, 50 * time.Millisecond
	for i, first := range slow.arrivals {
		for j := i + 1; j < len(slow.arrivals); j++ {
			took := slow.arrivals[j].Sub(first)
			if allowed := 1 + rate*(took+slack+burst).Seconds(); float64(j-i+1) > allowed {
				t.Fatalf("%d attempts within %v, want at most %.1f", j-i+1, took, allowed)
			}
		}
	}
	t.Logf("%d attempts within %v at 20/s; at most %d at once at the other", len(slow.arrivals),
		slow.arrivals[len(slow.arrivals)-1].Sub(slow.arrivals[0]).Round(time.Millisecond), few.most)
	if d := few.duplicates() + slow.duplicates(); d > 0 {
		t.Errorf("%d duplicates", d)
	}
}
