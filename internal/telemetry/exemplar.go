package telemetry

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/waybill-dev/waybill/internal/record"
)

// observe has o observe value, with the trace as its example if that is recorded.
func observe(o prometheus.Observer, value float64, t record.Trace) {
	if e, ok := o.(prometheus.ExemplarObserver); ok && t.Sampled() {
		e.ObserveWithExemplar(value, prometheus.Labels{"trace_id": t.ID()})
		return
	}
	o.Observe(value)
}
