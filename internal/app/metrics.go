package app

import (
	"context"
	"net/http"
	"time"

	"github.com/waybill-dev/waybill/internal/httpapi"
	"github.com/waybill-dev/waybill/internal/telemetry"
	"github.com/waybill-dev/waybill/tasks"
)

// newMetrics makes the metrics and has them show the parts of a. What all
// processes share is shown by the apis alone, once for each.
func newMetrics(a *App) *telemetry.Metrics {
	var collections []string
	for _, c := range a.collections.All() {
		collections = append(collections, c.Name)
	}
	m := telemetry.NewMetrics(a.version, collections...)
	for name, db := range a.store.Pools() {
		m.WatchDatabase(name, db)
	}
	m.WatchRedis("queue", a.redis.PoolStats)
	m.Breaker("database", func() bool { return !a.gate.ready() })
	if a.roles.API {
		m.WatchQueues(telemetry.Queues{
			Names: []string{tasks.QueueWrites, tasks.QueueNotify},
			Queue: a.queue.Stats, Memory: a.queue.Memory,
			Backlog: func(ctx context.Context) (int64, time.Duration, error) {
				oldest, err := a.queue.Oldest(ctx)
				return a.backlog.Operations(), oldest, err
			},
		})
		m.WatchStore(a.store.Standing)
	}
	return m
}

// showRoutes has the metrics show the routes that take writes.
func showRoutes(m *telemetry.Metrics, routes []httpapi.Route) {
	for _, r := range routes {
		switch r.Method {
		case http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
			m.WriteRoute(r.Method, r.Pattern)
		}
	}
}
