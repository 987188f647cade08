// Package app is the only wiring: it makes the parts, starts them, and stops
// them in the opposite order. It lives while Redis or the database are down, and
// says so on /readyz. Signals and flags are cmd's; what the parts do is theirs.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/waybill-dev/waybill/internal/accept"
	"github.com/waybill-dev/waybill/internal/auth"
	"github.com/waybill-dev/waybill/internal/collection"
	"github.com/waybill-dev/waybill/internal/config"
	"github.com/waybill-dev/waybill/internal/httpapi"
	"github.com/waybill-dev/waybill/internal/notify"
	"github.com/waybill-dev/waybill/internal/queue"
	"github.com/waybill-dev/waybill/internal/store"
	"github.com/waybill-dev/waybill/internal/telemetry"
)

// Roles are the parts of Waybill that a process plays.
type Roles struct {
	API    bool // accepts writes and answers reads
	Worker bool // applies what was accepted
}

// App is one process of Waybill.
type App struct {
	config      config.Config
	roles       Roles
	log         *slog.Logger
	version     string
	collections *collection.Set
	metrics     *telemetry.Metrics
	spans       *telemetry.Spans // nil: none are made
	redis       redis.UniversalClient
	queue       *queue.Client
	alarm       *queue.Alarm
	backlog     *accept.Backlog
	channels    *notify.Channels
	store       *store.Store
	gate        *gate
	redisState  redisState
	auth        *auth.Service
	drains      bool   // what was accepted is stored before the worker stops: nobody else would
	durability  string // of the queue, where it is known beforehand; "" to ask Redis

	public, ops net.Listener
	stops       []stop // run from the last to the first
	stopped     sync.Once
	failed      chan error // what ends Run by itself
	running     sync.WaitGroup
}

// stop is one step of stopping.
type stop struct {
	name string
	run  func(context.Context) error
}

// New makes an App of c. It connects to nothing yet; its errors are mistakes in
// the settings or in waybill.yaml.
func New(c config.Config, roles Roles, log *slog.Logger) (*App, error) {
	if c.RedisURL == "" || c.DatabaseURL == "" {
		return nil, errors.New("settings: REDIS_URL and DATABASE_URL are needed")
	}
	collections, err := c.Collections()
	if err != nil {
		return nil, err
	}
	a := &App{config: c, roles: roles, log: log, version: Version(), collections: collections, failed: make(chan error, 4)}
	if a.channels, err = newChannels(c, a.version); err != nil {
		return nil, err
	}
	if a.redis, err = queue.Connect(c.RedisURL); err != nil {
		return nil, fmt.Errorf("REDIS_URL: %w", err)
	}
	a.store, err = store.Open(c.DatabaseURL, store.Options{
		MaxConns: maxConns(c, roles), Logger: log, ApplicationName: "waybill", Rules: collections.Access,
	})
	if err != nil {
		_ = a.redis.Close()
		return nil, fmt.Errorf("DATABASE_URL: %w", err)
	}
	if a.auth, err = newAuth(c, a.store, collections, log, func(err error) { a.gate.close(err) }); err != nil {
		return nil, errors.Join(err, a.redis.Close(), a.store.Close())
	}
	if a.spans, err = newSpans(c, roles, a.version, log); err != nil {
		return nil, errors.Join(err, a.redis.Close(), a.store.Close())
	}
	a.queue = queue.NewConfirmedClient(a.redis, c.RedisWait)
	a.alarm = queue.NewAlarm(a.redis, a.queue)
	a.backlog = accept.NewBacklog(a.redis, a.queue, c.MaxBacklog, log)
	a.gate = newGate(a.store, log)
	a.redisState.client = a.redis
	a.metrics = newMetrics(a)
	a.warn()
	return a, nil
}

// maxConns gives every batch that is applied at a time a connection, and some to
// look-ups and readers.
func maxConns(c config.Config, roles Roles) int {
	n := 4
	if roles.Worker {
		n += c.Concurrency + 4 // for deliveries
	}
	if roles.API {
		n += 4
	}
	return n
}

// warn says once what an operator should know of this configuration.
func (a *App) warn() {
	if a.roles.API && a.collections.BuiltIn() && !loopback(a.config.Listen) {
		a.log.Warn("the built-in collections are public to read and write, on an address that is not loopback; configure your own in waybill.yaml", "listen", a.config.Listen)
	}
	if a.config.Secret == "" {
		a.log.Warn("WAYBILL_SECRET is not set: nobody can log in, there can be no subscriptions, and those made with one get nothing from this process")
	}
}

