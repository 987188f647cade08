package telemetry

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Standing is how subscriptions stand, as far as the store counts.
type Standing struct {
	Enabled, Disabled int64
	Behind            int64 // subscriptions with a delivery due for a minute
	Pending           int64 // deliveries
}

// standingEvery is how long a look at the store is good for.
const standingEvery = 15 * time.Second

var (
	subscriptions     = describe("waybill_subscriptions", "Subscriptions, by state: enabled, disabled.", "state")
	subscriptionsSlow = describe("waybill_subscriptions_behind", "Subscriptions with a delivery that has been due for a minute. Counted up to 1,000.")
	pending           = describe("waybill_deliveries_pending", "Deliveries that are not finished. Counted up to 10,000.")
)

type standingCollector struct {
	failed prometheus.Counter
	looks  cached[[]prometheus.Metric]
}

// WatchStore shows what look finds in the store. One role of process is enough
// to do so.
func (m *Metrics) WatchStore(look func(context.Context) (Standing, error)) {
	c := &standingCollector{failed: m.counter("waybill_store_scrape_errors_total",
		"Looks at the database for metrics that failed; the series are absent meanwhile.").WithLabelValues()}
	c.looks.every = standingEvery
	c.looks.look = func(ctx context.Context) []prometheus.Metric {
		s, err := look(ctx)
		if err != nil {
			c.failed.Inc()
			return nil
		}
		return []prometheus.Metric{
			gauge(subscriptions, float64(s.Enabled), "enabled"), gauge(subscriptions, float64(s.Disabled), "disabled"),
			gauge(subscriptionsSlow, float64(s.Behind)), gauge(pending, float64(s.Pending)),
		}
	}
	m.registry.MustRegister(c)
}

// Describe implements prometheus.Collector.
func (c *standingCollector) Describe(to chan<- *prometheus.Desc) {
	to <- subscriptions
	to <- subscriptionsSlow
	to <- pending
}

// Collect implements prometheus.Collector.
func (c *standingCollector) Collect(to chan<- prometheus.Metric) {
	for _, m := range c.looks.get() {
		to <- m
	}
}
