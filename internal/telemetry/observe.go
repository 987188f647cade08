package telemetry

import (
	"net/http"
	"strconv"
	"time"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/subscription"
)

// WriteRoute shows a route that takes writes before anybody has written.
func (m *Metrics) WriteRoute(method, pattern string) {
	for _, code := range []int{http.StatusAccepted, http.StatusInternalServerError, http.StatusServiceUnavailable} {
		m.requests.WithLabelValues(method, pattern, strconv.Itoa(code))
	}
}

// Request implements httpapi.Observer.
func (m *Metrics) Request(t record.Trace, method, route string, status int, took time.Duration) {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
	default:
		method = "other" // a client can make up any number of methods
	}
	m.requests.WithLabelValues(method, route, strconv.Itoa(status)).Inc()
	observe(m.duration.WithLabelValues(method, route), took.Seconds(), t)
}

// Rejected implements httpapi.Observer.
func (m *Metrics) Rejected(code fault.Kind) { m.rejected.WithLabelValues(string(code)).Inc() }

// BatchEnqueued implements accept.Observer.
func (m *Metrics) BatchEnqueued(operations int) { m.batch.Observe(float64(operations)) }

// Accepted implements accept.Observer.
func (m *Metrics) Accepted(op *record.Operation) {
	m.accepted.WithLabelValues(m.collection(op.Collection), string(op.Action)).Inc()
}

// Applied implements apply.Observer.
func (m *Metrics) Applied(o *record.Outcome, storedAt time.Time) {
	outcome := string(o.Status)
	if o.Status == record.Failed {
		outcome = string(o.Code)
	}
	m.applied.WithLabelValues(m.collection(o.Operation.Collection), string(o.Operation.Action), outcome).Inc()
	observe(m.acceptToStore, max(0, storedAt.Sub(record.AcceptedAt(o.Operation.ID)).Seconds()), o.Operation.Trace)
}

// collection is the label of a collection: a batch may come from a process with
// another configuration.
func (m *Metrics) collection(name string) string {
	if m.collections[name] {
		return name
	}
	return "unknown"
}

// OutOfOrder implements apply.Observer.
func (m *Metrics) OutOfOrder(*record.Operation) { m.outOfOrder.Inc() }

// HandedBack implements apply.Observer.
func (m *Metrics) HandedBack(operations int, reason string) {
	m.handedBack.WithLabelValues(reason).Add(float64(operations))
}

// StaleDropped implements apply.Observer.
func (m *Metrics) StaleDropped(entries int) { m.stale.Add(float64(entries)) }

// Retried implements apply.Observer.
func (m *Metrics) Retried(err error) { m.retried.WithLabelValues(string(fault.KindOf(err))).Inc() }

// Recovered counts tasks of lost workers that came back.
func (m *Metrics) Recovered(tasks int) { m.recovered.Add(float64(tasks)) }

// Unreadable counts a task that this version had to hand back.
func (m *Metrics) Unreadable(queue string) { m.unreadable.WithLabelValues(queue).Inc() }

// Attempted implements notify.Observer.
func (m *Metrics) Attempted(t record.Trace, c subscription.Channel, outcome string, took time.Duration) {
	m.deliveries.WithLabelValues(string(c), outcome).Inc()
	observe(m.attempt.WithLabelValues(string(c)), took.Seconds(), t)
}

// Delivered implements notify.Observer.
func (m *Metrics) Delivered(t record.Trace, after time.Duration) {
	observe(m.storeToDelivery, max(0, after.Seconds()), t)
}

// Disabled implements notify.Observer.
func (m *Metrics) Disabled(reason string) { m.disabled.WithLabelValues(reason).Inc() }

// Swept implements notify.Observer.
func (m *Metrics) Swept(subscriptions int) { m.swept.Add(float64(subscriptions)) }

// Purged implements maintain.Observer.
func (m *Metrics) Purged(table string, rows int64) {
	m.purged.WithLabelValues(table).Add(float64(rows))
}

// Maintained implements maintain.Observer.
func (m *Metrics) Maintained(job string, took time.Duration) {
	m.maintained.WithLabelValues(job).Observe(took.Seconds())
}

// Archived implements maintain.Observer.
func (m *Metrics) Archived(queue string, tasks int64) {
	m.archived.WithLabelValues(queue).Set(float64(tasks))
}
