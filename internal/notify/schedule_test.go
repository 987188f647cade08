package notify

import (
	"testing"
	"time"

	"github.com/waybill-dev/waybill/internal/subscription"
)

func TestNext_FollowsTheSchedule(t *testing.T) {
	t.Parallel()
	failed := Result{Status: 500, Error: "answered 500"}
	asks := func(d time.Duration) Result { return Result{Status: 503, RetryAfter: d} }
	for _, c := range []struct {
		name   string
		result Result
		tries  int
		random float64
		status subscription.Status
		delay  time.Duration
	}{
		{"delivered", Result{OK: true}, 0, 0.5, subscription.Delivered, 0},
		{"first retry", failed, 0, 0.5, subscription.Pending, 5 * time.Second},
		{"soonest", failed, 0, 0, subscription.Pending, 4 * time.Second},
		{"latest", failed, 1, 0.999999, subscription.Pending, 6 * time.Minute},
		{"last retry", failed, 6, 0.5, subscription.Pending, 10 * time.Hour},
		{"no retry left", failed, 7, 0.5, subscription.Dead, 0},
		{"later than that", failed, 70, 0.5, subscription.Dead, 0},
		{"permanent", Result{Permanent: true}, 0, 0.5, subscription.Dead, 0},
		{"gone", Result{Gone: true}, 0, 0.5, subscription.Dead, 0},
		{"asks for longer", asks(time.Minute), 0, 0.5, subscription.Pending, time.Minute},
		{"asks for less", asks(time.Second), 0, 0.5, subscription.Pending, 5 * time.Second},
		{"asks for too long", asks(1000 * time.Hour), 0, 0.5, subscription.Pending, 24 * time.Hour},
	} {
		status, delay := next(&c.result, DefaultRetries, c.tries, c.random)
		if status != c.status || (delay-c.delay).Abs() > time.Millisecond {
			t.Errorf("%s: %s after %v, want %s after %v", c.name, status, delay, c.status, c.delay)
		}
	}
}
