package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/waybill-dev/waybill/bench/load"
	"github.com/waybill-dev/waybill/bench/rig"
)

// warmUp is the load before a round that is not counted.
const warmUp = 500 * time.Millisecond

// contender is one of the APIs that accept writes, and its rounds.
type contender struct {
	name      string
	process   *rig.Process
	rates     []float64
	latencies load.Latencies
	usage     []rig.Usage
}

// cost is the CPU time, in µs, that the process takes for a write: the figure that
// a machine busy with other things changes least.
func (c *contender) cost() float64 {
	costs := make([]float64, len(c.rates))
	for i, rate := range c.rates {
		costs[i] = c.usage[i][c.process.Name] / rate * 1e6
	}
	return median(costs)
}

// measureAccept compares how fast writes are accepted: by Waybill, by the same
// handler that enqueues nothing, and by the same with a task a write, both with
// the usual client and with go-redis's experimental pipelining. No worker runs;
// what is accepted is thrown away after each round.
func (b *bench) measureAccept(ctx context.Context) error {
	enqueueFlags, tried, err := b.tuneEnqueue(ctx)
	if err != nil {
		return err
	}
	database, err := b.NewDatabase(ctx)
	if err != nil {
		return err
	}
	all := []*contender{{name: "waybill"}, {name: "bare handler"}, {name: "a task a write"}, {name: "the same, pipelined"}}
	defer func() {
		for _, c := range all {
			stopAll(c.process)
		}
	}()
	if all[0].process, err = b.StartAPI(ctx, database); err != nil {
		return err
	}
	for i, start := range [][]string{{"bare"}, append([]string{"enqueue"}, enqueueFlags...), {"enqueue", "-pool=20", "-pipeline"}} {
		if all[i+1].process, err = b.StartBaseline(ctx, start[0], "", start[1:]...); err != nil {
			return err
		}
	}
	if err := sameAnswers(ctx, all); err != nil {
		return err
	}
	defer b.profiles(ctx, time.Duration(b.rounds)*b.round, all[0].process)()
	for round := range b.rounds {
		for _, c := range all {
			if err := b.acceptRound(ctx, c); err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			fmt.Fprintf(b.log, "  round %d: %s %.0f/s\n", round+1, c.name, c.rates[round])
		}
	}
	b.reportAccept(all, tried)
	return nil
}

// acceptRound adds one round to c.
func (b *bench) acceptRound(ctx context.Context, c *contender) error {
	meter := b.Meter(c.process)
	result, err := load.Run(ctx, load.Options{
		Addr: c.process.Addr, Path: path, Body: body, Connections: b.connections, Warm: warmUp, Duration: b.round,
	})
	if err != nil {
		return err
	}
	c.usage = append(c.usage, meter.Read())
	c.rates = append(c.rates, result.Rate())
	c.latencies = append(c.latencies, result.Latencies...)
	return b.Flush(ctx)
}

// reportAccept reports the contenders, in measureAccept's order.
func (b *bench) reportAccept(all []*contender, tried string) {
	waybill, bare, each, pipelined := all[0], all[1], all[2], all[3]
	overRounds := func(other *contender) (ratio float64) {
		ratios := make([]float64, len(waybill.rates))
		for i := range ratios {
			ratios[i] = waybill.rates[i] / other.rates[i] // measured one after the other: what else the machine did weighs on both
		}
		return median(ratios)
	}
	for _, c := range all {
		slices.Sort(c.latencies)
		note := b.describe(c.usage)
		if c == each {
			note += "; tried " + tried
		}
		b.report.add(c.name, median(c.rates), "/s", nil, "%s", note)
		b.report.addLatencies(c.name, c.latencies, nil, nil, "")
		b.report.add(c.name+" cpu", c.cost(), "µs a write", nil, "of its process alone")
	}
	note := fmt.Sprintf("median of %d rounds, %d connections", b.rounds, b.connections)
	b.report.add("waybill : bare handler", overRounds(bare), "", atLeast(0.60), "%s", note)
	b.report.add("waybill : a task a write", overRounds(each), "", atLeast(1.5), "%s", note)
	b.report.add("waybill : "+pipelined.name, overRounds(pipelined), "", atLeast(1.5), "%s", note)
}

