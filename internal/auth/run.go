package auth

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"time"
)

const (
	pollEvery  = time.Second
	flushEvery = 30 * time.Second
)

// Run asks for the version of identities and notes when keys were used, until ctx
// ends. What is over is purged by maintain.
func (s *Service) Run(ctx context.Context) {
	var all sync.WaitGroup
	all.Go(func() {
		failing := false
		every(ctx, pollEvery, func() {
			err := s.poll(ctx)
			if err != nil && ctx.Err() == nil {
				s.o.Down(err)
				if !failing { // an outage is told once
					s.warn(ctx, "identities are not polled", err)
				}
			}
			failing = err != nil
		})
	})
	all.Go(func() {
		every(ctx, flushEvery, func() { s.flush(ctx) })
		s.flush(context.WithoutCancel(ctx))
	})
	all.Wait()
}

// every calls f now and then again, until ctx ends.
func every(ctx context.Context, d time.Duration, f func()) {
	tick := time.NewTicker(d)
	defer tick.Stop()
	for ctx.Err() == nil {
		f()
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// changed makes what was taken from somebody count here at once, and not at the
// next poll.
func (s *Service) changed(ctx context.Context) {
	s.warn(ctx, "a change of identities counts from the next poll on", s.poll(ctx))
}

func (s *Service) warn(ctx context.Context, message string, err error) {
	if err != nil && ctx.Err() == nil {
		s.log.WarnContext(ctx, message, slog.Any("error", err)) //nolint:sloglint // the callers' messages are static
	}
}

// note remembers that e's key was used, at most once between two flushes.
func (s *Service) note(e *entry, now time.Time) {
	stamp := s.cache.stamp(now) + 1 // 0 is never
	last := e.noted.Load()
	if last != 0 && stamp-last < int64(flushEvery) || !e.noted.CompareAndSwap(last, stamp) {
		return
	}
	s.used.Lock()
	defer s.used.Unlock()
	s.used.at[e.principal.Key] = now
}

// flush writes down when keys were used. What cannot be written waits for the next.
func (s *Service) flush(ctx context.Context) {
	s.used.Lock()
	used := s.used.at
	s.used.at = map[string]time.Time{}
	s.used.Unlock()
	if len(used) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	err := s.store.KeysUsed(ctx, used)
	if err == nil {
		return
	}
	s.warn(ctx, "the use of keys is not noted yet", err)
	s.used.Lock()
	defer s.used.Unlock()
	maps.Copy(used, s.used.at) // what came meanwhile is newer
	s.used.at = used
}
