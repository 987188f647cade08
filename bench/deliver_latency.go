package main

import (
	"context"
	"time"

	"github.com/waybill-dev/waybill/bench/load"
	"github.com/waybill-dev/waybill/bench/rig"
)

const deliverEvery = 20 * time.Millisecond // between two writes

// measureDeliverLatency writes 50 records a second, and measures how soon each is
// at the webhook.
func (b *bench) measureDeliverLatency(ctx context.Context) error {
	s, err := b.startService(ctx)
	defer s.stop()
	if err != nil {
		return err
	}
	h, err := s.subscribe(ctx, "latency", "0s", 0)
	if err != nil {
		return err
	}
	warm, err := paced(ctx, s.api.Addr, deliverEvery, 2*latencyWarm)
	if err != nil {
		return err
	}
	if _, err := h.since(ctx, warm); err != nil {
		return err
	}
	if err := h.forget(ctx); err != nil {
		return err
	}
	n := int(b.deliverFor / deliverEvery)
	defer b.profiles(ctx, b.deliverFor, s.api, s.worker)()
	meter := b.Meter(s.api, s.worker, s.receiver)
	sent, err := paced(ctx, s.api.Addr, deliverEvery, n)
	if err != nil {
		return err
	}
	usage := b.describe([]rig.Usage{meter.Read()})
	took, err := h.since(ctx, sent)
	if err != nil {
		return err
	}
	l := load.NewLatencies(took...)
	b.report.add("POST → webhook p50", ms(l.Quantile(0.50)), "ms", atMost(8), "50 writes a second, %d in all; %s", n, usage)
	b.report.add("POST → webhook p95", ms(l.Quantile(0.95)), "ms", atMost(20), "")
	b.report.add("POST → webhook p99", ms(l.Quantile(0.99)), "ms", nil, "at most %v", l.Quantile(1))
	return nil
}
