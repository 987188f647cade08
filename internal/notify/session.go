package notify

import (
	"context"
	"sync"
	"time"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/store"
	"github.com/waybill-dev/waybill/internal/subscription"
)

const (
	// pollEvery is how often a session that is busy looks for more by itself, in
	// case nobody could tell it.
	pollEvery = time.Second
	// settingsFor is how long a subscription's settings are good before it is read
	// again: a change or an end is noticed so soon.
	settingsFor = 250 * time.Millisecond
	// Deliveries read ahead: what is hurried is doubled up to the most.
	firstAhead, mostAhead = 16, 256
	// bytesAhead bounds the bodies read ahead.
	bytesAhead = 4 << 20
	// mostUnrecorded is where a session waits for the database.
	mostUnrecorded = 1024
	// Pauses after the database failed double from the first to the last.
	retryFirst, retryLast = 100 * time.Millisecond, 2 * time.Second
	// burst is how far attempts may catch up with the rate after a pause.
	burst = 50 * time.Millisecond
)

// session delivers to one subscription, as long as something is due.
type session struct {
	*Dispatcher
	key   subscription.Key
	awake chan struct{}

	mu         sync.Mutex
	poked      bool            // there may be more than was read
	validUntil time.Time       // of the lease; zero before it
	inHand     map[string]bool // deliveries read and not recorded yet, by ID
	sending    int
	recording  int
	ending     int       // attempts that are disabling the subscription: no more begin
	changed    bool      // the settings must be read again before more begin
	failing    time.Time // since when all attempts failed; zero: since never

	// The loop's own.
	settings *subscription.Subscription
	sender   Sender
	readAt   time.Time // of settings
	ahead    []store.Due
	atOnce   int       // how many are read ahead
	size     int       // of a body, on average
	more     bool      // the last look may not have shown all
	lookedAt time.Time // when that was
	pacedTo  time.Time // the rate allows the next attempt then
}

func newSession(d *Dispatcher, key subscription.Key) *session {
	return &session{Dispatcher: d, key: key, awake: make(chan struct{}, 1), inHand: map[string]bool{}, atOnce: firstAhead, size: 1024}
}

// signal has the loop look at what has changed.
func (s *session) signal() {
	select {
	case s.awake <- struct{}{}:
	default:
	}
}

func (s *session) poke() {
	s.mu.Lock()
	s.poked = true
	s.mu.Unlock()
	s.signal()
}

func (s *session) wasPoked() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.poked
}

func (s *session) leased() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.validUntil.IsZero()
}

func (s *session) prolong(until time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.validUntil = until
}

func (s *session) halted() bool {
	s.Dispatcher.mu.Lock()
	defer s.Dispatcher.mu.Unlock()
	return s.stopping
}

// run is a session's life. While the database is away it waits.
func (s *session) run() {
	pause := retryFirst
	for {
		err := s.deliver(s.sends)
		switch {
		case err == nil || s.halted():
			if s.leave(s) {
				return
			}
		default:
			s.o.Down(err)
			if pause == retryFirst {
				s.o.Logger.Warn("deliveries are interrupted; they go on when the database is there", "subscription", s.key.ID, "tenant", s.key.Tenant, "error", err)
			}
			s.sleep(pause)
			pause = min(2*pause, retryLast)
			continue
		}
		pause = retryFirst
	}
}

// deliver takes the lease, delivers until nothing is due, and gives it up.
func (s *session) deliver(ctx context.Context) error {
	ok, err := s.acquire(ctx)
	if err != nil || !ok {
		return err
	}
	defer s.prolong(time.Time{})
	defer s.finish()
	for {
		switch {
		case s.halted():
			return nil // Stop abandons the lease
		case !s.valid():
			s.o.Logger.Warn("lost the lease on a subscription", "subscription", s.key.ID, "tenant", s.key.Tenant)
			return nil
		}
		if err := s.look(ctx); err != nil {
			return err
		}
		wait := s.launch()
		if s.idle() {
			released, err := s.store.Release(ctx, s.key, s.id, time.Until(s.pacedTo))
			if err != nil || released {
				return err
			}
			s.more = true
			continue
		}
		s.sleep(wait)
	}
}

// acquire takes the lease; false if another worker has it, who is told, or there
// is no such subscription any more.
func (s *session) acquire(ctx context.Context) (bool, error) {
	s.mu.Lock()
	s.poked = false // whatever comes after this is not seen for certain
	s.mu.Unlock()
	until := time.Now().Add(store.Lease)
	d, err := s.store.Acquire(ctx, s.key, s.id)
	switch {
	case fault.KindOf(err) == fault.NotFound:
		return false, nil
	case err != nil:
		return false, err
	case d.Owner != s.id:
		if err := s.alarm.Tell(ctx, d.Owner, s.key); err != nil {
			s.o.Logger.Debug("the worker that delivers was not told; it looks by itself", "subscription", s.key.ID, "tenant", s.key.Tenant, "error", err)
		}
		return false, nil
	}
	s.mu.Lock()
	s.validUntil, s.failing = until, d.FailingSince
	s.mu.Unlock()
	s.pacedTo, s.more, s.readAt = time.Now().Add(d.Pause), true, time.Time{}
	return true, nil
}

