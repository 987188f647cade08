package httpapi

import (
	"strings"
	"time"

	"github.com/waybill-dev/waybill/internal/subscription"
)

// deliveryView is a delivery as clients see it.
type deliveryView struct {
	ID            string              `json:"id" format:"uuid" doc:"UUIDv7; IDs sort in the order of making"`
	Subscription  string              `json:"subscription" format:"uuid"`
	Event         string              `json:"event" format:"uuid" doc:"The event's ID, which is a webhook's webhook-id"`
	Operation     *string             `json:"operation" nullable:"true" format:"uuid" doc:"The operation that made the event; null for subscription.disabled and subscription.test"`
	Type          string              `json:"type" doc:"The event's: messages.created, …"`
	Status        subscription.Status `json:"status" enum:"pending,delivered,dead,canceled" doc:"All but pending are final until a retry or a replay"`
	AttemptCount  int                 `json:"attempt_count" doc:"Attempts that have ended, over all generations"`
	Generation    int                 `json:"generation" doc:"From 1, one more with each retry and replay"`
	NextAttemptAt *timestamp          `json:"next_attempt_at" nullable:"true" doc:"Null unless pending"`
	Error         *string             `json:"error" nullable:"true" doc:"Of the last attempt; null if there was none or it succeeded"`
	CreatedAt     timestamp           `json:"created_at"`
	FinishedAt    *timestamp          `json:"finished_at" nullable:"true" doc:"Null while pending"`
}

// attemptedView is a delivery with its attempts.
type attemptedView struct {
	deliveryView
	Attempts []attemptView `json:"attempts" nullable:"false" doc:"Oldest first"`
}

// attemptView is one try at a delivery.
type attemptView struct {
	At         timestamp `json:"at" doc:"When it began"`
	StatusCode *int      `json:"status_code" nullable:"true" doc:"Of HTTP or SMTP; null if no answer came"`
	DurationMS float64   `json:"duration_ms" doc:"To the end of the answer"`
	Reply      string    `json:"reply" doc:"The first 4 KiB of the answer; what is not UTF-8 or NUL is replaced by U+FFFD"`
	Error      *string   `json:"error" nullable:"true" doc:"Null if it succeeded"`
}

func deliveryViewOf(d *subscription.Delivery) deliveryView {
	v := deliveryView{
		ID: d.ID, Subscription: d.Subscription, Event: d.Event, Type: d.Type, Status: d.Status, AttemptCount: d.Attempts, Generation: d.Generation,
		NextAttemptAt: optional(d.NextAt), Error: optionalText(d.Error), CreatedAt: timestamp(d.CreatedAt), FinishedAt: optional(d.FinishedAt),
	}
	if d.Type != subscription.TypeDisabled && d.Type != subscription.TypeTest {
		v.Operation = &d.Event
	}
	return v
}

func attemptViewOf(a *subscription.Attempt) attemptView {
	v := attemptView{
		At: timestamp(a.At), DurationMS: float64(a.Took.Microseconds()) / float64(time.Millisecond/time.Microsecond), Error: optionalText(a.Error),
		Reply: strings.ReplaceAll(strings.ToValidUTF8(string(a.Reply), "\uFFFD"), "\x00", "\uFFFD"),
	}
	if a.Status != 0 {
		v.StatusCode = &a.Status
	}
	return v
}
