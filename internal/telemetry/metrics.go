package telemetry

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/subscription"
)

// Metrics are the process's metrics, in a registry of their own. It is the
// observer of httpapi, accept and apply. Labels are bounded: routes are
// patterns, collections are configured ones.
type Metrics struct {
	registry *prometheus.Registry

	requests      *prometheus.CounterVec
	duration      *prometheus.HistogramVec
	rejected      *prometheus.CounterVec
	accepted      *prometheus.CounterVec
	batch         prometheus.Histogram
	applied       *prometheus.CounterVec
	acceptToStore prometheus.Histogram
	outOfOrder    prometheus.Counter
	handedBack    *prometheus.CounterVec
	stale         prometheus.Counter
	retried       *prometheus.CounterVec
	recovered     prometheus.Counter

	deliveries      *prometheus.CounterVec
	attempt         *prometheus.HistogramVec
	storeToDelivery prometheus.Histogram
	disabled        *prometheus.CounterVec
	purged          *prometheus.CounterVec
	maintained      *prometheus.HistogramVec
	archived        *prometheus.GaugeVec
	swept           prometheus.Counter
}

var latencyBuckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 3600}

// NewMetrics returns registered metrics.
func NewMetrics(version string) *Metrics {
	r := prometheus.NewRegistry()
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
		r.MustRegister(c)
		return c
	}
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
		r.MustRegister(h)
		return h
	}
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "waybill_build_info", Help: "Always 1; the version is in the label.", ConstLabels: prometheus.Labels{"version": version},
	})
	build.Set(1)
	r.MustRegister(build)
	archived := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "waybill_archived_tasks", Help: "Tasks that asynq has given up, as this worker saw within the last minute: there should be none.",
	}, []string{"queue"})
	r.MustRegister(archived)
	return &Metrics{
		registry: r,
		requests: counter("waybill_http_requests_total", "Requests answered.", "method", "route", "code"),
		duration: histogram("waybill_http_request_duration_seconds", "From the first byte of a request to the end of its answer.", latencyBuckets, "method", "route"),
		rejected: counter("waybill_rejected_total", "Requests refused or failed, by the code of their problem.", "reason"),
		accepted: counter("waybill_operations_accepted_total", "Operations answered with 202.", "collection", "action"),
		batch: histogram("waybill_accept_batch_operations", "Operations in each batch enqueued.",
			prometheus.ExponentialBuckets(1, 2, 10)).WithLabelValues().(prometheus.Histogram),
		applied: counter("waybill_operations_applied_total", "Operations that ended, by outcome.", "collection", "action", "outcome"),
		acceptToStore: histogram("waybill_accept_to_store_seconds", "From an operation's stamp to its commit, by the clocks of Redis and of the worker.",
			latencyBuckets).WithLabelValues().(prometheus.Histogram),
		outOfOrder: counter("waybill_out_of_order_total", "Operations that took effect after a later one on the same record: Redis lost data.").WithLabelValues(),
		handedBack: counter("waybill_handed_back_total", "Operations given back to the queue.", "reason"),
		stale:      counter("waybill_stale_dropped_total", "Operations stamped and never enqueued, found and dropped.").WithLabelValues(),
		retried:    counter("waybill_apply_retries_total", "Tries at a batch that failed and are repeated.", "reason"),
		recovered:  counter("waybill_tasks_recovered_total", "Tasks that a lost worker had in hand, back in the queue.").WithLabelValues(),

		archived:   archived,
		purged:     counter("waybill_purged_total", "Rows removed because their time is over.", "table"),
		maintained: histogram("waybill_purge_seconds", "How long a run of a job of maintenance took.", latencyBuckets, "job"),

		deliveries: counter("waybill_deliveries_total", "Attempts at deliveries, by what became of the delivery: delivered, retried, dead.", "channel", "outcome"),
		attempt:    histogram("waybill_delivery_attempt_seconds", "How long an attempt took, to the end of the answer.", latencyBuckets, "channel"),
		storeToDelivery: histogram("waybill_store_to_delivery_seconds", "From the commit of a write to its delivery, by the clocks of both workers.",
			latencyBuckets).WithLabelValues().(prometheus.Histogram),
		disabled: counter("waybill_subscriptions_disabled_total", "Subscriptions disabled because their receiver is gone or always fails.", "reason"),
		swept:    counter("waybill_deliveries_swept_total", "Subscriptions with overdue deliveries that nobody looked after: a worker died, or Redis lost data.").WithLabelValues(),
	}
}

// Handler serves /metrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry})
}

// Registry is where other collectors are registered.
func (m *Metrics) Registry() prometheus.Registerer { return m.registry }

// Request implements httpapi.Observer.
func (m *Metrics) Request(method, route string, status int, took time.Duration) {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
	default:
		method = "other" // a client can make up any number of methods
	}
	m.requests.WithLabelValues(method, route, strconv.Itoa(status)).Inc()
	m.duration.WithLabelValues(method, route).Observe(took.Seconds())
}

// Rejected implements httpapi.Observer.
func (m *Metrics) Rejected(code fault.Kind) { m.rejected.WithLabelValues(string(code)).Inc() }

// BatchEnqueued implements accept.Observer.
func (m *Metrics) BatchEnqueued(operations int) { m.batch.Observe(float64(operations)) }

// Accepted implements accept.Observer.
func (m *Metrics) Accepted(op *record.Operation) {
	m.accepted.WithLabelValues(op.Collection, string(op.Action)).Inc()
}

// Applied implements apply.Observer.
func (m *Metrics) Applied(o *record.Outcome, storedAt time.Time) {
	outcome := string(o.Status)
	if o.Status == record.Failed {
		outcome = string(o.Code)
	}
	m.applied.WithLabelValues(o.Operation.Collection, string(o.Operation.Action), outcome).Inc()
	m.acceptToStore.Observe(max(0, storedAt.Sub(record.AcceptedAt(o.Operation.ID)).Seconds()))
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

// Attempted implements notify.Observer.
func (m *Metrics) Attempted(c subscription.Channel, outcome string, took time.Duration) {
	m.deliveries.WithLabelValues(string(c), outcome).Inc()
	m.attempt.WithLabelValues(string(c)).Observe(took.Seconds())
}

// Delivered implements notify.Observer.
func (m *Metrics) Delivered(after time.Duration) { m.storeToDelivery.Observe(max(0, after.Seconds())) }

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
