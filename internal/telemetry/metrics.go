package telemetry

import (
	"net/http"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/subscription"
)

// Metrics are the process's metrics, in a registry of their own. It is the
// observer of httpapi, accept, apply and notify. Labels are bounded: routes are
// patterns, collections are configured ones, tenants are none.
type Metrics struct {
	registry    *prometheus.Registry
	collections map[string]bool

	requests      *prometheus.CounterVec
	duration      *prometheus.HistogramVec
	rejected      *prometheus.CounterVec
	accepted      *prometheus.CounterVec
	batch         prometheus.Observer
	applied       *prometheus.CounterVec
	acceptToStore prometheus.Observer
	outOfOrder    prometheus.Counter
	handedBack    *prometheus.CounterVec
	stale         prometheus.Counter
	retried       *prometheus.CounterVec
	recovered     prometheus.Counter
	unreadable    *prometheus.CounterVec

	deliveries      *prometheus.CounterVec
	attempt         *prometheus.HistogramVec
	storeToDelivery prometheus.Observer
	disabled        *prometheus.CounterVec
	purged          *prometheus.CounterVec
	maintained      *prometheus.HistogramVec
	archived        *prometheus.GaugeVec
	swept           prometheus.Counter
}

var latencyBuckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 3600}

// NewMetrics returns registered metrics of this version of the program.
// Collections that are not among those given are shown as "unknown". Series that
// an alert looks at are there from the start, as zeros: the first failure is
// then a rise.
func NewMetrics(version string, collections ...string) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), collections: map[string]bool{}}
	for _, name := range collections {
		m.collections[name] = true
	}
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "waybill_build_info", Help: "Always 1; the versions are in the labels.",
		ConstLabels: prometheus.Labels{"version": version, "goversion": runtime.Version()},
	})
	build.Set(1)
	m.registry.MustRegister(build)
	m.addWrites()
	m.addDeliveries()
	m.addMaintenance()
	return m
}

func (m *Metrics) addWrites() {
	m.requests = m.counter("waybill_http_requests_total", "Requests answered.", "method", "route", "code")
	m.duration = m.histogram("waybill_http_request_duration_seconds", "From the first byte of a request to the end of its answer.", latencyBuckets, "method", "route")
	m.rejected = m.counter("waybill_rejected_total", "Requests refused or failed, by the code of their problem.", "reason")
	m.accepted = m.counter("waybill_operations_accepted_total", "Operations answered with 202.", "collection", "action")
	m.batch = m.plainHistogram("waybill_accept_batch_operations", "Operations in each batch enqueued.", prometheus.ExponentialBuckets(1, 2, 10))
	m.applied = m.counter("waybill_operations_applied_total", "Operations that ended, by outcome.", "collection", "action", "outcome")
	m.acceptToStore = m.plainHistogram("waybill_accept_to_store_seconds", "From an operation's stamp to its commit, by the clocks of Redis and of the worker.", latencyBuckets)
	m.outOfOrder = m.plainCounter("waybill_out_of_order_total", "Operations that took effect after a later one on the same record: Redis lost data.")
	m.handedBack = m.counter("waybill_handed_back_total", "Operations given back to the queue.", "reason")
	m.stale = m.plainCounter("waybill_stale_dropped_total", "Operations stamped and never enqueued, found and dropped.")
	m.retried = m.counter("waybill_apply_retries_total", "Tries at a batch that failed and are repeated.", "reason")
	m.recovered = m.plainCounter("waybill_tasks_recovered_total", "Tasks that a lost worker had in hand, back in the queue.")
	m.unreadable = m.counter("waybill_tasks_unreadable_total", "Tasks that only a newer version can read, each time one was handed back.", "queue")
	for _, kind := range []fault.Kind{fault.Internal, fault.QueueUnavailable, fault.StoreUnavailable, fault.Overloaded} {
		m.rejected.WithLabelValues(string(kind))
	}
	m.retried.WithLabelValues(string(fault.Internal))
}

func (m *Metrics) addMaintenance() {
	m.archived = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "waybill_archived_tasks", Help: "Tasks that asynq has given up, as this worker saw within the last minute: there should be none.",
	}, []string{"queue"})
	m.registry.MustRegister(m.archived)
	m.purged = m.counter("waybill_purged_total", "Rows whose time was over, and that are gone.", "table")
	m.maintained = m.histogram("waybill_purge_seconds", "How long a run of a job of maintenance took.", latencyBuckets, "job")
	for _, table := range []string{"operations", "events", "deliveries", "attempts", "records", "audit", "sessions", "refresh_tokens", "api_keys"} {
		m.purged.WithLabelValues(table)
	}
}

func (m *Metrics) addDeliveries() {
	m.deliveries = m.counter("waybill_deliveries_total", "Attempts at deliveries, by what became of the delivery: delivered, retried, dead.", "channel", "outcome")
	m.attempt = m.histogram("waybill_delivery_attempt_seconds", "How long an attempt took, to the end of the answer.", latencyBuckets, "channel")
	m.storeToDelivery = m.plainHistogram("waybill_store_to_delivery_seconds", "From the commit of a write to its delivery, by the clocks of both workers.", latencyBuckets)
	m.disabled = m.counter("waybill_subscriptions_disabled_total", "Subscriptions disabled because their receiver is gone or always fails.", "reason")
	m.swept = m.plainCounter("waybill_deliveries_swept_total", "Subscriptions with overdue deliveries that nobody looked after: a worker died, or Redis lost data.")
	for _, c := range []subscription.Channel{subscription.Webhook, subscription.Email, subscription.Chat} {
		m.attempt.WithLabelValues(string(c))
		for _, outcome := range []string{"delivered", "retried", "dead"} {
			m.deliveries.WithLabelValues(string(c), outcome)
		}
	}
}

func (m *Metrics) counter(name, help string, labels ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	m.registry.MustRegister(c)
	return c
}

func (m *Metrics) plainCounter(name, help string) prometheus.Counter {
	return m.counter(name, help).WithLabelValues()
}

func (m *Metrics) histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
	m.registry.MustRegister(h)
	return h
}

func (m *Metrics) plainHistogram(name, help string, buckets []float64) prometheus.Observer {
	return m.histogram(name, help, buckets).WithLabelValues()
}

// Handler serves /metrics, to those who ask for it as OpenMetrics: exemplars are
// in that format alone. A collector that fails leaves the others' series.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		Registry: m.registry, EnableOpenMetrics: true, ErrorHandling: promhttp.ContinueOnError,
	})
}
