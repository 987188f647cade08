package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/waybill-dev/waybill/bench/load"
	"github.com/waybill-dev/waybill/bench/rig"
)

const (
	storeWarm   = 3 * time.Second // until the backlog stands at its bound
	lookEvery   = 10 * time.Millisecond
	drainWithin = 2 * time.Minute
)

// system accepts and stores: Waybill, or the baseline.
type system struct {
	name    string
	queue   string // of asynq
	backlog int    // tasks waiting at which the load is held back
	start   func(ctx context.Context) (api, worker *rig.Process, database string, err error)
	tables  tables
}

// sustained is what came out of one run.
type sustained struct {
	rate     float64 // rows stored a second, in the window
	slowest  float64 // the same in the slowest tenth of it
	accepted int     // and stored, every one
	backlog  float64 // tasks waiting, median over the window's second half
	earlier  float64 // the same over its first half
	memory   map[string]float64
	usage    rig.Usage
}

// measureStore compares how many writes are accepted and stored a second, at the
// highest load that leaves the backlog as it is.
func (b *bench) measureStore(ctx context.Context) error {
	flags, tried, err := b.tuneStore(ctx)
	if err != nil {
		return err
	}
	baseline := b.baseline(flags)
	before, err := b.sustain(ctx, baseline, b.duration/2)
	if err != nil {
		return err
	}
	waybill, err := b.sustain(ctx, b.waybill(), b.duration)
	if err != nil {
		return err
	}
	after, err := b.sustain(ctx, baseline, b.duration/2)
	if err != nil {
		return err
	}
	best := before
	if after.rate > best.rate {
		best = after
	}
	b.reportStored("waybill", waybill, fmt.Sprintf("%v; %d accepted, as many stored", b.duration, waybill.accepted))
	b.reportStored("a task and an INSERT a write", best, fmt.Sprintf("the better of %.0f/s before and %.0f/s after; tried %s", before.rate, after.rate, tried))
	b.report.add("waybill : a task and an INSERT a write", waybill.rate/best.rate, "", atLeast(3), "%d connections", b.connections)
	for _, name := range []string{rig.API, rig.Worker} {
		b.report.add(name+" resident at most", waybill.memory[name], "MiB", atMost(loadMemory), "")
	}
	return nil
}

func (b *bench) reportStored(name string, s *sustained, note string) {
	b.report.add(name, s.rate, "/s", nil, "%s; %s", note, b.describe([]rig.Usage{s.usage}))
	total := -s.usage[rig.Elsewhere]
	for _, cores := range s.usage {
		total += cores
	}
	b.report.add(name+" cpu", total/s.rate*1e6, "µs a write", nil, "of all processes, servers and load too")
	b.report.add(name+", slowest tenth", s.slowest, "/s", nil, "backlog %.0f tasks in the first half, %.0f in the second", s.earlier, s.backlog)
}

func (b *bench) waybill() *system {
	return &system{name: "waybill", queue: "writes", backlog: 24, start: b.startWaybill, tables: waybillTables}
}

// baseline is the baseline with these flags for its worker.
func (b *bench) baseline(flags []string) *system {
	return &system{
		name: "a task and an INSERT a write", queue: "baseline", backlog: 1000, tables: baselineTables,
		start: func(ctx context.Context) (api, worker *rig.Process, database string, err error) {
			if err := b.Flush(ctx); err != nil {
				return nil, nil, "", err
			}
			if database, err = b.NewDatabase(ctx); err != nil {
				return nil, nil, "", err
			}
			if api, err = b.StartBaseline(ctx, "enqueue", ""); err != nil {
				return nil, nil, "", err
			}
			worker, err = b.StartBaseline(ctx, "worker", database, flags...)
			return api, worker, database, err
		},
	}
}

