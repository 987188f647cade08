package app_test

import (
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/waybill-dev/waybill/internal/notify/notifytest"
	"github.com/waybill-dev/waybill/internal/testenv"
)

// receiver is where a subscription's webhooks go. It verifies each with the
// official library and keeps a ledger of them.
type receiver struct {
	id     string // the subscription's
	url    string
	answer func(r *http.Request, e *receivedEvent) (status int) // called without the lock; nil: 200
	known  chan struct{}                                        // closed once verifier is there

	mu       sync.Mutex
	verifier *standardwebhooks.Webhook
	events   map[string]*receivedEvent // by webhook-id
	arrivals []time.Time
	now      int // requests under way
	most     int // of them at once
	wrong    []string
}

// receivedEvent is what a receiver knows of one webhook-id.
type receivedEvent struct {
	body     string
	requests int
	accepted int // requests answered with 2xx
}

// subscribe makes a subscription with a receiver of its own. more are members of
// its body beside name and channel.
func subscribe(t testing.TB, base, name, more string, answer func(*http.Request, *receivedEvent) int) *receiver {
	t.Helper()
	r := &receiver{answer: answer, known: make(chan struct{}), events: map[string]*receivedEvent{}}
	r.url = notifytest.Serve(t, r.serve).URL + "/" + name
	var made struct{ ID, Secret string }
	mustCall(t, http.MethodPost, base+"/api/subscriptions", fmt.Sprintf(`{"name":%q,"channel":{"type":"webhook","url":%q},%s}`, name, r.url, more)).
		want(t, http.StatusCreated).decode(t, &made)
	verifier, err := standardwebhooks.NewWebhook(made.Secret)
	if err != nil {
		t.Fatal(err)
	}
	r.id, r.verifier = made.ID, verifier
	close(r.known)
	t.Cleanup(func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, w := range r.wrong[:min(len(r.wrong), 10)] {
			t.Errorf("receiver %s: %s", name, w)
		}
	})
	return r
}

func (r *receiver) serve(w http.ResponseWriter, q *http.Request) {
	<-r.known
	arrived := time.Now()
	body, err := io.ReadAll(q.Body)
	if err != nil {
		return // a worker was killed in the middle
	}
	err = r.verifier.Verify(body, q.Header)
	e := r.begin(q.Header.Get("webhook-id"), string(body), arrived, err)
	status := http.StatusOK
	if r.answer != nil {
		r.mu.Lock()
		before := *e
		r.mu.Unlock()
		status = r.answer(q, &before)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now--
	if status < 300 {
		e.accepted++
	}
	w.WriteHeader(status)
}

func (r *receiver) begin(id, body string, arrived time.Time, verified error) *receivedEvent {
	r.mu.Lock()
	defer r.mu.Unlock()
	if verified != nil {
		r.wrong = append(r.wrong, fmt.Sprintf("%s does not verify: %v", id, verified))
	}
	r.now++
	r.most = max(r.most, r.now)
	r.arrivals = append(r.arrivals, arrived)
	e := r.events[id]
	if e == nil {
		e = &receivedEvent{body: body}
		r.events[id] = e
	}
	if e.body != body {
		r.wrong = append(r.wrong, fmt.Sprintf("%s came as\n%s and as\n%s", id, e.body, body))
	}
	e.requests++
	return e
}

// requests is how many came.
func (r *receiver) requests() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.arrivals)
}

// duplicates is how many requests were accepted that others had been before.
func (r *receiver) duplicates() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		n += max(0, e.accepted-1)
	}
	return n
}

// body is that of the event, "" if it was not accepted.
func (r *receiver) body(event string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.events[event]; e != nil && e.accepted > 0 {
		return e.body
	}
	return ""
}

// checkAccepted says whether exactly these events were accepted.
func (r *receiver) checkAccepted(events []string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range events {
		if e := r.events[id]; e == nil || e.accepted == 0 {
			return fmt.Errorf("%s is missing (%d of %d came)", id, len(r.events), len(events))
		}
	}
	if len(r.events) != len(events) {
		return fmt.Errorf("%d events came, want %d", len(r.events), len(events))
	}
	return nil
}

// awaitAccepted waits until the events were accepted, and no others came.
func (r *receiver) awaitAccepted(t testing.TB, within time.Duration, events []string) {
	t.Helper()
	testenv.Eventually(t, within, fmt.Sprintf("%s has %d events", r.url, len(events)), func() error { return r.checkAccepted(events) })
}

// awaitRequests waits until n requests came.
func (r *receiver) awaitRequests(t testing.TB, within time.Duration, n int) {
	t.Helper()
	testenv.Eventually(t, within, fmt.Sprintf("%d requests at %s", n, r.url), func() error {
		if got := r.requests(); got < n {
			return fmt.Errorf("%d came", got)
		}
		return nil
	})
}
