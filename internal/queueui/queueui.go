// Package queueui is the pages at /queues/: asynqmon, made fit to be shown. It
// shows payloads as readable operations without their secrets, gives asynqmon a
// Content-Security-Policy that its page works under, refuses changes that another
// site asks for, and turns asynqmon's failures into ours. Who may see the pages
// is Gate's; who is asking is found out elsewhere, and no SQL may enter here.
package queueui

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/hibiken/asynqmon"
	"github.com/redis/go-redis/v9"

	"github.com/waybill-dev/waybill/internal/collection"
	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/principal"
)

// Root is the path of the pages, without the slash at its end.
const Root = "/queues"

const (
	// answerTimeout bounds an answer: asynqmon passes no contexts on, so that
	// only Redis's own timeouts, for each command, hold inside.
	answerTimeout = 15 * time.Second
	// maxPage is how many tasks the page asks for at most.
	maxPage = 100
)

// Options are what New needs.
type Options struct {
	Redis         redis.UniversalClient // made for it, closed by Close; should have timeouts, and repeat nothing
	Collections   *collection.Set
	PrometheusURL string // whose charts are shown; "" for none
	Logger        *slog.Logger
	Fail          Fail
}

// Handler serves Root and all below it. It takes for granted that whoever asks
// may see and change everything: see Gate.
type Handler struct {
	o       Options
	mon     http.Handler
	origins *http.CrossOriginProtection
	policy  string // the Content-Security-Policy of the page
}

// New returns a Handler. It does not connect to Redis yet.
func New(o Options) (*Handler, error) {
	if err := checkPrometheus(o.PrometheusURL); err != nil {
		return nil, err
	}
	mon := asynqmon.New(asynqmon.Options{
		RootPath: Root, RedisConnOpt: connection{o.Redis}, PrometheusAddress: o.PrometheusURL,
		PayloadFormatter: asynqmon.PayloadFormatterFunc(formatter{o.Collections}.payload),
		ResultFormatter:  asynqmon.ResultFormatterFunc(result),
	})
	h := &Handler{o: o, origins: http.NewCrossOriginProtection()}
	h.mon = http.TimeoutHandler(h.limitMetrics(mon), answerTimeout, "no answer in time")
	var err error
	h.policy, err = policyOf(mon)
	return h, err
}

// Close closes the Redis client.
func (h *Handler) Close() error { return h.o.Redis.Close() }

// connection is an asynq.RedisConnOpt that connects nothing: asynqmon and the
// Inspector in it share the client, which is why asynqmon's Close, which would
// close it twice, is not called.
type connection struct{ client redis.UniversalClient }

func (c connection) MakeRedisClient() any { return c.client }

// checkPrometheus refuses what the page could not link to, or must not show.
func checkPrometheus(address string) error {
	if address == "" {
		return nil
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return errors.New("the address of Prometheus must be an http:// or https:// URL")
	}
	if u.User != nil {
		return errors.New("the address of Prometheus must not hold credentials: the page shows it")
	}
	return nil
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.protect(w.Header())
	if r.URL.Path == Root {
		http.Redirect(w, r, Root+"/", http.StatusTemporaryRedirect)
		return
	}
	a, err := h.ask(w.Header(), r)
	if err != nil {
		h.o.Fail.answer(w, r, err)
		return
	}
	a.send(w)
}

// ask returns asynqmon's answer, or why there is none to show. header is the
// one of the answer to come.
func (h *Handler) ask(header http.Header, r *http.Request) (*answer, error) {
	if err := h.check(header, r); err != nil {
		return nil, err
	}
	a, err := h.run(r)
	if err != nil {
		return nil, err
	}
	if err := h.judge(r, a); err != nil {
		return nil, err
	}
	if changes(r) {
		actor := principal.ActorOf(r.Context())
		h.o.Logger.Info("a queue was changed by hand", "request_id", actor.RequestID, "method", r.Method, "path", r.URL.Path, "principal", actor.Principal, "key", actor.Key)
	}
	return a, nil
}

// check refuses requests that asynqmon must not see.
func (h *Handler) check(header http.Header, r *http.Request) error {
	if err := h.origins.Check(r); err != nil {
		return fault.Wrap(fault.Forbidden, err, "another site asks for this: changes are taken from Waybill's own pages alone")
	}
	if !inAPI(r) && r.Method != http.MethodGet && r.Method != http.MethodHead {
		header.Set("Allow", "GET, HEAD")
		return fault.New(fault.MethodNotAllowed, "%s is not allowed here", r.Method)
	}
	if size := r.URL.Query().Get("size"); size != "" {
		if n, err := strconv.Atoi(size); err != nil || n < 1 || n > maxPage {
			return fault.At(fault.InvalidParameter, "query.size", "must be a number from 1 to %d", maxPage)
		}
	}
	if r.URL.Path == metricsPath && h.o.PrometheusURL == "" {
		return fault.New(fault.NotFound, "no Prometheus is configured")
	}
	return nil
}

// run lets asynqmon answer. Its panic is a failure of this request alone.
func (h *Handler) run(r *http.Request) (a *answer, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fault.Wrap(fault.Internal, fmt.Errorf("panic: %v\n%s", p, debug.Stack()), "the page of the queues failed")
		}
	}()
	a = &answer{header: http.Header{}}
	h.mon.ServeHTTP(a, r)
	return a, nil
}

const (
	metricsPath = Root + "/api/metrics"
	// maxMetrics is how many requests may ask Prometheus at a time: asynqmon
	// waits for it without end.
	maxMetrics = 4
)

// limitMetrics bounds what a Prometheus that hangs can tie up.
func (h *Handler) limitMetrics(next http.Handler) http.Handler {
	slots := make(chan struct{}, maxMetrics)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != metricsPath {
			next.ServeHTTP(w, r)
			return
		}
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
			next.ServeHTTP(w, r)
		default:
			http.Error(w, "Prometheus does not answer", http.StatusServiceUnavailable)
		}
	})
}

// inAPI reports whether a request is for what the page's scripts ask.
func inAPI(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, Root+"/api/") }

func changes(r *http.Request) bool {
	return r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodOptions
}