func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// onStop adds a step of stopping; the last added runs first.
func (a *App) onStop(name string, run func(context.Context) error) {
	a.stops = append(a.stops, stop{name, run})
}

// Start starts everything. It returns once the listeners are bound; Redis and
// the database may still be away. After an error, Stop must be called too.
func (a *App) Start() error {
	background, cancel := context.WithCancel(context.Background())
	a.onStop("traces", func(ctx context.Context) error {
		a.spans.Stop(ctx)
		return nil
	})
	a.onStop("redis", func(context.Context) error { return a.redis.Close() })
	a.onStop("store", func(context.Context) error { return a.store.Close() })
	a.onStop("background", func(context.Context) error {
		cancel()
		a.running.Wait()
		return a.queue.Close()
	})
	if err := a.bind(); err != nil {
		return err
	}
	a.background(func() { a.prepareStore(background) })
	a.startOps()
	if a.roles.Worker {
		if err := a.startWorker(background); err != nil {
			return err
		}
	}
	if a.roles.API {
		if err := a.startAPI(background); err != nil {
			return err
		}
	}
	return nil
}

func (a *App) background(run func()) { a.running.Go(run) }

// Stop stops everything that Start started, in the opposite order, within ctx.
// It may be called more than once.
func (a *App) Stop(ctx context.Context) error {
	var all []error
	a.stopped.Do(func() {
		a.gate.drain()
		if a.config.ShutdownDelay > 0 {
			a.log.Info("not ready any more; serving on for a moment", "delay", a.config.ShutdownDelay)
			pause(ctx, a.config.ShutdownDelay)
		}
		for _, stop := range slices.Backward(a.stops) {
			if err := stop.run(ctx); err != nil {
				all = append(all, fmt.Errorf("stop %s: %w", stop.name, err))
			}
		}
	})
	return errors.Join(all...)
}

// Run starts everything, waits until ctx ends or a part fails for good, and
// stops within the shutdown timeout.
func (a *App) Run(ctx context.Context) error {
	err := a.Start()
	if err == nil {
		select {
		case <-ctx.Done():
			a.log.Info("stopping", "timeout", a.config.ShutdownTimeout)
		case err = <-a.failed:
		}
	}
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.config.ShutdownTimeout)
	defer cancel()
	return errors.Join(err, a.Stop(limit))
}

// Addr is the address of the public API, once started; "" without the role.
func (a *App) Addr() string { return addrOf(a.public) }

// OpsAddr is the address for operators, once started.
func (a *App) OpsAddr() string { return addrOf(a.ops) }

func addrOf(l net.Listener) string {
	if l == nil {
		return ""
	}
	return l.Addr().String()
}

// Timeouts of the listeners. A body has to arrive within readTimeout, so that a
// slow client holds a connection only so long.
const (
	readHeaderTimeout = 10 * time.Second
	readTimeout       = 30 * time.Second
	writeTimeout      = 75 * time.Second // more than the longest wait, and the read before it
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 32 << 10
)

// bind binds the listeners, before anything else starts: whoever connects to one
// that is not served yet waits for a moment.
func (a *App) bind() error {
	for _, l := range []struct {
		needed  bool
		name    string
		address string
		most    int // connections at once; 0: no bound
		bound   *net.Listener
	}{
		{true, "operators", a.opsAddress(), 0, &a.ops}, // who looks why there are so many must get in
		{a.roles.API, "the API", a.config.Listen, a.config.MaxConnections, &a.public},
	} {
		if !l.needed {
			continue
		}
		bound, err := net.Listen("tcp", l.address)
		if err != nil {
			return fmt.Errorf("listen for %s: %w", l.name, err)
		}
		listener := httpapi.Listen(bound, l.most)
		a.onStop("listening", func(context.Context) error {
			_ = listener.Close() // the server has closed it, if it came to serving
			return nil
		})
		*l.bound = listener
	}
	return nil
}

// closing is h, whose answers end their connections once the process is stopping:
// whoever is behind them goes elsewhere with the next request.
func (a *App) closing(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a.gate.stopping() {
			w.Header().Set("Connection", "close")
		}
		h.ServeHTTP(w, r)
	})
}

// serve serves h on l until stopped.
func (a *App) serve(name string, l net.Listener, h http.Handler) {
	server := &http.Server{
		Handler: a.closing(h), ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes, ErrorLog: slog.NewLogLogger(a.log.Handler(), slog.LevelDebug),
	}
	a.onStop(name, func(ctx context.Context) error {
		err := server.Shutdown(ctx)
		if err != nil {
			err = errors.Join(err, server.Close())
		}
		return err
	})
	a.background(func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			a.failed <- fmt.Errorf("serve %s: %w", name, err)
		}
	})
}
