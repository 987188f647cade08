package telemetry

import (
	"database/sql"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/redis/go-redis/v9"
)

// WatchDatabase shows the pool of a database handle, as go_sql_…{db_name}.
func (m *Metrics) WatchDatabase(name string, db *sql.DB) {
	m.registry.MustRegister(collectors.NewDBStatsCollector(db, name))
}

// WatchRedis shows the pool of a Redis client.
func (m *Metrics) WatchRedis(name string, pool func() *redis.PoolStats) {
	m.registry.MustRegister(redisPool{name, pool})
}

// Breaker shows whether a breaker is open, that is, whether what is behind it is
// left alone for now.
func (m *Metrics) Breaker(name string, open func() bool) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "waybill_breaker_open", Help: "1 while a part is left alone because it failed.", ConstLabels: prometheus.Labels{"name": name},
	}, func() float64 {
		if open() {
			return 1
		}
		return 0
	}))
}

var (
	redisConnections = describe("waybill_redis_pool_connections", "Connections to Redis, by state: idle, in_use.", "pool", "state")
	redisTaken       = describe("waybill_redis_pool_taken_total", "Connections taken from the pool, by how: free, new, timeout (there was none in time).", "pool", "how")
	redisWaited      = describe("waybill_redis_pool_waited_seconds_total", "Time spent waiting for a connection.", "pool")
)

// redisPool shows what go-redis counts.
type redisPool struct {
	name  string
	stats func() *redis.PoolStats
}

// Describe implements prometheus.Collector.
func (p redisPool) Describe(to chan<- *prometheus.Desc) {
	to <- redisConnections
	to <- redisTaken
	to <- redisWaited
}

// Collect implements prometheus.Collector.
func (p redisPool) Collect(to chan<- prometheus.Metric) {
	s := p.stats()
	to <- gauge(redisConnections, float64(s.IdleConns), p.name, "idle")
	to <- gauge(redisConnections, float64(s.TotalConns-min(s.IdleConns, s.TotalConns)), p.name, "in_use")
	for how, n := range map[string]uint32{"free": s.Hits, "new": s.Misses, "timeout": s.Timeouts} {
		to <- prometheus.MustNewConstMetric(redisTaken, prometheus.CounterValue, float64(n), p.name, how)
	}
	to <- prometheus.MustNewConstMetric(redisWaited, prometheus.CounterValue, float64(s.WaitDurationNs)/1e9, p.name)
}
