package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/waybill-dev/waybill/bench/rig"
	"github.com/waybill-dev/waybill/internal/queue"
	"github.com/waybill-dev/waybill/internal/record"
)

const (
	scrapeOperations = 1_000_000 // queued
	scrapeBatch      = 50        // operations a task
	scrapeLimit      = 50        // ms
	scrapeEvery      = time.Second
)

// measureScrape times /metrics of an api with a million operations queued, which
// nobody works on, and a million deliveries kept.
func (b *bench) measureScrape(ctx context.Context) (err error) {
	if err := b.Flush(ctx); err != nil {
		return err
	}
	h := &history{deliveries: growthMany}
	defer func() { err = errors.Join(err, h.close()) }()
	begin := time.Now()
	if err := b.fill(ctx, h); err != nil {
		return err
	}
	if err := b.fillQueue(ctx); err != nil {
		return err
	}
	fmt.Fprintf(b.log, "  %d operations queued and %d deliveries made in %v\n", scrapeOperations, h.deliveries, time.Since(begin).Round(time.Second))
	var took []float64
	var text string
	for repeat := range b.repeats + 2 {
		begin := time.Now()
		if text, err = scrape(ctx, h.api); err != nil {
			return err
		}
		if repeat >= 2 { // what came before was to warm up
			took = append(took, ms(time.Since(begin)))
		}
		if err := rig.Wait(ctx, scrapeEvery); err != nil {
			return err
		}
	}
	note := fmt.Sprintf("of %d scrapes, one a second; %d lines", len(took), strings.Count(text, "\n"))
	b.report.add("a scrape, median", median(took), "ms", atMost(scrapeLimit), "%s", note)
	b.report.add("a scrape, at most", slices.Max(took), "ms", atMost(scrapeLimit), "%s", note)
	for _, name := range []string{"waybill_backlog_operations", "waybill_deliveries_pending"} {
		value, err := metric(text, name)
		if err != nil {
			return err
		}
		b.report.add(name, value, "", nil, "as shown")
	}
	return nil
}

// fillQueue enqueues as an api does.
func (b *bench) fillQueue(ctx context.Context) error {
	rc, err := queue.Connect(b.Redis.URL())
	if err != nil {
		return err
	}
	defer func() { _ = rc.Close() }()
	client := queue.NewClient(rc)
	defer func() { _ = client.Close() }()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(32)
	now := time.Now().UnixMicro()
	for n := range int64(scrapeOperations / scrapeBatch) {
		group.Go(func() error {
			operations := make([]record.Operation, scrapeBatch)
			for i := range operations {
				id := record.NewID(now+n, uint64(n), i)
				operations[i] = record.Operation{ID: id, Key: record.Key{Tenant: record.DefaultTenant, Collection: "messages", ID: id}, Action: record.Create, Body: body}
			}
			task, err := queue.ApplyTask(operations[0].ID, operations, record.Trace{})
			if err != nil {
				return err
			}
			return client.Enqueue(ctx, task)
		})
	}
	return group.Wait()
}

// scrape returns what a process shows at /metrics.
func scrape(ctx context.Context, p *rig.Process) (text string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.OpsAddr+"/metrics", nil)
	if err != nil {
		return "", err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, answer.Body.Close()) }()
	if answer.StatusCode != http.StatusOK {
		return "", fmt.Errorf("/metrics answered %s", answer.Status)
	}
	all, err := io.ReadAll(answer.Body)
	return string(all), err
}

// metric returns the value of a series without labels.
func metric(text, name string) (float64, error) {
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strconv.ParseFloat(strings.TrimSpace(value), 64)
		}
	}
	return 0, fmt.Errorf("/metrics shows no %s", name)
}

// scrapeFor does as a Prometheus that scrapes often, for d.
func scrapeFor(ctx context.Context, d time.Duration, processes ...*rig.Process) error {
	const every = 5 * time.Second
	for end := time.Now().Add(d); time.Now().Before(end); {
		for _, p := range processes {
			if _, err := scrape(ctx, p); err != nil {
				return err
			}
		}
		if err := rig.Wait(ctx, min(every, time.Until(end))); err != nil {
			return err
		}
	}
	return nil
}