// tuneStore tries settings of the baseline's worker, and returns the flags of
// the fastest, with what was tried.
func (b *bench) tuneStore(ctx context.Context) (flags []string, tried string, err error) {
	candidates := [][]string{
		{"-servers=1", "-concurrency=10", "-check=20ms"},
		{"-servers=1", "-concurrency=32", "-check=5ms"},
		{"-servers=1", "-concurrency=64", "-check=1ms"},
		{"-servers=2", "-concurrency=16", "-check=5ms"},
		{"-servers=4", "-concurrency=10", "-check=5ms"},
		{"-servers=4", "-concurrency=32", "-check=1ms"},
	}
	return b.tuneOver(candidates, func(flags []string) (float64, error) {
		s, err := b.sustain(ctx, b.baseline(flags), b.tune)
		if err != nil {
			return 0, err
		}
		return s.rate, nil
	})
}

// sustain loads a system for d with as much as it can store, and checks that
// every write that was accepted is stored.
func (b *bench) sustain(ctx context.Context, s *system, d time.Duration) (*sustained, error) {
	api, worker, database, err := s.start(ctx)
	defer func() { stopAll(api, worker) }()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	watching, stop := context.WithCancel(ctx)
	defer stop()
	gate, watched := &load.Gate{}, make(chan []sample, 1)
	go func() { watched <- b.holdBack(watching, s, gate) }()
	if api.OpsAddr != "" {
		defer b.profiles(ctx, min(d, 20*time.Second), api, worker)()
	}
	meter := b.Meter(api, worker)
	result, err := load.Run(ctx, load.Options{
		Addr: api.Addr, Path: path, Body: body, Connections: b.connections, Warm: storeWarm, Duration: d, Gate: gate,
	})
	usage := meter.Read()
	stop()
	samples := <-watched
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", s.name, err, api.Warnings())
	}
	if err := b.drained(ctx, s.queue); err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", s.name, err, worker.Warnings())
	}
	out := &sustained{accepted: result.Accepted, usage: usage, memory: map[string]float64{}}
	for _, p := range []*rig.Process{api, worker} {
		if _, out.memory[p.Name], err = p.Memory(); err != nil {
			return nil, err
		}
	}
	middle := result.From.Add(d / 2)
	out.earlier, out.backlog = waitingBetween(samples, result.From, middle), waitingBetween(samples, middle, result.From.Add(d))
	out.rate, out.slowest, err = s.tables.count(ctx, database, result.Accepted, result.From, d)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	fmt.Fprintf(b.log, "  %s: %.0f stored/s\n", s.name, out.rate)
	return out, nil
}

// sample is the backlog at one time.
type sample struct {
	at      time.Time
	waiting int
}

// holdBack closes the gate while the backlog stands above its bound, until ctx
// ends, and returns what it saw.
func (b *bench) holdBack(ctx context.Context, s *system, gate *load.Gate) (samples []sample) {
	defer gate.Open()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return samples
		case <-tick.C:
		}
		waiting, err := b.Waiting(ctx, s.queue)
		if err != nil {
			continue // ctx has ended, or the load's own errors tell
		}
		samples = append(samples, sample{time.Now(), waiting})
		if waiting >= s.backlog {
			gate.Close()
		} else {
			gate.Open()
		}
	}
}

// waitingBetween is the median backlog of a time.
func waitingBetween(samples []sample, from, to time.Time) float64 {
	values := []float64{0}
	for _, s := range samples {
		if s.at.After(from) && s.at.Before(to) {
			values = append(values, float64(s.waiting))
		}
	}
	return median(values)
}

// drained returns when no task is left. One that was archived is an error.
func (b *bench) drained(ctx context.Context, queue string) error {
	ctx, cancel := context.WithTimeout(ctx, drainWithin)
	defer cancel()
	for {
		depth, err := b.Depth(ctx, queue)
		switch {
		case err != nil:
			return err
		case depth.Dead > 0:
			return fmt.Errorf("%d tasks were archived", depth.Dead)
		case depth == rig.Depth{}:
			return nil
		}
		if err := rig.Wait(ctx, lookEvery); err != nil {
			return errors.Join(fmt.Errorf("tasks are left: %+v", depth), err)
		}
	}
}
