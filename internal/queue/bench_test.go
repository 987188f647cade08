package queue

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/hibiken/asynq"
)

// BenchmarkLatency measures from enqueue to handler on an idle system.
func BenchmarkLatency(b *testing.B) {
	s := setup(b)
	handled := make(chan time.Time)
	s.serve(s.rc, s.options(), func(context.Context, *asynq.Task) error {
		handled <- time.Now()
		return nil
	})
	c := s.client()
	s.idle()
	waits := make([]time.Duration, 0, b.N)
	for i := range b.N {
		begin := time.Now()
		must(b, c.Enqueue(b.Context(), newTask(fmt.Sprint("bench-", i))))
		waits = append(waits, (<-handled).Sub(begin))
		b.StopTimer()
		<-time.After(5 * time.Millisecond) // idle again
		b.StartTimer()
	}
	slices.Sort(waits)
	for name, share := range map[string]float64{"p50-ms": 0.50, "p99-ms": 0.99} {
		b.ReportMetric(float64(waits[int(share*float64(len(waits)-1))].Microseconds())/1000, name)
	}
}
