package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/waybill-dev/waybill/bench/rig"
)

// Memory that Waybill's processes may take, in MiB.
const (
	idleMemory = 60
	loadMemory = 200
)

// settle is how long a system that has just started is left alone.
const settle = 3 * time.Second

// startWaybill starts an api and a worker on an empty Redis and an empty
// database.
func (b *bench) startWaybill(ctx context.Context) (api, worker *rig.Process, database string, err error) {
	if err := b.Flush(ctx); err != nil {
		return nil, nil, "", err
	}
	if database, err = b.NewDatabase(ctx); err != nil {
		return nil, nil, "", err
	}
	if api, err = b.StartAPI(ctx, database); err != nil {
		return nil, nil, "", err
	}
	worker, err = b.StartWorker(ctx, database)
	return api, worker, database, err
}

// measureIdle counts what an api and a worker with nothing to do ask of Redis,
// scraped every five seconds, and weighs them.
func (b *bench) measureIdle(ctx context.Context) error {
	api, worker, _, err := b.startWaybill(ctx)
	defer func() { stopAll(api, worker) }()
	if err != nil {
		return err
	}
	if err := rig.Wait(ctx, settle); err != nil {
		return err
	}
	meter, begin := b.Meter(api, worker), time.Now()
	before, err := b.Commands(ctx)
	if err != nil {
		return err
	}
	if err := scrapeFor(ctx, b.idle, api, worker); err != nil {
		return err
	}
	after, err := b.Commands(ctx)
	if err != nil {
		return err
	}
	took := time.Since(begin).Seconds()
	const ours = 1 // the first INFO
	b.report.add("commands to Redis", (after.Total-before.Total-ours)/took, "/s", atMost(40),
		"within scripts too: %s", since(before, after, took))
	usage := meter.Read()
	b.report.add("cpu of api and worker", usage[rig.API]+usage[rig.Worker], "cores", nil, "%s", b.describe([]rig.Usage{usage}))
	for _, p := range []*rig.Process{api, worker} {
		now, _, err := p.Memory()
		if err != nil {
			return err
		}
		b.report.add(p.Name+" resident", now, "MiB", atMost(idleMemory), "")
	}
	return nil
}

// since lists how often each command ran in a second.
func since(before, after rig.Commands, seconds float64) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(after.ByName)) {
		if n := after.ByName[name] - before.ByName[name]; n > 0 && name != "info" {
			parts = append(parts, fmt.Sprintf("%s %.2f", name, n/seconds))
		}
	}
	return strings.Join(parts, ", ")
}
