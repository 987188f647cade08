package app

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"

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
func newAuth(c config.Config, s *store.Store, collections *collection.Set, log *slog.Logger, down func(error)) (*auth.Service, error) {
	box, err := newBox(c)
	if err != nil {
		return nil, err
	}
	keys, err := auth.ParseTokenKeys(c.TokenKeys)
	if err != nil {
		return nil, fmt.Errorf("WAYBILL_TOKEN_KEYS: %w", err)
	}
	return auth.New(s, auth.Options{
		Box: box, TokenKeys: keys, Registration: c.Registration, Logger: log, Down: down,
		Collections: func(name string) bool {
			_, known := collections.Get(name)
			return known
		},
	})
}

// seed makes the operator's key, if the settings name one.
func (a *App) seed(ctx context.Context) error {
	if a.config.AdminKey == "" || !a.roles.API {
		return nil
	}
	if err := a.auth.Seed(ctx, a.config.AdminKey); err != nil {
		return fmt.Errorf("the key of WAYBILL_ADMIN_KEY: %w", err)
	}
	return nil
}

// openQueues makes the pages of the queues, on a connection of their own.
func (a *App) openQueues() (httpapi.Pages, error) {
	redis, err := queue.Connect(a.config.RedisURL)
	if err != nil {
		return nil, fmt.Errorf("REDIS_URL: %w", err)
	}
	var fail queueui.Fail // the API's, which is made with these pages in it
	pages, err := queueui.New(queueui.Options{
		Redis: redis, Collections: a.collections, PrometheusURL: a.config.PrometheusURL, Logger: a.log,
		Fail: func(w http.ResponseWriter, r *http.Request, err error) { fail(w, r, err) },
	})
	if err != nil {
		return nil, fmt.Errorf("queues: %w", err)
	}
	a.onStop("the queues' pages", func(context.Context) error { return pages.Close() })
	return func(authenticate func(*http.Request) (*principal.Principal, error), apiFails func(http.ResponseWriter, *http.Request, error)) http.Handler {
		fail = apiFails
		return queueui.Gate(authenticate, fail, pages)
	}, nil
}
