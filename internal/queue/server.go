package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// ServerOptions of a Server. Queue, Concurrency, Logger, ShutdownTimeout and
// RetryDelay are required.
type ServerOptions struct {
	Queue           string // without braces: it is a hash tag
	Concurrency     int    // tasks in hand at once
	Logger          *slog.Logger
	ShutdownTimeout time.Duration // what Stop leaves the tasks in hand; above what a handler may take

	// RetryDelay is how long a task waits that ended with err, after retried
	// failures before it. asynq keeps the time in whole seconds.
	RetryDelay func(err error, retried int) time.Duration

	// Failure says whether err is one: it is counted, and logged as a warning.
	// Otherwise the task only waits, for its turn or for an outage to end, as
	// often as it takes. nil: every error is a failure.
	Failure func(err error) bool

	// Ready says whether there is any sense in taking tasks now; nil means
	// always. It is asked before each dequeue, so it must be quick.
	Ready func() bool

	// Recovered is told how many tasks of lost workers came back, for metrics;
	// may be nil.
	Recovered func(tasks int)

	// Wakeups are shared by the servers of a process; nil makes one for this
	// server alone.
	Wakeups *Wakeups
}

func (o *ServerOptions) validate() error {
	switch {
	case o.Queue == "" || strings.ContainsAny(o.Queue, "{}"):
		return fmt.Errorf("queue server: bad queue name %q", o.Queue)
	case o.Concurrency < 1:
		return errors.New("queue server: concurrency must be at least 1")
	case o.ShutdownTimeout <= 0:
		return errors.New("queue server: no shutdown timeout")
	case o.Logger == nil || o.RetryDelay == nil:
		return errors.New("queue server: no logger or no retry delay")
	}
	return nil
}

// A lease that ran out says nothing about the task.
const leaseDelay = time.Second

// stopGrace is what Stop adds to the shutdown timeout: first for tasks to be
// acknowledged or pushed back, then for asynq's loops to end.
const stopGrace = 3 * time.Second

// Server hands the tasks of one queue to a handler. Whatever ends with an error
// is tried again. What was no failure (see ServerOptions) is tried without limit;
// failures up to the task's own, which tasks puts out of reach: nothing ends in
// asynq's archive.
type Server struct {
	o      ServerOptions
	asynq  *asynq.Server
	mux    asynq.Handler
	base   context.Context // of the handlers'
	broker *broker

	stopping func() // ends broker.stopping
	giveUp   func() // ends broker.stopped

	mu      sync.Mutex
	state   string // "", started, stopped
	done    chan struct{}
	recover sync.WaitGroup
}

var (
	errStarted = errors.New("queue server: started already")
	errStopped = errors.New("queue server: stopped")
)

// NewServer returns a Server of o.Queue that does not run yet.
func NewServer(rc redis.UniversalClient, o ServerOptions, h asynq.Handler) (*Server, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	if o.Recovered == nil {
		o.Recovered = func(int) {}
	}
	if o.Wakeups == nil {
		o.Wakeups = NewWakeups(rc)
	}
	o.Logger = o.Logger.With("queue", o.Queue)
	s := &Server{o: o, done: make(chan struct{})}
	s.mux = &handler{h, o.Logger}
	b := &broker{
		UniversalClient: rc, keys: keysOf(o.Queue), log: o.Logger, ready: o.Ready,
		bell: o.Wakeups.bell(o.Queue), lost: &lostLeases{},
	}
	b.stopping, s.stopping = context.WithCancel(context.Background())
	b.stopped, s.giveUp = context.WithCancel(context.Background())
	s.broker = b
	log := newAsynqLog(o.Logger)
	s.asynq = asynq.NewServerFromRedisClient(b, asynq.Config{
		Concurrency:              o.Concurrency,
		Queues:                   map[string]int{o.Queue: 1},
		BaseContext:              func() context.Context { return s.base },
		TaskCheckInterval:        time.Millisecond, // the broker does the waiting
		DelayedTaskCheckInterval: time.Second,
		IsFailure:                s.failure,
		RetryDelayFunc:           s.retryDelay,
		ErrorHandler:             asynq.ErrorHandlerFunc(s.failed),
		ShutdownTimeout:          o.ShutdownTimeout,
		Logger:                   log,
		LogLevel:                 log.level(),
	})
	return s, nil
}

