package telemetry

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Queue is how a queue stands.
type Queue struct {
	Tasks             map[string]int64 // by asynq's state
	Latency           time.Duration    // how long the task that is next has been pending
	Processed, Failed int64            // tries since ever, those that failed among both
	Memory            int64            // bytes, about
	Paused            bool
}

// Queues is where the collector of the queues has its numbers from.
type Queues struct {
	Names   []string
	Queue   func(ctx context.Context, name string) (Queue, error)
	Backlog func(ctx context.Context) (operations int64, oldest time.Duration, err error)
	Memory  func(ctx context.Context) (used, limit int64, err error) // bytes; 0: not known, no limit
}

// queuesEvery is how long a look at the queues is good for.
const queuesEvery = 5 * time.Second

// The names without "waybill" are asynq's own exporter's: asynqmon's charts ask
// for them, also for the gauges called _total.
var (
	queueSize      = describe("asynq_queue_size", "Tasks in a queue, in whatever state.", "queue")
	queueTasks     = describe("asynq_tasks_enqueued_total", "Tasks in a queue now, by state. A gauge, by the name that asynqmon asks for.", "queue", "state")
	queueLatency   = describe("asynq_queue_latency_seconds", "How long the task that is next has been pending.", "queue")
	queueMemory    = describe("asynq_queue_memory_usage_approx_bytes", "Memory of a queue's tasks in Redis, estimated from a few.", "queue")
	queuePaused    = describe("asynq_queue_paused_total", "1 if a queue is paused: its tasks wait.", "queue")
	queueProcessed = describe("asynq_tasks_processed_total", "Tries at tasks, failed ones too.", "queue")
	queueFailed    = describe("asynq_tasks_failed_total", "Tries at tasks that failed.", "queue")

	backlogOperations = describe("waybill_backlog_operations", "Operations accepted and not finished: tasks × mean of operations in a few of them.")
	backlogAge        = describe("waybill_backlog_age_seconds", "How long ago the oldest operation that is not finished was accepted.")
	redisUsed         = describe("waybill_redis_memory_used_bytes", "Memory that Redis uses.")
	redisLimit        = describe("waybill_redis_memory_limit_bytes", "Memory that Redis may use (maxmemory). Absent without a limit.")
)

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

// queueCollector shows what is in Redis. Series of which a look failed are left
// out, and the failure is counted.
type queueCollector struct {
	Queues
	failed *prometheus.CounterVec
	looks  cached[[]prometheus.Metric]
}

// WatchQueues shows the queues of the system. One role of process is enough to do
// so: each shows the same.
func (m *Metrics) WatchQueues(q Queues) {
	c := &queueCollector{Queues: q, failed: m.counter("waybill_queue_scrape_errors_total",
		"Looks at Redis for metrics that failed; the series are absent meanwhile.", "of")}
	for _, of := range append([]string{"backlog", "memory"}, q.Names...) {
		c.failed.WithLabelValues(of)
	}
	c.looks.every, c.looks.look = queuesEvery, c.look
	m.registry.MustRegister(c)
}

// Describe implements prometheus.Collector.
func (c *queueCollector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		queueSize, queueTasks, queueLatency, queueMemory, queuePaused, queueProcessed, queueFailed,
		backlogOperations, backlogAge, redisUsed, redisLimit,
	} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (c *queueCollector) Collect(to chan<- prometheus.Metric) {
	for _, m := range c.looks.get() {
		to <- m
	}
}

// look asks for everything side by side: one that hangs delays no other.
func (c *queueCollector) look(ctx context.Context) (all []prometheus.Metric) {
	var mu sync.Mutex
	var asked sync.WaitGroup
	ask := func(of string, look func() ([]prometheus.Metric, error)) {
		asked.Go(func() {
			found, err := look()
			if err != nil {
				c.failed.WithLabelValues(of).Inc()
				return
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, found...)
		})
	}
	for _, name := range c.Names {
		ask(name, func() ([]prometheus.Metric, error) {
			q, err := c.Queue(ctx, name)
			return q.metrics(name), err
		})
	}
	ask("backlog", func() ([]prometheus.Metric, error) {
		operations, oldest, err := c.Backlog(ctx)
		return []prometheus.Metric{gauge(backlogOperations, float64(operations)), gauge(backlogAge, oldest.Seconds())}, err
	})
	ask("memory", func() (found []prometheus.Metric, err error) {
		used, limit, err := c.Memory(ctx)
		if used > 0 {
			found = append(found, gauge(redisUsed, float64(used)))
		}
		if limit > 0 {
			found = append(found, gauge(redisLimit, float64(limit)))
		}
		return found, err
	})
	asked.Wait()
	return all
}

func (q *Queue) metrics(name string) []prometheus.Metric {
	var size int64
	var paused float64
	if q.Paused {
		paused = 1
	}
	all := make([]prometheus.Metric, 0, len(q.Tasks)+6)
	for state, n := range q.Tasks {
		size += n
		all = append(all, gauge(queueTasks, float64(n), name, state))
	}
	return append(all,
		gauge(queueSize, float64(size), name),
		gauge(queueLatency, q.Latency.Seconds(), name),
		gauge(queueMemory, float64(q.Memory), name),
		gauge(queuePaused, paused, name),
		prometheus.MustNewConstMetric(queueProcessed, prometheus.CounterValue, float64(q.Processed), name),
		prometheus.MustNewConstMetric(queueFailed, prometheus.CounterValue, float64(q.Failed), name))
}

func gauge(d *prometheus.Desc, value float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
}
