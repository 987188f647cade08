package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

const (
	// mostBody bounds what is read before the signature can be checked.
	mostBody = 1 << 20
	// remembered is how many events are known again when they come twice.
	remembered = 10_000
)

// event is the body of a webhook.
type event struct {
	Type      string          `json:"type"`      // messages.created
	Data      json.RawMessage `json:"data"`      // the record
	Operation string          `json:"operation"` // sort by it: events may come out of order
}

// receiver is the webhook.
type receiver struct {
	verifier *standardwebhooks.Webhook

	mu   sync.Mutex // out is written, and seen used, by one request at a time
	out  io.Writer
	seen *recent
}

func newReceiver(v *standardwebhooks.Webhook, out io.Writer) *receiver {
	return &receiver{verifier: v, out: out, seen: newRecent(remembered)}
}

// ServeHTTP takes one event. Whatever is not answered 2xx within 15 seconds comes
// again later: do what takes long elsewhere.
func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	// The signature is over the very bytes: keep them, and decode them afterwards.
	body, err := io.ReadAll(http.MaxBytesReader(w, q.Body, mostBody))
	if err != nil {
		http.Error(w, "cannot read the body", http.StatusBadRequest)
		return
	}
	// This checks who sent it, and that it was sent in the last five minutes.
	if err := r.verifier.Verify(body, q.Header); err != nil {
		r.printf("refused: %v\n", err)
		http.Error(w, "bad signature", http.StatusUnauthorized)
		return
	}
	var e event
	if err := json.Unmarshal(body, &e); err != nil {
		r.printf("refused: %v\n", err)
		http.Error(w, "not an event", http.StatusBadRequest)
		return
	}
	id := q.Header.Get(standardwebhooks.HeaderWebhookID)
	r.take(id, &e)
	w.WriteHeader(http.StatusNoContent)
}

// take does something with an event. Each is delivered at least once, so the same
// one may come again; what must not happen twice goes by its ID, best in the
// transaction that does it.
func (r *receiver) take(id string, e *event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen.add(id) {
		fmt.Fprintf(r.out, "%s %s %s\n", e.Type, id, e.Data)
	}
}

func (r *receiver) printf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(r.out, format, args...)
}

// recent is a set of the IDs that were added last.
type recent struct {
	known map[string]bool
	ring  []string // in the order of adding, from next on
	next  int
}

func newRecent(most int) *recent {
	return &recent{known: make(map[string]bool, most), ring: make([]string, most)}
}

// add says whether id is new.
func (s *recent) add(id string) bool {
	if s.known[id] {
		return false
	}
	delete(s.known, s.ring[s.next])
	s.known[id], s.ring[s.next] = true, id
	s.next = (s.next + 1) % len(s.ring)
	return true
}