// tuneEnqueue tries sizes of the baseline's pool, and returns the flags of
// the fastest, with what was tried.
func (b *bench) tuneEnqueue(ctx context.Context) (flags []string, tried string, err error) {
	candidates := [][]string{
		{"-pool=20"}, {"-pool=64"}, {"-pool=128"},
	}
	return b.tuneOver(candidates, func(flags []string) (float64, error) {
		p, err := b.StartBaseline(ctx, "enqueue", "", flags...)
		if err != nil {
			return 0, err
		}
		c := &contender{name: "a task a write", process: p}
		err = b.acceptRound(ctx, c)
		if err = errors.Join(err, p.Stop()); err != nil {
			return 0, err
		}
		return c.rates[0], nil
	})
}

// tuneOver measures each candidate once, and returns the best with what was
// tried and what came out.
func (b *bench) tuneOver(candidates [][]string, measure func(flags []string) (float64, error)) (best []string, tried string, err error) {
	most := 0.0
	var all []string
	for _, flags := range candidates {
		rate, err := measure(flags)
		if err != nil {
			return nil, "", fmt.Errorf("baseline with %v: %w", flags, err)
		}
		text := fmt.Sprintf("%s %.0f/s", strings.Join(flags, " "), rate)
		fmt.Fprintf(b.log, "  tuning the baseline: %s\n", text)
		all = append(all, text)
		if rate > most {
			best, most = flags, rate
		}
	}
	return best, strings.Join(all, ", "), nil
}

// describe says who used the CPUs, as medians of rounds, and has the report
// remember if it was somebody else.
func (b *bench) describe(rounds []rig.Usage) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(rounds[0])) {
		cores := make([]float64, len(rounds))
		for i, u := range rounds {
			cores[i] = u[name]
		}
		m := median(cores)
		if name == rig.Elsewhere {
			b.report.elsewhere = max(b.report.elsewhere, m)
		}
		if m >= 0.005 {
			parts = append(parts, fmt.Sprintf("%s %.2f", name, m))
		}
	}
	return "cores: " + strings.Join(parts, ", ")
}

// sameAnswers checks that all contenders give the first one's answer.
func sameAnswers(ctx context.Context, all []*contender) error {
	var want string
	for _, c := range all {
		client, err := load.Dial(ctx, c.process.Addr)
		if err != nil {
			return err
		}
		answer, err := client.Post(path, body, "")
		if err := errors.Join(err, client.Close()); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		got, err := outline(answer)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		if want == "" {
			want = got
		}
		if got != want {
			return fmt.Errorf("%s answers\n%s\nnot\n%s", c.name, got, want)
		}
	}
	return nil
}

// outline is an answer to an accepted write, without what differs each time.
func outline(a *load.Answer) (string, error) {
	var operation struct {
		ID         string `json:"id"`
		AcceptedAt string `json:"accepted_at"`
	}
	if err := json.Unmarshal(a.Body, &operation); err != nil {
		return "", fmt.Errorf("answered %d: %s", a.Status, a.Body)
	}
	if a.Status != http.StatusAccepted || len(operation.ID) != 36 || operation.AcceptedAt == "" {
		return "", fmt.Errorf("answered %d: %s", a.Status, a.Body)
	}
	var text strings.Builder
	fmt.Fprintln(&text, a.Status)
	for _, name := range slices.Sorted(maps.Keys(a.Header)) {
		value := strings.Join(a.Header[name], ", ")
		if name == "Date" || name == "X-Request-Id" {
			value = fmt.Sprintf("(%d characters)", len(value))
		}
		fmt.Fprintf(&text, "%s: %s\n", name, value)
	}
	text.Write(a.Body)
	return strings.NewReplacer(operation.ID, "(id)", operation.AcceptedAt, fmt.Sprintf("(%d characters)", len(operation.AcceptedAt))).Replace(text.String()), nil
}

// stopAll stops processes; what does not stop is stopped again with the rig,
// which tells.
func stopAll(processes ...*rig.Process) {
	for _, p := range processes {
		if p != nil {
			_ = p.Stop()
		}
	}
}
