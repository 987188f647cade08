package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/waybill-dev/waybill/bench/load"
	"github.com/waybill-dev/waybill/bench/rig"
)

const (
	spacing     = 20 * time.Millisecond // between two writes
	latencyWarm = 25                    // writes that are not counted
	waitStored  = "wait=5"
	latencyNote = "one write at a time, idle system"
)

// measureLatency writes one record at a time on an idle system, and measures how
// soon it is stored: by the client, who asks for the outcome, and by the
// operation's own times.
func (b *bench) measureLatency(ctx context.Context) error {
	api, worker, _, err := b.startWaybill(ctx)
	defer func() { stopAll(api, worker) }()
	if err != nil {
		return err
	}
	client, err := load.Dial(ctx, api.Addr)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	if _, _, err := oneByOne(ctx, client, latencyWarm, waitStored); err != nil {
		return err
	}
	meter := b.Meter(api, worker)
	stored, operations, err := oneByOne(ctx, client, b.writes, waitStored)
	if err != nil {
		return err
	}
	usage := b.describe([]rig.Usage{meter.Read()})
	accepted, _, err := oneByOne(ctx, client, max(1, b.writes/4), "")
	if err != nil {
		return err
	}
	own, err := storedAfter(ctx, api.Addr, operations)
	if err != nil {
		return err
	}
	p50, p99 := atMost(5), atMost(25)
	b.report.addLatencies("accepted → stored, by the operation", load.NewLatencies(own...), p50, p99, latencyNote)
	b.report.addLatencies("POST → 201, by the client", load.NewLatencies(stored...), p50, p99, latencyNote+"; "+usage)
	b.report.addLatencies("POST → 202, by the client", load.NewLatencies(accepted...), nil, nil, "")
	return nil
}

// oneByOne makes n writes, and returns how long each took to be answered and
// where its operation is. With prefer the answer is the record, without it 202.
func oneByOne(ctx context.Context, client *load.Client, n int, prefer string) (took []time.Duration, operations []string, err error) {
	want, address := http.StatusAccepted, func(a *load.Answer) string { return a.Header.Get("Location") }
	if prefer != "" {
		want, address = http.StatusCreated, func(a *load.Answer) string { return "/api/operations/" + a.Header.Get("Waybill-Operation") }
	}
	tick := time.NewTicker(spacing)
	defer tick.Stop()
	for range n {
		select {
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		case <-tick.C:
		}
		begin := time.Now()
		answer, err := client.Post(path, body, prefer)
		took = append(took, time.Since(begin))
		if err != nil {
			return nil, nil, err
		}
		if answer.Status != want {
			return nil, nil, fmt.Errorf("answered %d, not %d: %s", answer.Status, want, answer.Body)
		}
		operations = append(operations, address(answer))
	}
	return took, operations, nil
}

// storedAfter asks for the operations, and returns stored_at - accepted_at of each.
func storedAfter(ctx context.Context, addr string, operations []string) ([]time.Duration, error) {
	took := make([]time.Duration, 0, len(operations))
	for _, path := range operations {
		var op struct {
			Status     string     `json:"status"`
			AcceptedAt time.Time  `json:"accepted_at"`
			StoredAt   *time.Time `json:"stored_at"`
		}
		if err := getJSON(ctx, "http://"+addr+path, &op); err != nil {
			return nil, err
		}
		if op.Status != "done" || op.StoredAt == nil {
			return nil, fmt.Errorf("%s: %+v is not stored", path, op)
		}
		took = append(took, op.StoredAt.Sub(op.AcceptedAt))
	}
	return took, nil
}

func getJSON(ctx context.Context, url string, v any) (err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, answer.Body.Close()) }()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s answered %s", url, answer.Status)
	}
	return json.NewDecoder(answer.Body).Decode(v)
}