// Start starts taking tasks and returns. It does not need Redis: without it, the
// server lives and takes tasks as soon as Redis is there. Handlers get ctx's
// values; only Stop ends the server.
func (s *Server) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch s.state {
	case "started":
		return errStarted
	case "stopped":
		return errStopped
	}
	s.base = context.WithoutCancel(ctx)
	if err := s.asynq.Start(s.mux); err != nil {
		return fmt.Errorf("start the server of queue %s: %w", s.o.Queue, err)
	}
	s.state = "started"
	s.o.Wakeups.open()
	r := &recoverer{s.broker.UniversalClient, s.broker.keys, s.o.Logger, s.broker.bell, s.broker.lost, s.o.Recovered}
	s.recover.Go(func() { r.run(s.broker.stopping) })
	return nil
}

// Stop takes no more tasks and returns when those in hand are finished, or were
// pushed back into the queue after the shutdown timeout. Further calls wait for
// the same.
func (s *Server) Stop() {
	s.mu.Lock()
	before := s.state
	s.state = "stopped"
	s.mu.Unlock()
	switch before {
	case "stopped":
		<-s.done
		return
	case "started":
		s.shutdown()
	}
	close(s.done)
}

func (s *Server) shutdown() {
	s.stopping() // wakes the waiting dequeue: asynq's Stop waits for it
	defer time.AfterFunc(s.o.ShutdownTimeout+stopGrace, s.giveUp).Stop()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.asynq.Shutdown()
	}()
	select {
	case <-ended:
	case <-time.After(s.o.ShutdownTimeout + 4*stopGrace):
		// asynq's loops call Redis without a deadline of their own.
		s.o.Logger.Warn("asynq did not shut down in time, left behind")
	}
	s.giveUp()
	s.recover.Wait()
	s.o.Wakeups.close()
}

// StopAll stops servers side by side.
func StopAll(servers ...*Server) {
	var done sync.WaitGroup
	for _, s := range servers {
		done.Go(s.Stop)
	}
	done.Wait()
}

func (s *Server) retryDelay(retried int, err error, _ *asynq.Task) time.Duration {
	if errors.Is(err, asynq.ErrLeaseExpired) {
		return leaseDelay
	}
	return s.o.RetryDelay(err, retried)
}

// failed logs a failure, once, here: it ends in a retry.
func (s *Server) failed(ctx context.Context, task *asynq.Task, err error) {
	if errors.Is(err, errPanic) {
		return // logged with its stack
	}
	id, _ := asynq.GetTaskID(ctx)
	if s.failure(err) {
		s.o.Logger.WarnContext(ctx, "task failed, to be tried again", "task", id, "type", task.Type(), "error", err)
	} else {
		s.o.Logger.DebugContext(ctx, "task waits", "task", id, "type", task.Type(), "error", err)
	}
}

func (s *Server) failure(err error) bool { return s.o.Failure == nil || s.o.Failure(err) }

var errPanic = errors.New("handler panicked")

// handler turns a panic into an error. asynq would too, but its log has the
// stack without the reason and without the task.
type handler struct {
	asynq.Handler
	log *slog.Logger
}

func (h *handler) ProcessTask(ctx context.Context, task *asynq.Task) (err error) {
	defer func() {
		if reason := recover(); reason != nil {
			id, _ := asynq.GetTaskID(ctx)
			h.log.Error("handler panicked, task to be tried again",
				"task", id, "type", task.Type(), "panic", reason, "stack", string(debug.Stack()))
			err = fmt.Errorf("%w: %v", errPanic, reason)
		}
	}()
	return h.Handler.ProcessTask(ctx, task)
}