func (s *session) valid() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Now().Before(s.validUntil)
}

// look reads what is due, if it may be more than is in hand. What is in hand is
// for a subscription that may have ended: that is looked at in any case.
func (s *session) look(ctx context.Context) error {
	if gone, err := s.refresh(ctx); err != nil || gone {
		return err
	}
	s.mu.Lock()
	busy := s.sending > 0 || len(s.ahead) > 0
	wanted := s.poked || s.more || busy && time.Since(s.lookedAt) > pollEvery
	if !wanted || len(s.ahead) > s.atOnce/2 || s.recording >= mostUnrecorded {
		s.mu.Unlock()
		return nil
	}
	if len(s.ahead) == 0 && s.more && !s.lookedAt.IsZero() {
		s.atOnce = min(2*s.atOnce, mostAhead)
	}
	s.poked = false
	except := make(map[string]bool, len(s.inHand))
	for id := range s.inHand {
		except[id] = true
	}
	s.mu.Unlock()

	limit := max(1, min(s.atOnce, bytesAhead/s.size))
	s.lookedAt = time.Now()
	due, err := s.store.DueFor(ctx, s.key, limit, except)
	if err != nil {
		return err
	}
	s.more = len(due) == limit
	s.mu.Lock()
	defer s.mu.Unlock()
	bytes := 0
	for i := range due {
		s.inHand[due[i].ID] = true
		bytes += len(due[i].Body)
	}
	if len(due) > 0 {
		s.size = max(256, bytes/len(due))
	}
	s.ahead = append(s.ahead, due...)
	return nil
}

// refresh reads the subscription again if that was long ago. If it is disabled or
// deleted, nothing more is sent: what is pending is canceled.
func (s *session) refresh(ctx context.Context) (gone bool, err error) {
	s.mu.Lock()
	known := !s.changed && time.Since(s.readAt) < settingsFor
	s.changed = false
	s.mu.Unlock()
	if known {
		return false, nil
	}
	readAt := time.Now()
	sub, err := s.store.Subscription(ctx, s.key)
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return false, err
	}
	if err != nil || !sub.Enabled {
		s.drop()
		for canceled := int64(1); canceled > 0; {
			if canceled, err = s.store.CancelPending(ctx, s.key); err != nil {
				return true, err
			}
		}
		s.mu.Lock()
		s.poked = false // if deliveries came after all, Release says so
		s.mu.Unlock()
		s.more = false
		return true, nil
	}
	if s.settings == nil || !sub.UpdatedAt.Equal(s.settings.UpdatedAt) {
		s.sender = s.channels.Sender(sub)
	}
	s.settings, s.readAt = sub, readAt
	return false, nil
}

// drop forgets what was read ahead.
func (s *session) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.ahead {
		delete(s.inHand, s.ahead[i].ID)
	}
	s.ahead = nil
}

// launch begins as many attempts as the limits allow, and returns when the next
// is allowed, if it is the rate that does not.
func (s *session) launch() (wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.ahead) > 0 && s.ending == 0 && !s.changed && s.sending < s.settings.MaxInFlight && s.recording < mostUnrecorded {
		now := time.Now()
		if now.After(s.validUntil) {
			return 0
		}
		interval := s.interval()
		if latest := now.Add(interval); s.pacedTo.After(latest) {
			s.pacedTo = latest // the rate was raised or lifted since
		}
		if wait := s.pacedTo.Sub(now); wait > 0 {
			return wait
		}
		if !s.slots.take(s, s.sending) {
			return 0
		}
		if earliest := now.Add(-burst); s.pacedTo.Before(earliest) {
			s.pacedTo = earliest
		}
		s.pacedTo = s.pacedTo.Add(interval)
		d, settings, sender := s.ahead[0], s.settings, s.sender
		s.ahead = s.ahead[1:]
		s.sending++
		s.running.Go(func() { s.attempt(settings, sender, &d) })
	}
	return 0
}

// interval is the time between two attempts that the rate asks for; 0 without one.
func (s *session) interval() time.Duration {
	if s.settings.Rate.N == 0 {
		return 0
	}
	return s.settings.Rate.Per / time.Duration(s.settings.Rate.N)
}

// idle says that nothing is in hand, nor known to be due.
func (s *session) idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.inHand) == 0 && !s.poked && !s.more
}

// sleep waits for a signal, for at most wait if that is not 0.
func (s *session) sleep(wait time.Duration) {
	if wait <= 0 || wait > retryLast {
		wait = pollEvery
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-s.awake:
	case <-timer.C:
	}
}

// finish waits until what was begun has ended.
func (s *session) finish() {
	s.drop()
	for {
		s.mu.Lock()
		left := s.sending + s.recording
		s.mu.Unlock()
		if left == 0 {
			return
		}
		s.sleep(0)
	}
}
