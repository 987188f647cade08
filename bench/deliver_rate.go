package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/waybill-dev/waybill/bench/rig"
)

const (
	rateRounds   = 3
	rateInFlight = 64
	rateWarm     = 2000 // deliveries that are not counted
)

// measureDeliverRate compares how fast Waybill stores writes and delivers them, to
// one receiver that answers at once, with a client that does nothing but post the
// same bodies one after another.
func (b *bench) measureDeliverRate(ctx context.Context) error {
	s, err := b.startService(ctx)
	defer s.stop()
	if err != nil {
		return err
	}
	h, err := s.subscribe(ctx, "rate", "0s", rateInFlight)
	if err != nil {
		return err
	}
	if _, err := h.rate(ctx, rateWarm); err != nil {
		return err
	}
	defer b.profiles(ctx, 20*time.Second, s.api, s.worker)()
	var rates, bares, ratios []float64
	var usage []rig.Usage
	from := time.Now()
	for round := range rateRounds {
		meter := b.Meter(s.api, s.worker, s.receiver)
		rate, err := h.rate(ctx, b.deliveries)
		if err != nil {
			return err
		}
		usage = append(usage, meter.Read())
		bare, err := h.bare(ctx, b.deliveries)
		if err != nil {
			return err
		}
		rates, bares, ratios = append(rates, rate), append(bares, bare), append(ratios, rate/bare)
		fmt.Fprintf(b.log, "  round %d: waybill %.0f/s, bare client %.0f/s\n", round+1, rate, bare)
	}
	until := time.Now()
	replayed, err := h.replayRate(ctx, from, until, rateRounds*b.deliveries)
	if err != nil {
		return err
	}
	if err := call(ctx, http.MethodPatch, h.at(""), "application/json", []byte(`{"max_in_flight":10}`), nil); err != nil {
		return err
	}
	few, err := h.rate(ctx, b.deliveries)
	if err != nil {
		return err
	}
	note := fmt.Sprintf("median of %d rounds of %d; first to last event, while they are being stored", rateRounds, b.deliveries)
	b.report.add("waybill", median(rates), "/s", atLeast(2500), "max_in_flight %d; %s; %s", rateInFlight, note, b.describe(usage))
	b.report.add("bare client", median(bares), "/s", nil, "one connection, one request after another")
	b.report.add("waybill : bare client", median(ratios), "", atLeast(0.5), "rounds alternate")
	b.report.add("waybill, backlog", replayed, "/s", nil, "a replay of all %d; nothing to store", rateRounds*b.deliveries)
	b.report.add("waybill, max_in_flight 10", few, "/s", nil, "the default; one round")
	return nil
}

// rate writes n records and returns how many of them came a second.
func (h *hook) rate(ctx context.Context, n int) (float64, error) {
	if err := h.writeBulk(ctx, n); err != nil {
		return 0, err
	}
	return h.came(ctx, n)
}

// came returns how many events a second came, when n have, and forgets them.
func (h *hook) came(ctx context.Context, n int) (float64, error) {
	s, err := h.all(ctx, n, 0)
	if err != nil {
		return 0, err
	}
	return float64(n) / s.took().Seconds(), h.forget(ctx)
}

// replayRate has all n events of a time delivered again.
func (h *hook) replayRate(ctx context.Context, from, until time.Time, n int) (float64, error) {
	var answer struct{ Count int }
	text := fmt.Appendf(nil, `{"since":%q,"until":%q,"status":"all"}`, from.UTC().Format(time.RFC3339Nano), until.UTC().Format(time.RFC3339Nano))
	if err := call(ctx, http.MethodPost, h.at("/replay"), "application/json", text, &answer); err != nil {
		return 0, err
	}
	if answer.Count != n {
		return 0, fmt.Errorf("%d deliveries were replayed, not %d", answer.Count, n)
	}
	return h.came(ctx, n)
}

// bare posts n events like Waybill's, signed, on one connection.
func (h *hook) bare(ctx context.Context, n int) (rate float64, err error) {
	signer, err := standardwebhooks.NewWebhook(h.Secret)
	if err != nil {
		return 0, err
	}
	other := *h
	other.box = "bare"
	transport := &http.Transport{DisableCompression: true}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	for i := range n {
		id := fmt.Sprintf("01900000-0000-7000-8000-%012x", i)
		event := fmt.Appendf(nil, `{"type":"messages.created","timestamp":"2026-01-01T00:00:00.000000Z","data":{"id":%q,"version":1,`+
			`"created_at":"2026-01-01T00:00:00.000000Z","updated_at":"2026-01-01T00:00:00.000000Z",%s,"operation":%q,"tenant":"default"}`, id, body[1:], id)
		if err := post(ctx, client, signer, other.url("0s"), id, event); err != nil {
			return 0, err
		}
	}
	return other.came(ctx, n)
}

func post(ctx context.Context, client *http.Client, signer *standardwebhooks.Webhook, url, id string, event []byte) (err error) {
	now := time.Now()
	signature, err := signer.Sign(id, now, event)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(event))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Webhook-Id", id)
	request.Header.Set("Webhook-Timestamp", strconv.FormatInt(now.Unix(), 10))
	request.Header.Set("Webhook-Signature", signature)
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, answer.Body.Close()) }()
	if answer.StatusCode != http.StatusNoContent {
		return fmt.Errorf("answered %s", answer.Status)
	}
	_, err = io.Copy(io.Discard, answer.Body)
	return err
}
