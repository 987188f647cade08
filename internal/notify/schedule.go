package notify

import (
	"math/rand/v2"
	"time"

	"github.com/waybill-dev/waybill/internal/subscription"
)

const (
	// jitter spreads retries: what failed together does not come again together.
	jitter = 0.2
	// longestWait caps what a receiver may ask for.
	longestWait = 24 * time.Hour
	// failingLimit is how long a subscription may have nothing but failures.
	failingLimit = 5 * 24 * time.Hour
)

// DefaultRetries is the schedule of webhooks in the contract.
var DefaultRetries = []time.Duration{
	5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 10 * time.Hour,
}

// next says what becomes of a delivery after an attempt, which was the tries-th
// retry of its generation: where it stands, and if pending, when it is tried
// again. random is from 0 to below 1.
func next(r *Result, retries []time.Duration, tries int, random float64) (subscription.Status, time.Duration) {
	switch {
	case r.OK:
		return subscription.Delivered, 0
	case r.Gone, r.Permanent, tries >= len(retries):
		return subscription.Dead, 0
	}
	delay := time.Duration(float64(retries[tries]) * (1 + jitter*(2*random-1)))
	return subscription.Pending, max(delay, min(r.RetryAfter, longestWait))
}

func random() float64 { return rand.Float64() }
