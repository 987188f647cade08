package app

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/waybill-dev/waybill/internal/httpapi"
	"github.com/waybill-dev/waybill/internal/queue"
	"github.com/waybill-dev/waybill/tasks"
)

// checkTimeout bounds each check of /readyz.
const checkTimeout = 2 * time.Second

// Where operators are answered unless the settings say otherwise: of a worker
// elsewhere, so that both can run on one machine.
const (
	apiOps    = "127.0.0.1:8081"
	workerOps = "127.0.0.1:8082"
)

// opsAddress is where operators are answered.
func (a *App) opsAddress() string {
	switch {
	case a.config.OpsListen != "":
		return a.config.OpsListen
	case a.roles.API:
		return apiOps
	}
	return workerOps
}

// startOps serves operators.
func (a *App) startOps() {
	a.serve("operators", a.ops, httpapi.NewOps(a.metrics.Handler(), []httpapi.Check{
		{Name: "process", Run: func(context.Context) error { return a.gate.check() }},
		{Name: "stopping", Accept: true, Run: func(context.Context) error { return a.gate.stoppingError() }},
		{Name: "redis", Accept: true, Run: a.redisState.check},
		{Name: "database", Run: a.store.Ping},
	}, checkTimeout))
}

// redisState knows how Redis is set up, as far as it lets itself be asked.
type redisState struct {
	client redis.UniversalClient

	mu    sync.Mutex
	asked time.Time
	known map[string]string // settings by name
}

// askEvery is how long an answer about Redis's settings is good for.
const askEvery = 15 * time.Second

// settings returns appendonly, appendfsync and maxmemory-policy; empty where
// Redis does not tell.
func (s *redisState) settings(ctx context.Context) map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known != nil && time.Since(s.asked) < askEvery {
		return s.known
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	node, err := queue.Node(ctx, s.client, tasks.QueueWrites)
	if err != nil {
		return s.known
	}
	answer := map[string]string{}
	for _, name := range []string{"appendonly", "appendfsync", "maxmemory-policy"} {
		got, err := node.ConfigGet(ctx, name).Result()
		if _, refused := errors.AsType[redis.Error](err); err != nil && !refused {
			return s.known // not reached: what was known stays the best guess
		}
		answer[name] = got[name]
	}
	s.known, s.asked = answer, time.Now()
	return answer
}

// durability is what a 202 survives.
func (s *redisState) durability(ctx context.Context) string {
	known := s.settings(ctx)
	switch {
	case known["appendonly"] == "no":
		return "memory"
	case known["appendonly"] == "yes" && known["appendfsync"] == "always":
		return "fsync-always"
	case known["appendonly"] == "yes" && known["appendfsync"] == "everysec":
		return "fsync-everysec"
	}
	return "unknown"
}

func (a *App) durabilityNow(ctx context.Context) string {
	if a.durability != "" {
		return a.durability
	}
	return a.redisState.durability(ctx)
}

// check says why Redis is not fit to hold the queue.
func (s *redisState) check(ctx context.Context) error {
	node, err := queue.Node(ctx, s.client, tasks.QueueWrites)
	if err == nil {
		err = node.Ping(ctx).Err()
	}
	if err != nil {
		return fmt.Errorf("not reached: %w", err)
	}
	policy := s.settings(ctx)["maxmemory-policy"]
	if policy != "" && !strings.EqualFold(policy, "noeviction") {
		return fmt.Errorf("maxmemory-policy is %s: Redis may throw accepted writes away; set noeviction", policy)
	}
	return nil
}
