package app_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/waybill-dev/waybill/internal/testenv"
)

// TestSystem_OnEveryTopology: the same works whatever Redis is made of.
func TestSystem_OnEveryTopology(t *testing.T) {
	t.Parallel()
	for name, redisURL := range map[string]func(*testing.T) string{
		"single":   func(t *testing.T) string { t.Helper(); return testenv.NewRedis(t).URL() },
		"TLS":      tlsURL,
		"Sentinel": func(t *testing.T) string { t.Helper(); return testenv.NewSentinels(t).URL() },
		"Cluster":  func(t *testing.T) string { t.Helper(); return testenv.NewCluster(t).URL() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSystem(t, redisURL(t), testenv.PostgresURL(t), 2, 2)
			r := subscribe(t, s.apis[0].api, "all", `"events":["*"]`, nil)
			events := s.writeBulk(t)
			events = append(events, s.writeInOrder(t)...)
			events = append(events, s.writeOnce(t))
			events = append(events, s.writeAndWait(t)...)
			r.awaitAccepted(t, 30*time.Second, events)
			s.checkQueuePages(t)
			s.checkAlive(t)
			for _, p := range s.processes() {
				for _, word := range []string{"CROSSSLOT", "MOVED", "level=ERROR", "level=WARN msg=\"task failed"} {
					if said := p.errOut.String(); strings.Contains(said, word) {
						t.Errorf("%s said %s:\n%s", p.name, word, said)
					}
				}
			}
		})
	}
}

// tlsURL is the URL of a Redis that wants to see a certificate.
func tlsURL(t *testing.T) string {
	t.Helper()
	r := testenv.NewTLSRedis(t)
	c := r.Certificates()
	return r.URL() + "?tls_ca=" + c.CA + "&tls_cert=" + c.Cert + "&tls_key=" + c.Key
}

// writeBulk writes several batches in one request, twice under one key.
func (s *system) writeBulk(t *testing.T) (ids []string) {
	t.Helper()
	lines := strings.Repeat(`{"content":"bulk"}`+"\n", 1200)
	for i, replayed := range []string{"", "true"} {
		a := mustCall(t, http.MethodPost, s.apis[i].api+"/api/messages", lines, "Content-Type", "application/x-ndjson", "Idempotency-Key", "bulk").want(t, http.StatusAccepted)
		if got := a.header.Get("Idempotency-Replayed"); got != replayed {
			t.Errorf("bulk %d: Idempotency-Replayed %q", i, got)
		}
		ids = ids[:0]
		for _, o := range a.operations(t) {
			ids = append(ids, o.ID)
		}
	}
	awaitDone(t, 30*time.Second, s.apis[1].api, ids[0], ids[600], ids[1199])
	return ids
}

// writeInOrder writes to a few records without waiting in between.
func (s *system) writeInOrder(t *testing.T) (ids []string) {
	t.Helper()
	for i := range 10 {
		path := fmt.Sprint("/api/todos/record-", i)
		for j, w := range []struct{ method, body string }{
			{http.MethodPut, `{"text":"first"}`},
			{http.MethodPatch, `{"completed":true}`},
			{http.MethodPatch, `{"text":"last"}`},
		} {
			a := mustCall(t, w.method, s.apis[j%2].api+path, w.body).want(t, http.StatusAccepted)
			ids = append(ids, a.operation(t).ID)
		}
		awaitDone(t, 30*time.Second, s.url(""), ids[len(ids)-3:]...)
		got := mustCall(t, http.MethodGet, s.url(path), "").want(t, http.StatusOK)
		if !strings.Contains(string(got.body), `"text":"last"`) || !strings.Contains(string(got.body), `"completed":true`) {
			t.Errorf("%s: %v", path, got)
		}
	}
	return ids
}

// writeOnce writes under an idempotency key, and repeats at the other api.
func (s *system) writeOnce(t *testing.T) string {
	t.Helper()
	const key, body = "Idempotency-Key", `{"content":"once"}`
	first := mustCall(t, http.MethodPost, s.url("/api/messages"), body, key, "once").want(t, http.StatusAccepted).operation(t)
	again := mustCall(t, http.MethodPost, s.apis[1].api+"/api/messages", body, key, "once").want(t, http.StatusAccepted)
	if again.operation(t).ID != first.ID || again.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("the repeat of %s: %v", first.ID, again)
	}
	mustCall(t, http.MethodPost, s.url("/api/messages"), `{"content":"other"}`, key, "once").want(t, http.StatusUnprocessableEntity)
	return first.ID
}

// writeAndWait waits for outcomes, which are published: whoever must look for
// them in the store does so after 50 ms for the first time.
func (s *system) writeAndWait(t *testing.T) (ids []string) {
	t.Helper()
	soonest := time.Minute
	for range 50 {
		a := mustCall(t, http.MethodPost, s.url("/api/messages"), `{"content":"wait"}`, "Prefer", "wait=10").want(t, http.StatusCreated)
		ids = append(ids, a.operation(t).ID)
		soonest = min(soonest, a.took)
	}
	if soonest >= 50*time.Millisecond {
		t.Errorf("the soonest answer took %v: nothing was heard of an outcome", soonest)
	}
	return ids
}

// checkQueuePages looks at the pages of the queues.
func (s *system) checkQueuePages(t *testing.T) {
	t.Helper()
	for path, want := range map[string]string{
		"queues": `"queue":"writes"`, "queues/writes/pending_tasks": `"tasks"`, "servers": `"queue_priorities"`, "redis_info": `"info":{`,
	} {
		a := mustCall(t, http.MethodGet, s.url("/queues/api/"+path), "", "Authorization", "Bearer "+adminKey).want(t, http.StatusOK)
		if !strings.Contains(string(a.body), want) {
			t.Errorf("/queues/api/%s has no %s: %v", path, want, a)
		}
	}
	root := mustCall(t, http.MethodGet, s.url("/api"), "").want(t, http.StatusOK)
	if !strings.Contains(string(root.body), `"durability":"fsync-always"`) {
		t.Errorf("durability: %v", root)
	}
}
