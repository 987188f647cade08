package app_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/errgroup"
)

const (
	traceID     = "0af7651916cd43dd8448eb211c80319c"
	callerSpan  = "b7ad6b7169203331"
	traceparent = "00-" + traceID + "-" + callerSpan + "-01"
)

// headersSeen is what a receiver was sent, in order.
type headersSeen struct {
	mu  sync.Mutex
	all []http.Header
}

func (h *headersSeen) add(r *http.Request) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, r.Header)
	return len(h.all)
}

func (h *headersSeen) get(name string) (values []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, header := range h.all {
		values = append(values, header.Get(name))
	}
	return values
}

func post(t testing.TB, base, content string, headers ...string) string {
	t.Helper()
	return mustCall(t, http.MethodPost, base+"/api/messages", fmt.Sprintf(`{"content":%q}`, content), headers...).want(t, http.StatusAccepted).operation(t).ID
}

// One POST is one trace: from the request through the queue and the transaction to
// each attempt at its webhook.
func TestTrace_FromAPostToItsDelivery(t *testing.T) {
	t.Parallel()
	s := newInside(t, true)
	var seen headersSeen
	r := subscribe(t, s.base, "traced", `"events":["messages.created"]`, func(q *http.Request, _ *receivedEvent) int {
		if seen.add(q) < 3 {
			return http.StatusServiceUnavailable
		}
		return http.StatusOK
	})
	id := post(t, s.base, "hello", "traceparent", traceparent, "tracestate", "vendor=1", "X-Request-Id", "r-1")
	r.awaitAccepted(t, 30*time.Second, []string{id})
	delivers := s.await(t, traceID, "deliver", 3)
	request, accepted := s.await(t, traceID, "POST /api/messages", 1)[0], s.await(t, traceID, "accept", 1)[0]
	enqueued, applied, stored := s.await(t, traceID, "enqueue", 1)[0], s.await(t, traceID, "apply", 1)[0], s.await(t, traceID, "transaction", 1)[0]

	if got := request.Parent.SpanID().String(); got != callerSpan || !request.Parent.IsRemote() {
		t.Errorf("the request's parent is %s", got)
	}
	child(t, &accepted, request.SpanContext)
	child(t, &enqueued, accepted.SpanContext)
	child(t, &applied, accepted.SpanContext)
	child(t, &stored, applied.SpanContext)
	if len(stored.Links) != 1 || stored.Links[0].SpanContext.SpanID() != enqueued.SpanContext.SpanID() {
		t.Errorf("the transaction is linked with %v, want the batch's enqueue", stored.Links)
	}
	for i, want := range []string{"503", "503", "200"} {
		d := &delivers[i]
		child(t, d, applied.SpanContext)
		if got := attribute(d, "waybill.status_code"); got != want || attribute(d, "waybill.channel") != "webhook" || attribute(d, "waybill.subscription") != r.id {
			t.Errorf("attempt %d: %v", i+1, d.Attributes)
		}
		if got, want := seen.get("traceparent")[i], "00-"+traceID+"-"+d.SpanContext.SpanID().String()+"-01"; got != want {
			t.Errorf("attempt %d was sent traceparent %s, want %s", i+1, got, want)
		}
		if got := seen.get("tracestate")[i]; got != "vendor=1" {
			t.Errorf("attempt %d was sent tracestate %q", i+1, got)
		}
	}
	if attribute(&request, "http.response.status_code") != "202" || attribute(&request, "waybill.request_id") != "r-1" || attribute(&request, "http.route") != "/api/messages" {
		t.Errorf("the request has %v", request.Attributes)
	}
	if attribute(&accepted, "waybill.operation") != id || attribute(&applied, "waybill.operation") != id || attribute(&applied, "waybill.outcome") != "done" {
		t.Errorf("accept has %v, apply %v", accepted.Attributes, applied.Attributes)
	}
	if metrics := string(mustCall(t, http.MethodGet, s.ops+"/metrics", "", "Accept", "application/openmetrics-text; version=1.0.0").body); !strings.Contains(metrics, `# {trace_id="`+traceID+`"}`) {
		t.Error("no metric has the trace as an exemplar")
	}
}

func child(t testing.TB, span *tracetest.SpanStub, parent trace.SpanContext) {
	t.Helper()
	if span.Parent.SpanID() != parent.SpanID() || span.SpanContext.TraceID() != parent.TraceID() {
		t.Errorf("%s is a child of %s, want %s", span.Name, span.Parent.SpanID(), parent.SpanID())
	}
}

