package notify

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"
	"go.opentelemetry.io/otel/trace"

	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/store"
	"github.com/waybill-dev/waybill/internal/subscription"
	"github.com/waybill-dev/waybill/tasks"
)

// Store is what the dispatcher needs of the store.
type Store interface {
	Subscription(ctx context.Context, key subscription.Key) (*subscription.Subscription, error)
	Acquire(ctx context.Context, key subscription.Key, owner string) (*store.Dispatch, error)
	Renew(ctx context.Context, owner string, keys []subscription.Key) ([]subscription.Key, error)
	Release(ctx context.Context, key subscription.Key, owner string, pause time.Duration) (bool, error)
	Abandon(ctx context.Context, owner string) ([]subscription.Key, error)
	DueFor(ctx context.Context, key subscription.Key, limit int, except map[string]bool) ([]store.Due, error)
	RecordAttempts(ctx context.Context, tried []store.Tried, failing []store.Failing) error
	CancelPending(ctx context.Context, key subscription.Key) (int64, error)
	Disable(ctx context.Context, key subscription.Key, reason string, at time.Time, notice func(*subscription.Subscription) subscription.Event) ([]subscription.Key, error)
	Overdue(ctx context.Context) ([]subscription.Key, error)
	Tidy(ctx context.Context) error
}

// Alarm wakes whoever delivers: some worker, or the one that is called owner.
// Nothing depends on it but how soon: the sweeper finds what it lost.
type Alarm interface {
	Wake(ctx context.Context, keys ...subscription.Key) error
	WakeAt(ctx context.Context, key subscription.Key, at time.Time) error
	Tell(ctx context.Context, owner string, keys ...subscription.Key) error
}

// Observer is told what happens, for metrics. Its methods must not block.
type Observer interface {
	Attempted(t record.Trace, c subscription.Channel, outcome string, took time.Duration) // outcome: delivered, retried, dead
	Delivered(t record.Trace, after time.Duration)                                        // since the write was stored
	Disabled(reason string)
	Swept(subscriptions int)
}

// Options of a Dispatcher; what is zero takes its default.
type Options struct {
	Retries     []time.Duration // after the first attempt, the second, …; DefaultRetries
	Concurrency int             // attempts at once in this process; 2048
	SweepEvery  time.Duration   // 2 s
	Logger      *slog.Logger
	Observer    Observer
	Tracer      trace.Tracer // nil: no spans; events' traces travel on all the same
	Down        func(error)  // told when the store cannot be reached
	Ready       func() bool  // whether the store can be reached, as far as is known
	Now         func() time.Time
}

// Dispatcher delivers. At any time one worker delivers to a subscription: it holds
// the subscription's lease in the database, so limits hold across all workers by
// being kept in its memory. It implements asynq.Handler for notify:deliver tasks.
type Dispatcher struct {
	o        Options
	id       string // of this dispatcher, as owner of leases
	store    Store
	channels *Channels
	alarm    Alarm
	slots    *slots
	recorder *recorder
	sends    context.Context // ends when attempts are cut off
	cut      context.CancelFunc

	sweeps int // Run's own

	mu       sync.Mutex
	sessions map[subscription.Key]*session
	alarms   map[subscription.Key]int64 // the last time that was set, in ms
	stopping bool
	running  sync.WaitGroup
}

// NewDispatcher returns a Dispatcher that does nothing yet.
func NewDispatcher(s Store, c *Channels, a Alarm, o Options) *Dispatcher {
	if o.Retries == nil {
		o.Retries = DefaultRetries
	}
	if o.Concurrency == 0 {
		o.Concurrency = 2048
	}
	if o.SweepEvery == 0 {
		o.SweepEvery = 2 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Observer == nil {
		o.Observer = unobserved{}
	}
	down := o.Down
	o.Down = func(err error) {
		if down != nil && store.Unavailable(err) {
			down(err)
		}
	}
	if o.Ready == nil {
		o.Ready = func() bool { return true }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	d := &Dispatcher{
		o: o, id: uuid.NewString(), store: s, channels: c, alarm: a, slots: newSlots(o.Concurrency),
		recorder: &recorder{store: s, log: o.Logger, down: o.Down},
		sessions: map[subscription.Key]*session{}, alarms: map[subscription.Key]int64{},
	}
	d.sends, d.cut = context.WithCancel(context.Background())
	return d
}

// ID names this dispatcher among all: it is where Alarm.Tell finds it.
func (d *Dispatcher) ID() string { return d.id }

// ProcessTask implements asynq.Handler.
func (d *Dispatcher) ProcessTask(_ context.Context, task *asynq.Task) error {
	named, err := tasks.DecodeDeliver(task.Payload())
	if err != nil {
		return err // a newer Waybill wrote it: one of its workers will read it
	}
	for _, s := range named {
		if !d.Poke(subscription.Key{Tenant: s.Tenant, ID: s.ID}) {
			return errStopping
		}
	}
	return nil
}

var errStopping = fmt.Errorf("the dispatcher stops: %w", context.Canceled)

// Poke has the subscriptions looked after: deliveries may be due. It returns at
// once; false if the dispatcher stops and somebody else must do it.
func (d *Dispatcher) Poke(keys ...subscription.Key) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopping {
		return false
	}
	for _, key := range keys {
		s := d.sessions[key]
		if s == nil {
			s = newSession(d, key)
			d.sessions[key] = s
			d.running.Go(s.run)
		}
		s.poke()
	}
	return true
}

// leave ends a session, unless it was poked meanwhile.
func (d *Dispatcher) leave(s *session) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s.wasPoked() && !d.stopping {
		return false
	}
	delete(d.sessions, s.key)
	return true
}

