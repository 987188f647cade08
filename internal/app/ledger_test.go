package app_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

// write is one write as its client knows it.
type write struct {
	action, collection string
	record             string // "" for a create
	body               string // as it must be stored; it names the write, except that of a delete
	sent, acked        time.Time
	operation          string // "" unless it was answered: then the write is a "maybe"
	told               string // the beginning of its outcome, where Prefer: wait had it answered
}

// signature is what an operation must have in common with its write.
func signature(action, collection, record, body string) string {
	if action == "create" {
		record = ""
	}
	return action + " " + collection + "/" + record + " " + body
}

func (w *write) String() string {
	return fmt.Sprintf("%s: sent %s, acked %s as %q, told %q", signature(w.action, w.collection, w.record, w.body),
		w.sent.Format("05.000"), w.acked.Format("05.000"), w.operation, w.told)
}

// ledger is what the clients know.
type ledger struct {
	seed  uint64
	bases []string // of the apis

	mu       sync.Mutex
	writes   []*write
	answered []*write
	seen     map[string]string // the outcome with which an operation was first seen done or failed
	looks    int               // at operations
	rounds   uint64            // calls of write
}

const ledgerClients = 32

// write sends n more writes at rate a second, and returns when all are answered
// or given up.
func (l *ledger) write(t *testing.T, n, rate int) {
	t.Helper()
	n += l.count()
	l.rounds++
	tokens := make(chan struct{})
	var clients sync.WaitGroup
	for i := range ledgerClients {
		c := &ledgerClient{ledger: l, number: fmt.Sprint(l.rounds, "/", i), random: rand.New(rand.NewPCG(l.seed, l.rounds<<32+uint64(i)))}
		clients.Go(func() {
			for range tokens {
				c.one(t)
			}
		})
	}
	pace := time.NewTicker(time.Second / time.Duration(rate))
	defer pace.Stop()
	for l.count() < n {
		<-pace.C
		tokens <- struct{}{}
	}
	close(tokens)
	clients.Wait()
}

func (l *ledger) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.writes)
}

func (l *ledger) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return fmt.Sprintf("%d writes, %d answered, %d maybe; %d looks at operations", len(l.writes), len(l.answered), len(l.writes)-len(l.answered), l.looks)
}

// watch looks at operations that were answered, until ctx ends: each must be
// found, and never change once it is done or failed.
func (l *ledger) watch(ctx context.Context, t *testing.T) {
	random := rand.New(rand.NewPCG(l.seed, 1))
	for ; ctx.Err() == nil; pauseFor(ctx, 3*time.Millisecond) {
		l.mu.Lock()
		var id string
		if n := len(l.answered); n > 0 {
			id = l.answered[random.IntN(n)].operation
		}
		l.mu.Unlock()
		if id == "" {
			continue
		}
		a, err := call(ctx, http.MethodGet, l.bases[random.IntN(len(l.bases))]+"/api/operations/"+id, "")
		switch {
		case err != nil || a.status == http.StatusServiceUnavailable:
		case a.status != http.StatusOK:
			t.Errorf("an accepted operation %s is not found: %v", id, a)
		default:
			if o := a.operation(t); o.terminal() {
				l.see(t, id, o.outcome())
			} else {
				l.see(t, id, "")
			}
		}
	}
}

// see notes an outcome; "" is none yet.
func (l *ledger) see(t *testing.T, id, outcome string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.looks++
	switch before := l.seen[id]; {
	case before == "" && outcome != "":
		l.seen[id] = outcome
	case before != outcome:
		t.Errorf("operation %s was seen %s, and then %q", id, before, outcome)
	}
}

// pauseFor waits for d or ctx's end.
func pauseFor(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// request is what a client sends: one write, or the lines of a bulk.
type request struct {
	method, path, body string
	headers            []string
	key                bool
	writes             []*write
}

// send sends a request until it is answered, or may not be repeated: without an
// Idempotency-Key a repeat would be another write. A connection refused is
// another matter: nothing was sent.
func (l *ledger) send(t *testing.T, random *rand.Rand, r *request) bool {
	t.Helper()
	l.mu.Lock()
	for _, w := range r.writes {
		w.sent = time.Now()
	}
	l.writes = append(l.writes, r.writes...)
	l.mu.Unlock()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		a, err := call(t.Context(), r.method, l.bases[random.IntN(len(l.bases))]+r.path, r.body, r.headers...)
		var dial *net.OpError
		switch {
		case errors.As(err, &dial) && dial.Op == "dial":
		case err == nil && a.status != http.StatusServiceUnavailable:
			return l.note(t, r, a)
		case !r.key:
			return false
		}
		pauseFor(t.Context(), time.Duration(20+random.IntN(80))*time.Millisecond)
	}
	return false
}

// note enters an answer.
func (l *ledger) note(t *testing.T, r *request, a *answer) bool {
	t.Helper()
	ids := []string{a.header.Get("Waybill-Operation")}
	told := ""
	switch {
	case a.status == http.StatusAccepted && len(r.writes) > 1:
		ids = nil
		for _, o := range a.operations(t) {
			ids = append(ids, o.ID)
		}
	case a.status == http.StatusAccepted:
		ids[0] = a.operation(t).ID
	case a.status == http.StatusNoContent:
		told = "done "
	case a.status == http.StatusOK || a.status == http.StatusCreated:
		told = "done "
	default:
		told = "failed " + a.code() + ":"
	}
	if len(ids) != len(r.writes) || slices.Contains(ids, "") {
		t.Errorf("%s %s %s: answer %v, which nothing here should get", r.method, r.path, r.body, a)
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, w := range r.writes {
		if w.operation != "" && w.operation != ids[i] {
			t.Errorf("%v: a repeat was answered as operation %s", w, ids[i])
		}
		if w.operation == "" {
			w.operation, w.acked = ids[i], time.Now()
			l.answered = append(l.answered, w)
		}
		if told != "" {
			w.told = told
		}
	}
	return true
}
