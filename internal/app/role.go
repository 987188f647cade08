package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/waybill-dev/waybill/internal/accept"
	"github.com/waybill-dev/waybill/internal/apply"
	"github.com/waybill-dev/waybill/internal/httpapi"
	"github.com/waybill-dev/waybill/internal/notify"
	"github.com/waybill-dev/waybill/internal/queue"
	"github.com/waybill-dev/waybill/internal/store"
	"github.com/waybill-dev/waybill/internal/subscription"
	"github.com/waybill-dev/waybill/tasks"
)

// startAPI starts the public listener and what is behind it.
func (a *App) startAPI(background context.Context) error {
	acceptor := accept.New(a.redis, a.queue, a.store, accept.Options{Logger: a.log, Observer: a.metrics, Backlog: a.backlog, Tracer: a.spans.Tracer()})
	a.background(func() { acceptor.Run(background) })
	a.background(func() { a.backlog.Run(background) })
	queues, err := a.openQueues()
	if err != nil {
		return err
	}
	api, err := httpapi.New(httpapi.Options{
		Collections: a.collections, Acceptor: acceptor, Store: a.store, Subscriptions: a.store, Channels: a.channels, Waker: waker{a.alarm, a.log},
		Identity: a.auth, Accounts: a.auth, Directory: a.store, Queues: queues,
		Limits: httpapi.NewLimits(a.config.RateReads, a.config.RateWrites, a.config.RateAuth, a.config.RateLogin), TrustedProxies: a.config.TrustedProxies,
		CORSOrigins: a.config.CORSOrigins, PublicURL: a.config.PublicURL,
		Durability: a.durabilityNow, Version: a.version, MaxBody: a.config.MaxBody, Logger: a.log, Observer: a.metrics, Tracer: a.spans.Tracer(),
	})
	if err != nil {
		return err
	}
	showRoutes(a.metrics, api.Routes())
	a.serve("the API", a.public, api)
	a.onStop("those who wait", func(context.Context) error { // before the API, which would wait for them
		acceptor.Release()
		return nil
	})
	a.log.Info("accepting writes", "address", a.Addr(), "collections", len(a.collections.All()), "version", a.version)
	return nil
}

// startWorker starts the servers of the queues that this worker serves: one each,
// so that a slow subscriber never takes a writer's place.
func (a *App) startWorker(background context.Context) error {
	wake := waker{a.alarm, a.log}.Wake
	handlers := map[string]served{}
	if a.config.Queues.Has(tasks.QueueNotify) {
		dispatcher := a.startDispatcher(background)
		wake = a.wakes(dispatcher)
		handlers[tasks.QueueNotify] = served{alarmConcurrency, a.newReader(tasks.QueueNotify, dispatcher, tasks.TypeDeliver)}
	}
	if a.config.Queues.Has(tasks.QueueWrites) {
		handler := apply.New(a.queue, a.store, accept.NewUnderWay(a.redis), publisher{a.redis}, a.collections, apply.Options{
			Logger: a.log, Observer: a.metrics, Tracer: a.spans.Tracer(), Down: a.gate.close, MaxRecord: a.config.MaxBody, Wake: wake,
		})
		handlers[tasks.QueueWrites] = served{a.config.Concurrency, a.newReader(tasks.QueueWrites, handler, tasks.TypeApply)}
	}
	if a.config.Queues.Has(tasks.QueueMaintenance) { // no tasks of asynq: see docs/adr/0017-maintenance.md
		a.background(func() { a.newMaintainer().Run(background) })
	}
	servers, err := a.newServers(handlers)
	if err != nil {
		return err
	}
	a.onStop("worker", func(ctx context.Context) error {
		var err error
		if a.drains {
			err = a.drain(ctx)
		}
		queue.StopAll(servers...)
		return err
	})
	for _, s := range servers {
		if err := s.Start(background); err != nil {
			return fmt.Errorf("worker: %w", err)
		}
	}
	a.log.Info("working", "queues", a.config.Queues, "concurrency", a.config.Concurrency, "version", a.version)
	return nil
}

// served is how a queue is served.
type served struct {
	concurrency int
	handler     asynq.Handler
}

