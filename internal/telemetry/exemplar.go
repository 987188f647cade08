package telemetry

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// TraceID returns the ID of the sampled trace that a context belongs to, in
// hexadecimal; "" for none.
type TraceID func(context.Context) string

// Exemplars has histograms name the trace of what they were shown. It must be
// called before anything is observed.
func (m *Metrics) Exemplars(of TraceID) { m.traceID = of }

// observe shows a histogram a duration, with its trace if there is one.
func (m *Metrics) observe(ctx context.Context, in prometheus.Observer, took time.Duration) {
	if m.traceID != nil {
		if id := m.traceID(ctx); id != "" {
			in.(prometheus.ExemplarObserver).ObserveWithExemplar(took.Seconds(), prometheus.Labels{"trace_id": id})
			return
		}
	}
	in.Observe(took.Seconds())
}
