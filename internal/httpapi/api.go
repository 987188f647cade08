// Package httpapi is the HTTP edge: routes, what a request says, what an answer
// looks like, and the OpenAPI document that says the same. A file a resource.
// It decides nothing about writes or records: accept, collection and the store
// do. It never imports apply.
package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-chi/chi/v5"
	"go.opentelemetry.io/otel/trace"

	"github.com/waybill-dev/waybill/internal/accept"
	"github.com/waybill-dev/waybill/internal/collection"
	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/limit"
	"github.com/waybill-dev/waybill/internal/principal"
	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/store"
	"github.com/waybill-dev/waybill/internal/subscription"
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

// Subscriptions is what the edge needs of the store for subscriptions and
// deliveries. What an ID or a tenant does not have is fault.NotFound.
type Subscriptions interface {
	// CreateSubscription stores s, whose ID and times the caller has set.
	CreateSubscription(ctx context.Context, s *subscription.Subscription) error
	Subscription(ctx context.Context, key subscription.Key) (*subscription.Subscription, error)
	// Subscriptions is a page of them, newest first; before is the last ID seen.
	Subscriptions(ctx context.Context, tenant string, limit int, before string) (items []subscription.Subscription, more bool, err error)
	// UpdateSubscription calls change in one transaction, maybe more than once. An
	// error of change changes nothing and is returned.
	UpdateSubscription(ctx context.Context, key subscription.Key, change func(*subscription.Subscription) error) (*subscription.Subscription, error)
	// DeleteSubscription ends pending deliveries as canceled.
	DeleteSubscription(ctx context.Context, key subscription.Key) error
	// Announce stores an event and one delivery of it, due now.
	Announce(ctx context.Context, e *subscription.Event, to subscription.Key) (*subscription.Delivery, error)
	Replay(ctx context.Context, key subscription.Key, q store.ReplayQuery) (count int, err error)
	// Deliveries is a page of them, newest first.
	Deliveries(ctx context.Context, tenant string, q store.DeliveryQuery) (items []subscription.Delivery, more bool, err error)
	Delivery(ctx context.Context, tenant, id string) (*subscription.Delivery, error)
	// Attempts of a delivery, oldest first.
	Attempts(ctx context.Context, tenant, delivery string) ([]subscription.Attempt, error)
	// RetryDelivery is fault.Conflict while the delivery is being made, and where
	// its subscription is disabled or deleted.
	RetryDelivery(ctx context.Context, tenant, id string) (*subscription.Delivery, error)
	// DeliveryCounts counts the deliveries of operations' events, by operation.
	DeliveryCounts(ctx context.Context, keys []record.OperationKey) (map[string]subscription.Counts, error)
}

// Channels checks and shows the channel of a subscription; it alone sees secrets.
type Channels interface {
	// Check reads a channel object as a client gives it and returns what to keep of
	// it; standing is nil for a new subscription, and for one that gets another type
	// of channel. Errors are fault.InvalidRecord at body.channel.…
	Check(ctx context.Context, key subscription.Key, object json.RawMessage, standing *subscription.Subscription) (c subscription.Channel, target []byte, err error)
	Show(s *subscription.Subscription) (json.RawMessage, error)
	// Secret is "" for channels without one.
	Secret(s *subscription.Subscription) (string, error)
	// Rotate is fault.Conflict for channels without a secret.
	Rotate(s *subscription.Subscription, now time.Time) (target []byte, err error)
	// Unsubscribe takes an e-mail address out, if it is there, and says how many
	// are left; fault.Forbidden for a bad token.
	Unsubscribe(s *subscription.Subscription, address, token string) (target []byte, left int, err error)
}

// Waker says that subscriptions have deliveries due now, or none any more. Best
// effort: a sweeper finds what it missed.
type Waker interface {
	Wake(ctx context.Context, keys ...subscription.Key)
}

// Observer is told of each request, for metrics. route is a pattern, never what
// a client made up.
type Observer interface {
	Request(t record.Trace, method, route string, status int, took time.Duration)
	Rejected(code fault.Kind)
}

// Pages makes pages that ask authenticate who visits, which shows credentials as
// a cookie, as Basic with a key for the password, or as Bearer; and that have fail
// answer with the problem that an error is.
type Pages func(authenticate func(*http.Request) (*principal.Principal, error), fail func(http.ResponseWriter, *http.Request, error)) http.Handler

// Options of an API.
type Options struct {
	Collections    *collection.Set
	Acceptor       Acceptor
	Store          Store
	Identity       Identity // nil: nobody can show credentials
	Accounts       Accounts
	Directory      Directory
	Limits         Limits
	Queues         Pages         // nil: none
	CORSOrigins    []string      // whose scripts may use the API
	PublicURL      string        // where the API is reached from outside; "" if that is not known
	Subscriptions  Subscriptions // nil: operations have no deliveries, and subscriptions cannot be served
	Channels       Channels
	Waker          Waker
	Durability     func(context.Context) string // of the queue, as GET /api tells it
	Version        string
	TrustedProxies []netip.Prefix // whose X-Forwarded-For is believed
	MaxBody        int64          // bytes of one record's body; 256 KiB
	Logger         *slog.Logger
	Observer       Observer
	Tracer         trace.Tracer // nil: no spans; traces that requests bring travel on all the same
}

// API is the public HTTP handler.
type API struct {
	o           Options
	router      *chi.Mux
	handler     http.Handler // router, behind what protects browsers
	openAPI     *huma.OpenAPI
	spec        []byte
	routes      []Route
	writeLimits map[string]*limit.Limiter // by collection
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
	a := &API{o: o, router: chi.NewRouter(), openAPI: newOpenAPI(o.Version), writeLimits: map[string]*limit.Limiter{}}
	a.router.NotFound(a.plain("unmatched", a.notFound))
	a.router.MethodNotAllowed(a.plain("unmatched", a.methodNotAllowed))
	a.routeRoot()
	a.routeOperations()
	if err := a.routeSubscriptions(); err != nil {
		return nil, err
	}
	a.routeUnsubscribe()
	a.routeDeliveries()
	a.routeIdentity()
	a.routeQueues()
	for _, c := range o.Collections.All() {
		if c.RateLimit.Writes != nil {
			a.writeLimits[c.Name] = limit.New(*c.RateLimit.Writes, limitKeys)
		}
		if err := a.routeCollection(c); err != nil {
			return nil, err
		}
	}
	return a, errors.Join(a.protectBrowsers(), a.finishOpenAPI())
}

// protectBrowsers puts the router behind what protects browsers. What that answers
// itself is an answer like any other: it has a request ID, and is observed.
func (a *API) protectBrowsers() (err error) {
	a.handler, err = BrowserOptions{
		CORSOrigins: a.o.CORSOrigins, PublicURL: a.o.PublicURL, Trusted: a.o.TrustedProxies,
		problem: func(w http.ResponseWriter, r *http.Request, refusal error) {
			a.plain("unmatched", func(*exchange, *http.Request) error { return refusal })(w, r)
		},
		preflight: a.plain("preflight", func(x *exchange, _ *http.Request) error {
			x.WriteHeader(http.StatusNoContent)
			return nil
		}),
	}.wrap(a.router)
	return err
}

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.handler.ServeHTTP(w, r) }

type unobserved struct{}

func (unobserved) Request(record.Trace, string, string, int, time.Duration) {}
func (unobserved) Rejected(fault.Kind)                                      {}