func (a *App) newServers(handlers map[string]served) ([]*queue.Server, error) {
	wakeups := queue.NewWakeups(a.redis)
	var servers []*queue.Server
	for name, h := range handlers {
		s, err := queue.NewServer(a.redis, queue.ServerOptions{
			Queue: name, Concurrency: h.concurrency, Logger: a.log, Wakeups: wakeups,
			ShutdownTimeout: a.config.ShutdownTimeout / 2, RetryDelay: retryDelay, Failure: failure, Ready: a.gate.ready, Recovered: a.metrics.Recovered,
		}, h.handler)
		if err != nil {
			return nil, fmt.Errorf("worker: %w", err)
		}
		servers = append(servers, s)
	}
	return servers, nil
}

// startDispatcher starts what delivers.
func (a *App) startDispatcher(background context.Context) *notify.Dispatcher {
	dispatcher := notify.NewDispatcher(a.store, a.channels, a.alarm, notify.Options{
		Retries: a.config.Retries, Concurrency: a.config.Deliveries, Logger: a.log, Observer: a.metrics, Tracer: a.spans.Tracer(),
		Down: a.gate.close, Ready: a.gate.ready,
	})
	a.background(func() { dispatcher.Run(background) })
	a.background(func() {
		a.alarm.Hear(background, dispatcher.ID(), func(keys ...subscription.Key) { dispatcher.Poke(keys...) })
	})
	a.onStop("deliveries", func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, a.config.ShutdownTimeout/2)
		defer cancel()
		dispatcher.Stop(ctx)
		return nil
	})
	return dispatcher
}

// alarmConcurrency is enough: an alarm is only passed on.
const alarmConcurrency = 4

// wakes has new deliveries looked after by this process itself, which is the
// soonest, and by another one if this one stops.
func (a *App) wakes(d *notify.Dispatcher) func(context.Context, ...subscription.Key) {
	other := waker{a.alarm, a.log}
	return func(ctx context.Context, keys ...subscription.Key) {
		if !d.Poke(keys...) {
			other.Wake(ctx, keys...)
		}
	}
}

// waker wakes workers by the queue.
type waker struct {
	alarm *queue.Alarm
	log   *slog.Logger
}

// Wake implements httpapi.Waker.
func (w waker) Wake(ctx context.Context, keys ...subscription.Key) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := w.alarm.Wake(ctx, keys...); err != nil {
		w.log.Info("no worker was woken; their sweep finds what is due", "subscriptions", len(keys), "error", err)
	}
}

// drain waits until what was accepted is stored. The database may be slow or
// away, so it waits for at most half of the time there is to stop. A queue that
// outlives us keeps the rest for the next start; from memory it is lost.
func (a *App) drain(ctx context.Context) error {
	limit, cancel := context.WithTimeout(ctx, a.config.ShutdownTimeout/2)
	defer cancel()
	for {
		n, err := a.queue.Size(ctx, tasks.QueueWrites)
		switch {
		case err == nil && n == 0:
			return nil
		case pause(limit, 10*time.Millisecond):
		case a.durability != "memory":
			a.log.Warn("not everything that was accepted is stored yet; the queue keeps it for the next start", "batches", n, "error", err)
			return nil
		case err != nil:
			return err
		default:
			return fmt.Errorf("%d batches of writes were accepted and are lost: they were not stored in time", n)
		}
	}
}

// retryDelay says when a task that ended with err comes back: soon if it only
// waits for its turn, else later and later, up to half a minute.
func retryDelay(err error, retried int) time.Duration {
	const longest = 30 * time.Second
	switch {
	case errors.Is(err, tasks.ErrUnreadable), errors.Is(err, apply.ErrForeign):
		return foreignDelay
	case errors.Is(err, apply.ErrNotYet):
		return 100 * time.Millisecond
	case store.Unavailable(err):
		return time.Second // the gate keeps the worker from spinning meanwhile
	}
	return min(time.Second<<min(retried, 5), longest)
}

// failure says whether a try at a task failed, or had only to wait: an outage is
// not a failure, and neither is an earlier write that is still under way, nor what
// a newer worker must do.
func failure(err error) bool {
	return !errors.Is(err, apply.ErrNotYet) && !errors.Is(err, tasks.ErrUnreadable) && !store.Unavailable(err)
}

// publisher announces outcomes by Redis Pub/Sub.
type publisher struct{ rc redis.UniversalClient }

// Publish implements apply.Publisher.
func (p publisher) Publish(ctx context.Context, channel string, outcome *tasks.Outcome) error {
	message, err := tasks.EncodeOutcome(outcome)
	if err != nil {
		return err
	}
	return p.rc.Publish(ctx, channel, message).Err()
}
