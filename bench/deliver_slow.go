package main

import (
	"context"
	"fmt"
	"time"

	"github.com/waybill-dev/waybill/bench/load"
)

const (
	slowAnswer   = 200 * time.Millisecond
	slowWrites   = 1000
	slowInFlight = 10
	hanging      = 10
	besideEvery  = 40 * time.Millisecond // between two writes
)

// measureDeliverSlow measures what slow receivers cost: themselves, and others.
func (b *bench) measureDeliverSlow(ctx context.Context) error {
	s, err := b.startService(ctx)
	defer s.stop()
	if err != nil {
		return err
	}
	if err := b.slowReceiver(ctx, &s); err != nil {
		return err
	}
	return b.besideHanging(ctx, &s)
}

// slowReceiver: the limit is used all the time.
func (b *bench) slowReceiver(ctx context.Context, s *service) error {
	h, err := s.subscribe(ctx, "slow", slowAnswer.String(), slowInFlight)
	if err != nil {
		return err
	}
	begin := time.Now()
	if err := s.writeBulk(ctx, slowWrites); err != nil {
		return err
	}
	seen, err := h.all(ctx, slowWrites, slowAnswer)
	if err != nil {
		return err
	}
	if seen.Most != slowInFlight {
		return fmt.Errorf("%d requests at once, not %d", seen.Most, slowInFlight)
	}
	took, least := time.Unix(0, seen.Answered).Sub(begin), slowWrites/slowInFlight*slowAnswer
	b.report.add("a receiver that takes 200 ms: time : least time", took.Seconds()/least.Seconds(), "", atMost(1.3),
		"%d writes, %d at a time: POST → last answer in %v, %v is the least", slowWrites, slowInFlight, took.Round(time.Millisecond), least)
	return h.remove(ctx)
}

// besideHanging: a receiver beside ten that never answer gets its events as soon
// as alone.
func (b *bench) besideHanging(ctx context.Context, s *service) error {
	h, err := s.subscribe(ctx, "healthy", "0s", 0)
	if err != nil {
		return err
	}
	n := int(b.deliverFor / besideEvery)
	if _, err := b.healthy(ctx, h, n/10); err != nil {
		return err
	}
	alone, err := b.healthy(ctx, h, n/2)
	if err != nil {
		return err
	}
	others := make([]*hook, hanging)
	for i := range others {
		if others[i], err = s.subscribe(ctx, fmt.Sprintf("hanging-%d", i), "never", 0); err != nil {
			return err
		}
	}
	beside, err := b.healthy(ctx, h, n)
	if err != nil {
		return err
	}
	for _, other := range others {
		seen, err := other.seen(ctx)
		if err != nil {
			return err
		}
		if seen.Most < slowInFlight { // more if it was slow to notice who hung up
			return fmt.Errorf("%s has had %d requests at once, not %d", other.box, seen.Most, slowInFlight)
		}
		if err := other.remove(ctx); err != nil {
			return err
		}
	}
	after, err := b.healthy(ctx, h, n/2)
	if err != nil {
		return err
	}
	without, with := load.NewLatencies(append(alone, after...)...), load.NewLatencies(beside...)
	b.report.add("alone: POST → webhook p95", ms(without.Quantile(0.95)), "ms", nil, "25 writes a second, half before and half after; p50 %v", without.Quantile(0.5))
	b.report.add("beside ten that hang: POST → webhook p95", ms(with.Quantile(0.95)), "ms", nil, "25 writes a second to all; p50 %v", with.Quantile(0.5))
	b.report.add("beside : alone, p95", float64(with.Quantile(0.95))/float64(without.Quantile(0.95)), "", atMost(2), "")
	return nil
}

// healthy makes n writes and returns how soon they were at the receiver.
func (b *bench) healthy(ctx context.Context, h *hook, n int) ([]time.Duration, error) {
	sent, err := paced(ctx, h.api.Addr, besideEvery, n)
	if err != nil {
		return nil, err
	}
	took, err := h.since(ctx, sent)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(b.log, "  p95 %v\n", load.NewLatencies(took...).Quantile(0.95))
	return took, h.forget(ctx)
}