// A batch carries writes of many traces, and each stays in its own.
func TestTrace_EachWriteOfABatchKeepsItsOwn(t *testing.T) {
	t.Parallel()
	s := newInside(t, true)
	var seen headersSeen
	r := subscribe(t, s.base, "many", `"events":["messages.created"]`, func(q *http.Request, _ *receivedEvent) int {
		seen.add(q)
		return http.StatusOK
	})
	const n = 200
	traceOf := func(i int) string { return fmt.Sprintf("%032x", i+1) }
	ids := make([]string, n)
	var writers errgroup.Group
	for i := range n {
		writers.Go(func() error {
			a, err := call(t.Context(), http.MethodPost, s.base+"/api/messages", `{"content":"x"}`, "traceparent", "00-"+traceOf(i)+"-"+callerSpan+"-01")
			if err == nil {
				ids[i] = a.want(t, http.StatusAccepted).operation(t).ID
			}
			return err
		})
	}
	if err := writers.Wait(); err != nil {
		t.Fatal(err)
	}
	r.awaitAccepted(t, 30*time.Second, ids)
	s.await(t, "", "deliver", n)
	batched := map[trace.SpanID]bool{} // accepts that an enqueue belongs to, or is linked with
	links := 0
	for _, e := range s.named("", "enqueue") {
		batched[e.Parent.SpanID()] = true
		links += len(e.Links)
		for _, l := range e.Links {
			batched[l.SpanContext.SpanID()] = true
		}
	}
	for i, id := range ids {
		accepted, applied := s.await(t, traceOf(i), "accept", 1)[0], s.await(t, traceOf(i), "apply", 1)[0]
		if child(t, &applied, accepted.SpanContext); attribute(&applied, "waybill.operation") != id {
			t.Errorf("trace %d has the operation %s", i, attribute(&applied, "waybill.operation"))
		}
		if child(t, &s.await(t, traceOf(i), "deliver", 1)[0], applied.SpanContext); !batched[accepted.SpanContext.SpanID()] {
			t.Errorf("no enqueue knows of write %d", i)
		}
	}
	if links == 0 {
		t.Error("no batch carried more than one trace")
	}
	t.Logf("%d writes in %d batches", n, len(s.named("", "enqueue")))
}

// Without spans, whoever sends a traceparent is followed all the same.
func TestTrace_TravelsWithoutSpans(t *testing.T) {
	t.Parallel()
	s := newInside(t, false)
	var seen headersSeen
	r := subscribe(t, s.base, "followed", `"events":["messages.created"],"max_in_flight":1`, func(q *http.Request, _ *receivedEvent) int {
		seen.add(q)
		return http.StatusOK
	})
	var ids []string
	for _, c := range []struct{ parent, state, want, wantState string }{
		{traceparent, "vendor=1", traceparent, "vendor=1"},
		{traceparent, "not a state", traceparent, ""},
		{traceparent, "vendor=" + strings.Repeat("x", 600), traceparent, ""},
		{"cc-" + traceID + "-" + callerSpan + "-01-later", "", traceparent, ""},
		{"00-" + strings.Repeat("0", 32) + "-" + callerSpan + "-01", "vendor=1", "", ""},
		{strings.ToUpper(traceparent), "vendor=1", "", ""},
		{"nonsense", "vendor=1", "", ""},
		{"", "vendor=1", "", ""},
	} {
		ids = append(ids, post(t, s.base, "x", "traceparent", c.parent, "tracestate", c.state))
		r.awaitAccepted(t, 30*time.Second, ids)
		last := len(ids) - 1
		if got, state := seen.get("traceparent")[last], seen.get("tracestate")[last]; got != c.want || state != c.wantState {
			t.Errorf("%q %q: the receiver got %q %q", c.parent, c.state, got, state)
		}
	}
	if n := len(s.spans.GetSpans()); n > 0 {
		t.Errorf("there are %d spans", n)
	}
}

// A malformed traceparent begins a new trace, as none does.
func TestTrace_MalformedIsIgnored(t *testing.T) {
	t.Parallel()
	s := newInside(t, true)
	id := post(t, s.base, "x", "traceparent", "00-malformed-"+traceID, "tracestate", "vendor=1")
	awaitDone(t, 30*time.Second, s.base, id)
	applied := s.await(t, "", "apply", 1)[0]
	if request := s.named(applied.SpanContext.TraceID().String(), "POST /api/messages"); len(request) != 1 || request[0].Parent.IsValid() {
		t.Errorf("requests of the trace: %v", request)
	}
}

// What is not sampled makes no spans, and travels.
func TestTrace_NotSampled(t *testing.T) {
	t.Parallel()
	s := newInside(t, true)
	var seen headersSeen
	r := subscribe(t, s.base, "unsampled", `"events":["messages.created"]`, func(q *http.Request, _ *receivedEvent) int {
		seen.add(q)
		return http.StatusOK
	})
	id := post(t, s.base, "x", "traceparent", strings.TrimSuffix(traceparent, "01")+"00")
	r.awaitAccepted(t, 30*time.Second, []string{id})
	for _, name := range []string{"POST /api/messages", "accept", "enqueue", "apply", "transaction", "deliver"} {
		if got := s.named(traceID, name); len(got) > 0 {
			t.Errorf("%d spans %s", len(got), name)
		}
	}
	if got := seen.get("traceparent")[0]; !strings.HasPrefix(got, "00-"+traceID+"-") || !strings.HasSuffix(got, "-00") {
		t.Errorf("the receiver got %q", got)
	}
}
