package app

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/waybill-dev/waybill/internal/auth"
	"github.com/waybill-dev/waybill/internal/collection"
	"github.com/waybill-dev/waybill/internal/config"
	"github.com/waybill-dev/waybill/internal/httpapi"
	"github.com/waybill-dev/waybill/internal/principal"
	"github.com/waybill-dev/waybill/internal/queue"
	"github.com/waybill-dev/waybill/internal/queueui"
	"github.com/waybill-dev/waybill/internal/store"
)

// newAuth makes what verifies and makes credentials.
func newAuth(c config.Config, s *store.Store, collections *collection.Set, log *slog.Logger) (*auth.Service, error) {
	box, err := newBox(c)
	if err != nil {
		return nil, err
	}
	return auth.New(s, auth.Options{
		Box: box, TokenKeys: c.TokenKeys, Registration: c.Registration, AuditRetention: c.AuditRetention, Logger: log,
		Collections: func(name string) bool {
			_, known := collections.Get(name)
			return known
		},
	})
}

// startAuth starts what knows who is asking. The operator's key is there as soon
// as the database is.
func (a *App) startAuth(background context.Context) (*auth.Service, error) {
	service, err := newAuth(a.config, a.store, a.collections, a.log)
	if err != nil {
		return nil, err
	}
	a.background(func() { service.Run(background) })
	if a.config.AdminKey != "" {
		a.background(func() { a.seed(background, service) })
	}
	a.auth = service
	return service, nil
}

// seedEvery is how often the operator's key is tried to be made.
const seedEvery = 100 * time.Millisecond

// seed makes the operator's key, as soon as that can be done.
func (a *App) seed(ctx context.Context, service *auth.Service) {
	for {
		if a.gate.ready() {
			err := service.Seed(ctx, a.config.AdminKey)
			if err == nil {
				close(a.seeded)
				return
			}
			a.log.Warn("the key of WAYBILL_ADMIN_KEY cannot be made; trying until it can", "error", err)
		}
		if !pause(ctx, seedEvery) {
			return
		}
	}
}

// openQueues makes the pages of the queues, on a connection of their own.
func (a *App) openQueues() (httpapi.Pages, error) {
	redis, err := queue.Connect(a.config.RedisURL)
	if err != nil {
		return nil, fmt.Errorf("REDIS_URL: %w", err)
	}
	pages, err := queueui.New(queueui.Options{Redis: redis, Collections: a.collections, PrometheusURL: a.config.PrometheusURL})
	if err != nil {
		return nil, fmt.Errorf("queues: %w", err)
	}
	a.onStop("the queues' pages", func(context.Context) error { return pages.Close() })
	return func(authenticate func(*http.Request) (*principal.Principal, error)) http.Handler {
		return queueui.Gate(authenticate, pages)
	}, nil
}
