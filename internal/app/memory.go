package app

import (
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// memoryRedis is Redis inside this process, for machines that have none.
type memoryRedis struct {
	server *miniredis.Miniredis
	done   chan struct{}
	once   sync.Once
}

// tick is how often time passes in miniredis, which does not do so by itself.
const tick = time.Second

func startMemory(log *slog.Logger) (*memoryRedis, error) {
	server, err := miniredis.Run()
	if err != nil {
		return nil, fmt.Errorf("start Redis in memory: %w", err)
	}
	log.Debug("no redis-server or valkey-server on PATH; the queue is in memory")
	m := &memoryRedis{server: server, done: make(chan struct{})}
	go func() {
		ticker := time.NewTicker(tick)
		defer ticker.Stop()
		for {
			select {
			case <-m.done:
				return
			case <-ticker.C:
				server.FastForward(tick)
			}
		}
	}()
	return m, nil
}

func (m *memoryRedis) URL() string { return "redis://" + m.server.Addr() }

func (m *memoryRedis) Describe() string {
	return "in memory (install redis-server or valkey-server, and it is used for a durable queue)"
}

func (m *memoryRedis) Durability() string { return "memory" }

func (m *memoryRedis) Close() error {
	m.once.Do(func() {
		close(m.done)
		m.server.Close()
	})
	return nil
}
