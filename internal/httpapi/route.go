package httpapi

import (
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"
	"go.opentelemetry.io/otel/trace"

	"github.com/waybill-dev/waybill/internal/collection"
	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/principal"
	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/telemetry"
)

// handler answers a request, or returns the fault that it ends with.
type handler func(x *exchange, r *http.Request) error

// Route is one method of one path, as a pattern.
type Route struct{ Method, Pattern string }

// Routes returns all routes, in the order in which they were added. HEAD goes
// with GET.
func (a *API) Routes() []Route { return slices.Clone(a.routes) }

// exchange is one request and its answer: a ResponseWriter that remembers what
// the log and the metrics ask for afterwards.
type exchange struct {
	http.ResponseWriter
	requestID string
	route     string
	status    int
	code      fault.Kind
	query     url.Values // checked against what the route declares
	who       *principal.Principal
	tenant    string       // whose data the request is about: theirs, or the one that they name
	address   netip.Addr   // the client's
	trace     record.Trace // of the request's span; without spans, the client's own
	operation string       // ID of what was accepted
}

// WriteHeader implements http.ResponseWriter.
func (x *exchange) WriteHeader(status int) {
	if x.status == 0 {
		x.status = status
	}
	x.ResponseWriter.WriteHeader(status)
}

func (x *exchange) Write(b []byte) (int, error) {
	if x.status == 0 {
		x.status = http.StatusOK
	}
	return x.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController through.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// route serves h, to those whom n lets through, as op declares it: op goes into
// the OpenAPI document, and its query parameters are the only ones let through.
// GET answers HEAD as well.
func (a *API) route(op *huma.Operation, n access, h handler) {
	n.document(a, op)
	a.openAPI.AddOperation(op)
	var allowed []string
	for _, p := range op.Parameters {
		if p.In == "query" {
			allowed = append(allowed, p.Name)
		}
	}
	a.serve(op.Method, op.Path, allowed, n, h)
}

// serve adds a route that lets only the allowed query parameters through.
func (a *API) serve(method, path string, allowed []string, n access, h handler) {
	a.routes = append(a.routes, Route{method, path})
	serve := a.plain(path, func(x *exchange, r *http.Request) error {
		// Before the credentials: who shows theirs in the query is to be told of that.
		if r.URL.RawQuery != "" {
			var err error
			if x.query, err = checkQuery(r.URL.RawQuery, allowed); err != nil {
				return err
			}
		}
		if err := a.admit(x, r, &n); err != nil {
			return err
		}
		if n.effort >= control {
			r = x.acting(r)
		}
		return h(x, r)
	})
	a.router.Method(method, path, serve)
	if method == http.MethodGet {
		a.router.Method(http.MethodHead, path, serve)
	}
}

// plain serves h with what every answer has: a request ID, an end in the log and
// the metrics, and a problem document for every failure, panics too.
func (a *API) plain(route string, h handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		x := &exchange{ResponseWriter: w, route: route, requestID: requestID(r), trace: telemetry.TraceFrom(r.Header)}
		w.Header().Set("X-Request-Id", x.requestID)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if a.o.Tracer != nil {
			var span trace.Span
			r, span = a.startSpan(x, r)
			defer endSpan(x, span)
		}
		defer func() {
			if p := recover(); p != nil {
				if p == http.ErrAbortHandler { //nolint:errorlint // a panic value: net/http compares it so
					panic(p)
				}
				a.o.Logger.LogAttrs(r.Context(), slog.LevelError, "panic", append(x.about(), slog.Any("panic", p), slog.String("stack", string(debug.Stack())))...)
				if x.status == 0 {
					a.fail(x, r, fault.New(fault.Internal, "panic"))
				}
			}
			a.observe(x, r, time.Since(start))
		}()
		if err := h(x, r); err != nil {
			a.fail(x, r, err)
		}
	}
}

// requestID returns the client's X-Request-Id if it is fit for a log, else a new one.
func requestID(r *http.Request) string {
	id := r.Header.Get("X-Request-Id")
	if id == "" || len(id) > 128 || strings.ContainsFunc(id, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return uuid.NewString()
	}
	return id
}

// checkQuery parses a query string in which only allowed names may stand, each once.
func checkQuery(raw string, allowed []string) (url.Values, error) {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return nil, fault.At(fault.InvalidParameter, "query", "is malformed")
	}
	f := &fault.Error{Kind: fault.InvalidParameter}
	for name, values := range query {
		switch {
		case !slices.Contains(allowed, name):
			f.Items = append(f.Items, fault.Item{Location: "query." + clip(name), Message: "unknown parameter"})
		case len(values) > 1:
			f.Items = append(f.Items, fault.Item{Location: "query." + name, Message: "given more than once"})
		}
	}
	if len(f.Items) == 0 {
		return query, nil
	}
	slices.SortFunc(f.Items, func(a, b fault.Item) int { return strings.Compare(a.Location, b.Location) })
	f.Detail = f.Items[0].Location + ": " + f.Items[0].Message
	return nil, f
}

// clip shortens what a client made up, for a message.
func clip(s string) string {
	const most = 64
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// notFound answers for paths that no route has.
func (a *API) notFound(_ *exchange, r *http.Request) error {
	rest, under := strings.CutPrefix(r.URL.Path, "/api/")
	name, id, deeper := strings.Cut(rest, "/")
	if !under || name == "" {
		return fault.New(fault.NotFound, "there is nothing at this address")
	}
	_, known := a.o.Collections.Get(name)
	if !known && !collection.Reserved(name) {
		return fault.New(fault.UnknownCollection, "there is no collection %q", clip(name))
	}
	if known && deeper && id == "" {
		return fault.At(fault.InvalidParameter, "path.id", "must not be empty")
	}
	return fault.New(fault.NotFound, "there is nothing at this address")
}

// methodNotAllowed answers for paths that have other methods, and names those.
func (a *API) methodNotAllowed(x *exchange, r *http.Request) error {
	path := r.URL.RawPath
	if path == "" {
		path = r.URL.Path
	}
	var allow []string
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		if a.router.Match(chi.NewRouteContext(), method, path) {
			allow = append(allow, method)
		}
	}
	if len(allow) == 0 { // chi says so of methods that it does not know, whatever the path
		return a.notFound(x, r)
	}
	x.Header().Set("Allow", strings.Join(allow, ", "))
	return fault.New(fault.MethodNotAllowed, "%s is not allowed here, only %s", clip(r.Method), strings.Join(allow, ", "))
}
