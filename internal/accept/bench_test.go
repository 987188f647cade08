package accept_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/waybill-dev/waybill/internal/accept"
	"github.com/waybill-dev/waybill/internal/record"
)

// counter counts batches.
type counter struct{ batches atomic.Int64 }

func (c *counter) BatchEnqueued(int)          { c.batches.Add(1) }
func (c *counter) Accepted(*record.Operation) {}

// BenchmarkSubmit accepts writes of 64 clients a processor side by side.
// Reported is also how many operations a task carried.
func BenchmarkSubmit(b *testing.B) {
	for name, draft := range map[string]func() *accept.Write{
		"post": func() *accept.Write { return post(`{"text":"milk","completed":false}`) },
		"put":  func() *accept.Write { return put("r", `{"text":"milk","completed":false}`) },
	} {
		b.Run(name, func(b *testing.B) {
			on := setup(b, accept.Options{})
			var counted counter
			acceptor := accept.New(on.rc, on.queue.Client, on.store, accept.Options{Observer: &counted})
			b.SetParallelism(64)
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := acceptor.Submit(context.Background(), draft()); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.StopTimer()
			b.ReportMetric(float64(b.N)/float64(counted.batches.Load()), "operations/task")
		})
	}
}
