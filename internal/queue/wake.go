package queue

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// waker publishes wake-ups in the background, one at a time for each queue:
// those asked for while one is on its way become a single next one.
type waker struct {
	rc   redis.UniversalClient
	done sync.WaitGroup

	mu    sync.Mutex
	again map[string]bool // queues that a publisher is at work for; true: once more
}

func newWaker(rc redis.UniversalClient) *waker {
	return &waker{rc: rc, again: map[string]bool{}}
}

// wake must come after the reply to the enqueue: a server that looks before the
// task is there would go back to sleep.
func (w *waker) wake(queue string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, busy := w.again[queue]; busy {
		w.again[queue] = true
		return
	}
	w.again[queue] = false
	w.done.Go(func() { w.publish(queue) })
}

func (w *waker) publish(queue string) {
	for {
		// A wake-up that is lost costs a second, never a task: no error to handle.
		w.rc.Publish(context.Background(), wakePrefix+queue, "")
		w.mu.Lock()
		if !w.again[queue] {
			delete(w.again, queue)
			w.mu.Unlock()
			return
		}
		w.again[queue] = false
		w.mu.Unlock()
	}
}

func (w *waker) close() { w.done.Wait() }

// bell wakes whoever waits for one queue.
type bell struct {
	mu   sync.Mutex
	rung chan struct{}
}

// next returns a channel that is closed at the next ring. Take it before asking
// Redis for work, or a ring in between is missed.
func (b *bell) next() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.rung
}

func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.rung)
	b.rung = make(chan struct{})
}

// A subscription that hears nothing asks for a sign of life after silence, and
// is made anew after as long again.
const (
	silence    = 3 * time.Second
	resubPause = 250 * time.Millisecond
)

// Wakeups is the subscription to wake-ups that the servers of one process share.
// It holds one connection while any of them runs.
type Wakeups struct {
	rc redis.UniversalClient

	mu    sync.Mutex
	bells map[string]*bell // by channel
	users int
	stop  context.CancelFunc
	done  chan struct{}
	sub   *redis.PubSub // nil between two connections
}

// NewWakeups returns a subscription on rc. It connects when the first server
// starts.
func NewWakeups(rc redis.UniversalClient) *Wakeups {
	return &Wakeups{rc: rc, bells: map[string]*bell{}}
}

// bell returns the one of queue.
func (w *Wakeups) bell(queue string) *bell {
	w.mu.Lock()
	defer w.mu.Unlock()
	b := w.bells[wakePrefix+queue]
	if b == nil {
		b = &bell{rung: make(chan struct{})}
		w.bells[wakePrefix+queue] = b
		if w.sub != nil { // else the next connection subscribes to it
			_ = w.sub.Subscribe(context.Background(), wakePrefix+queue) // an error ends the connection
		}
	}
	return b
}

// open starts listening for one more server.
func (w *Wakeups) open() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.users++; w.users > 1 {
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	w.stop, w.done = stop, make(chan struct{})
	go w.listen(ctx, w.done)
}

// close ends the listening with the last server.
func (w *Wakeups) close() {
	w.mu.Lock()
	w.users--
	last, stop, done := w.users == 0, w.stop, w.done
	w.mu.Unlock()
	if last {
		stop()
		<-done
	}
}

func (w *Wakeups) listen(ctx context.Context, done chan<- struct{}) {
	defer close(done)
	for ctx.Err() == nil {
		w.hear(ctx)
		select {
		case <-ctx.Done():
		case <-time.After(resubPause):
		}
	}
}

// hear rings bells until the connection fails or ctx ends.
func (w *Wakeups) hear(ctx context.Context) {
	sub := w.rc.Subscribe(ctx) // connects only with the first channel
	defer context.AfterFunc(ctx, func() { _ = sub.Close() })()
	defer func() { _ = sub.Close() }()
	defer w.enter(nil)
	if err := sub.Subscribe(ctx, w.enter(sub)...); err != nil {
		return
	}
	for asked := false; ; {
		message, err := sub.ReceiveTimeout(ctx, silence)
		var timeout net.Error
		switch {
		case err == nil:
			asked = false
		case errors.As(err, &timeout) && timeout.Timeout() && !asked:
			if asked = true; sub.Ping(ctx) != nil {
				return
			}
		default:
			return
		}
		switch m := message.(type) {
		case *redis.Message:
			w.bell(m.Channel[len(wakePrefix):]).ring()
		case *redis.Subscription:
			// Connected anew: what was published meanwhile went past us.
			w.bell(m.Channel[len(wakePrefix):]).ring()
		}
	}
}

// enter makes sub the current connection and returns the channels to hear.
func (w *Wakeups) enter(sub *redis.PubSub) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sub = sub
	channels := make([]string, 0, len(w.bells))
	for channel := range w.bells {
		channels = append(channels, channel)
	}
	return channels
}