// Run renews leases and sweeps until ctx ends.
func (d *Dispatcher) Run(ctx context.Context) {
	renew, sweep := time.NewTicker(store.Lease/4), time.NewTicker(d.o.SweepEvery)
	defer renew.Stop()
	defer sweep.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-renew.C:
			d.renew(ctx)
		case <-sweep.C:
			d.sweep(ctx)
		}
	}
}

// renew prolongs the leases of all sessions that have one.
func (d *Dispatcher) renew(ctx context.Context) {
	d.mu.Lock()
	var keys []subscription.Key
	for key, s := range d.sessions {
		if s.leased() {
			keys = append(keys, key)
		}
	}
	d.mu.Unlock()
	if len(keys) == 0 {
		return
	}
	until := time.Now().Add(store.Lease)
	held, err := d.store.Renew(ctx, d.id, keys)
	if err != nil {
		d.o.Down(err)
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, key := range held {
		if s := d.sessions[key]; s != nil {
			s.prolong(until)
		}
	}
}

// tidyEvery is after how many sweeps the dispatches of deleted subscriptions go.
const tidyEvery = 30

// sweep looks after what nobody does: a worker died, or a task was lost.
func (d *Dispatcher) sweep(ctx context.Context) {
	if !d.o.Ready() {
		return
	}
	keys, err := d.store.Overdue(ctx)
	if err != nil {
		if ctx.Err() == nil {
			d.o.Down(err)
			d.o.Logger.Warn("cannot look for overdue deliveries; trying again", "error", err)
		}
		return
	}
	if d.sweeps++; d.sweeps%tidyEvery == 0 {
		if err := d.store.Tidy(ctx); err != nil {
			d.o.Logger.Debug("could not tidy up after deleted subscriptions; trying again", "error", err)
		}
	}
	if len(keys) > 0 {
		d.o.Observer.Swept(len(keys))
		d.o.Logger.Info("found overdue deliveries that nobody looked after", "subscriptions", len(keys))
		d.Poke(keys...)
	}
}

// Stop makes no more attempts and returns when those under way have ended and are
// recorded. When ctx ends they are cut off, and will be made again. What remains
// is left to other workers.
func (d *Dispatcher) Stop(ctx context.Context) {
	d.mu.Lock()
	d.stopping = true
	for _, s := range d.sessions {
		s.signal()
	}
	d.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		d.running.Wait()
	}()
	select {
	case <-ended:
	case <-ctx.Done():
		d.o.Logger.Info("attempts are cut off: their receivers did not answer in the time there is to stop; they will be made again")
		d.cut()
		<-ended
	}
	d.cut()
	d.handOver(ctx)
}

// handOver gives up all leases, and has other workers take them.
func (d *Dispatcher) handOver(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	keys, err := d.store.Abandon(ctx, d.id)
	if err == nil && len(keys) > 0 {
		err = d.alarm.Wake(ctx, keys...)
	}
	if err != nil {
		d.o.Logger.Info("other workers will find what remains by themselves, a little later", "error", err)
	}
}

const (
	// alarmGrain is how exactly alarms are set: deliveries that failed together
	// share one.
	alarmGrain = 100 * time.Millisecond
	// soon is a delay that this process also waits out by itself: the queue's
	// alarms are late by a second or two.
	soon = 2 * time.Minute
)

// setAlarm has the subscription looked after when a delivery is due again.
func (d *Dispatcher) setAlarm(ctx context.Context, key subscription.Key, delay time.Duration) {
	at := time.Now().Add(delay + alarmGrain).Truncate(alarmGrain)
	d.mu.Lock()
	set := d.alarms[key] == at.UnixMilli()
	if len(d.alarms) > 10_000 {
		clear(d.alarms)
	}
	d.alarms[key] = at.UnixMilli()
	d.mu.Unlock()
	if set {
		return
	}
	if delay < soon {
		time.AfterFunc(time.Until(at), func() { d.Poke(key) })
	}
	if err := d.alarm.WakeAt(ctx, key, at); err != nil {
		d.o.Logger.Debug("no alarm was set; the sweeper will find the delivery", "subscription", key.ID, "tenant", key.Tenant, "error", err)
	}
}

type unobserved struct{}

func (unobserved) Attempted(record.Trace, subscription.Channel, string, time.Duration) {}
func (unobserved) Delivered(record.Trace, time.Duration)                               {}
func (unobserved) Disabled(string)                                                     {}
func (unobserved) Swept(int)                                                           {}
