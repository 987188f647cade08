// Command bench measures what Waybill promises of its speed, against what it
// would be compared with, on this machine alone: it builds the real programs,
// starts a throw-away Redis and PostgreSQL, and ends them again.
//
//	go run ./bench accept    how fast writes are accepted
//	go run ./bench store     how fast they are accepted and stored, and the memory that takes
//	go run ./bench latency   how soon one write is stored on an idle system
//	go run ./bench idle      what an idle system costs
//	go run ./bench scrape    how long /metrics takes with a million operations queued and as many deliveries
//	go run ./bench deliver-latency   how soon a write is at a webhook
//	go run ./bench deliver-rate      how many deliveries a second one worker makes
//	go run ./bench deliver-slow      what receivers that are slow or hang cost, and whom
//	go run ./bench deliver-growth    what a million deliveries kept cost
//	go run ./bench deliver   these four
//	go run ./bench all       all of them, in ten minutes
//
// It measures and judges; what is measured is set up by bench/rig, driven by
// bench/load, and compared with bench/baseline.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/waybill-dev/waybill/bench/rig"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	connections int
	rounds      int
	round       time.Duration
	duration    time.Duration
	tune        time.Duration
	writes      int
	idle        time.Duration
	deliverFor  time.Duration
	deliveries  int
	repeats     int
	json        string
	profile     string
}

// bench is one run of this program.
type bench struct {
	options
	*rig.Rig
	log    io.Writer // what is being done, for whoever waits
	report report
}

type scenario struct {
	name string
	run  func(*bench, context.Context) error
}

// scenarios in the order of "all": what shows the processes at rest comes first.
var scenarios = []scenario{
	{"idle", (*bench).measureIdle},
	{"latency", (*bench).measureLatency},
	{"accept", (*bench).measureAccept},
	{"store", (*bench).measureStore},
	{"scrape", (*bench).measureScrape},
	{"deliver-latency", (*bench).measureDeliverLatency},
	{"deliver-rate", (*bench).measureDeliverRate},
	{"deliver-slow", (*bench).measureDeliverSlow},
	{"deliver-growth", (*bench).measureDeliverGrowth},
}

func run(ctx context.Context, args []string, out, log io.Writer) (err error) {
	o, chosen, err := parse(args, log)
	if err != nil {
		return err
	}
	machine, err := rig.New(ctx, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, machine.Close()) }()
	b := &bench{options: o, Rig: machine, log: log}
	for _, s := range chosen {
		fmt.Fprintf(log, "%s:\n", s.name)
		b.report.scenario = s.name
		if err := s.run(b, ctx); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	if err := b.report.table(out); err != nil {
		return err
	}
	if o.json == "" {
		return nil
	}
	return b.report.writeJSON(o.json)
}

// parse reads the command and its flags, in either order.
func parse(args []string, errOut io.Writer) (o options, chosen []scenario, err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(errOut)
	flags.IntVar(&o.connections, "connections", 128, "connections of the load")
	flags.IntVar(&o.rounds, "rounds", 5, "accept: rounds of each contender, alternating")
	flags.DurationVar(&o.round, "round", 3*time.Second, "accept: length of a round")
	flags.DurationVar(&o.duration, "duration", time.Minute, "store: length of the sustained load; the baseline gets half of it before and half after")
	flags.DurationVar(&o.tune, "tune", 4*time.Second, "how long each setting of the baseline is tried before it is measured")
	flags.IntVar(&o.writes, "writes", 500, "latency: writes, one at a time")
	flags.DurationVar(&o.idle, "idle", 15*time.Second, "idle: how long Redis's commands are counted")
	flags.DurationVar(&o.deliverFor, "deliver-for", 20*time.Second, "deliver-latency, deliver-slow: how long writes are made")
	flags.IntVar(&o.deliveries, "deliveries", 30_000, "deliver-rate: deliveries of a round")
	flags.IntVar(&o.repeats, "repeats", 31, "deliver-growth, scrape: how often each thing is timed")
	flags.StringVar(&o.json, "json", "", "also write the figures into this file, as JSON")
	flags.StringVar(&o.profile, "profile", "", "write CPU profiles of api and worker under load into this directory")
	flags.Usage = func() {
		fmt.Fprintln(errOut, "Usage: go run ./bench "+strings.Join(scenarioNames(), "|")+"|deliver|all [flags]")
		flags.PrintDefaults()
	}
	var names []string
	for rest := args; ; rest = rest[1:] {
		if err := flags.Parse(rest); err != nil {
			return o, nil, err
		}
		if rest = flags.Args(); len(rest) == 0 {
			break
		}
		names = append(names, rest[0])
	}
	if len(names) != 1 {
		flags.Usage()
		return o, nil, fmt.Errorf("one command is needed, not %d: %w", len(names), flag.ErrHelp)
	}
	if o.connections < 1 || o.rounds < 1 || o.writes < 1 || o.deliveries < 1 || o.repeats < 1 || min(o.round, o.duration, o.tune, o.idle, o.deliverFor) < time.Second {
		return o, nil, errors.New("counts must be at least 1, and times 1s")
	}
	for _, s := range scenarios {
		if s.name == names[0] || names[0] == "all" || strings.HasPrefix(s.name, names[0]+"-") {
			chosen = append(chosen, s)
		}
	}
	if len(chosen) == 0 {
		return o, nil, fmt.Errorf("unknown command %q: %s, deliver or all", names[0], strings.Join(scenarioNames(), ", "))
	}
	return o, chosen, nil
}

func scenarioNames() []string {
	var names []string
	for _, s := range scenarios {
		names = append(names, s.name)
	}
	return names
}

// body is the record that is written: 60 characters of content.
var body = []byte(`{"content":"` + strings.Repeat("Hello, Waybill ", 4) + `"}`)

const path = "/api/messages"
