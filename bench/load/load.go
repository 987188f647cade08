// Package load is a load generator that leaves the machine to what it measures:
// a goroutine a connection, the request's bytes made once, and just as much HTTP
// as it takes to know that an answer is the right one. It knows one request, a
// POST that is answered with 202 and an operation, and nothing of who answers.
package load

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Options say what Run does.
type Options struct {
	Addr        string // host:port
	Path        string
	Body        []byte // JSON
	Connections int
	Warm        time.Duration // load that is not counted, before
	Duration    time.Duration // load that is
	Gate        *Gate         // nil: always open
}

// Result is what Run saw.
type Result struct {
	Accepted  int           // 202s in all, the warm-up's and the last ones too
	Counted   int           // of these, the ones within the duration
	Took      time.Duration // the duration, as it was
	From      time.Time     // its begin
	Latencies Latencies     // of those counted
}

// Rate is the 202s a second.
func (r *Result) Rate() float64 { return float64(r.Counted) / r.Took.Seconds() }

// Latencies are times from a request's first byte to its answer's last, sorted,
// in µs.
type Latencies []uint32

// Quantile returns the q-quantile (0 to 1): the least latency that at least that
// share of all does not exceed. It is 0 if there are none.
func (l Latencies) Quantile(q float64) time.Duration {
	if len(l) == 0 {
		return 0
	}
	at := int(q*float64(len(l))+0.999999) - 1
	return time.Duration(l[min(max(at, 0), len(l)-1)]) * time.Microsecond
}

// NewLatencies returns all of times, sorted.
func NewLatencies(times ...time.Duration) Latencies {
	l := make(Latencies, len(times))
	for i, t := range times {
		l[i] = uint32(max(0, t.Microseconds()))
	}
	slices.Sort(l)
	return l
}

// run is one run under way.
type run struct {
	o        Options
	request  []byte
	from, to time.Time // the window that counts
	stopped  atomic.Bool
}

// Run keeps o.Connections requests on their way for o.Warm and o.Duration. Every
// answer is checked; the first wrong one ends the run with its error. Answers
// that are on their way at the end are waited for, so that Accepted is exact.
func Run(ctx context.Context, o Options) (*Result, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r := &run{o: o, request: postRequest(o.Addr, o.Path, o.Body, "")}
	clients, err := dialAll(ctx, o.Addr, o.Connections)
	if err != nil {
		return nil, err
	}
	r.from = time.Now().Add(o.Warm)
	r.to = r.from.Add(o.Duration)
	defer context.AfterFunc(ctx, func() {
		for _, c := range clients {
			_ = c.Close()
		}
	})()
	stop := time.AfterFunc(o.Warm+o.Duration, func() {
		r.stopped.Store(true)
		o.Gate.Open() // nobody waits at the gate for an end that has come
	})
	defer stop.Stop()
	parts := make([]part, len(clients))
	var all sync.WaitGroup
	for i, c := range clients {
		all.Go(func() {
			if parts[i].err = r.drive(ctx, c, &parts[i]); parts[i].err != nil {
				r.stopped.Store(true)
				cancel() // a wrong answer: what the others measure is worth nothing
			}
			_ = c.Close()
		})
	}
	all.Wait()
	return r.sum(parts)
}

// part is what one connection saw.
type part struct {
	accepted  int
	latencies Latencies
	err       error
}

func (r *run) drive(ctx context.Context, c *Client, p *part) error {
	for !r.stopped.Load() {
		if err := r.o.Gate.wait(ctx); err != nil {
			return err
		}
		begin := time.Now()
		if err := c.accepted(r.request); err != nil {
			return err
		}
		end := time.Now()
		p.accepted++
		if end.After(r.from) && !end.After(r.to) {
			p.latencies = append(p.latencies, uint32(end.Sub(begin).Microseconds()))
		}
	}
	return nil
}

func (r *run) sum(parts []part) (*Result, error) {
	s := &Result{Took: r.o.Duration, From: r.from}
	var first error
	for _, p := range parts {
		if p.err != nil && (first == nil || errors.Is(first, context.Canceled)) {
			first = p.err
		}
		s.Accepted += p.accepted
		s.Latencies = append(s.Latencies, p.latencies...)
	}
	if first != nil {
		return nil, fmt.Errorf("load on %s: %w", r.o.Addr, first)
	}
	slices.Sort(s.Latencies)
	s.Counted = len(s.Latencies)
	if s.Counted == 0 {
		return nil, fmt.Errorf("load on %s: no answer within %v", r.o.Addr, r.o.Duration)
	}
	return s, nil
}
