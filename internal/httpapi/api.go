// Package httpapi is the HTTP edge: routes, what a request says, what an answer
// looks like, and the OpenAPI document that says the same. A file a resource.
// It decides nothing about writes or records: accept, collection and the store
// do. It never imports apply.
package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-chi/chi/v5"

	"github.com/waybill-dev/waybill/internal/accept"
	"github.com/waybill-dev/waybill/internal/collection"
	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/store"
)

// Acceptor is what the edge needs of accept.
type Acceptor interface {
	Submit(ctx context.Context, w *accept.Write) (accept.Accepted, error)
	SubmitBulk(ctx context.Context, b *accept.Bulk) (replayed bool, err error)
	Await(ctx context.Context, w *accept.Accepted, d time.Duration) (*accept.Ended, error)
	Operation(ctx context.Context, tenant, id string) (*record.Stored, error)
	Wait(ctx context.Context, tenant, id string, d time.Duration) (*record.Stored, error)
}

// Store is what the edge reads.
type Store interface {
	Record(ctx context.Context, key record.Key) (*record.Record, error)
	Records(ctx context.Context, tenant, collection string, q store.RecordQuery) ([]record.Record, bool, error)
	Operations(ctx context.Context, tenant string, q store.OperationQuery) ([]record.Stored, bool, error)
	OperationsOf(ctx context.Context, keys []record.OperationKey) (map[string]record.Stored, error)
}

// Observer is told of each request, for metrics. route is a pattern, never what
// a client made up.
type Observer interface {
	Request(method, route string, status int, took time.Duration)
	Rejected(code fault.Kind)
}

// Options of an API.
type Options struct {
	Collections *collection.Set
	Acceptor    Acceptor
	Store       Store
	Durability  func(context.Context) string // of the queue, as GET /api tells it
	Version     string
	MaxBody     int64 // bytes of one record's body; 256 KiB
	Logger      *slog.Logger
	Observer    Observer
}

// API is the public HTTP handler.
type API struct {
	o       Options
	router  *chi.Mux
	openAPI *huma.OpenAPI
	spec    []byte
}

// New returns the API for the collections in o.
func New(o Options) (*API, error) {
	if o.MaxBody == 0 {
		o.MaxBody = 256 << 10
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Observer == nil {
		o.Observer = unobserved{}
	}
	a := &API{o: o, router: chi.NewRouter(), openAPI: newOpenAPI(o.Version)}
	a.router.NotFound(a.plain("unmatched", a.notFound))
	a.router.MethodNotAllowed(a.plain("unmatched", a.methodNotAllowed))
	a.routeRoot()
	a.routeOperations()
	for _, c := range o.Collections.All() {
		if err := a.routeCollection(c); err != nil {
			return nil, err
		}
	}
	return a, a.finishOpenAPI()
}

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.router.ServeHTTP(w, r) }

type unobserved struct{}

func (unobserved) Request(string, string, int, time.Duration) {}
func (unobserved) Rejected(fault.Kind)                        {}
