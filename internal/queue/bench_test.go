package queue

import (
	"context"
	"errors"
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

// BenchmarkEnqueue measures 64 tasks, one call after the other and at once.
func BenchmarkEnqueue(b *testing.B) {
	for name, enqueue := range map[string]func(*Client, []*asynq.Task) error{
		"in a row": func(c *Client, tasks []*asynq.Task) error {
			for _, task := range tasks {
				if err := c.Enqueue(b.Context(), task); err != nil {
					return err
				}
			}
			return nil
		},
		"at once": func(c *Client, tasks []*asynq.Task) error {
			return errors.Join(c.EnqueueAll(b.Context(), tasks...)...)
		},
	} {
		b.Run(name, func(b *testing.B) {
			s := setup(b)
			c := s.client()
			tasks := make([]*asynq.Task, 64)
			for i := range b.N {
				for j := range tasks {
					tasks[j] = newTask(fmt.Sprint("bench-", i, "-", j))
				}
				must(b, enqueue(c, tasks))
			}
		})
	}
}
