package store

import "time"

// ReplayQuery selects the deliveries that a replay begins anew: those of events
// announced from Since to Until.
type ReplayQuery struct {
	Since, Until time.Time
	Dead         bool // only those that are dead; else all that are not pending
}
