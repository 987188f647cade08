package store

import "github.com/waybill-dev/waybill/internal/subscription"

// DeliveryQuery selects and pages a list of deliveries. What is "" selects all.
type DeliveryQuery struct {
	Subscription string
	Event        string // its ID
	Status       subscription.Status
	Limit        int    // at least 1
	Before       string // ID of the last delivery of the page before
}
