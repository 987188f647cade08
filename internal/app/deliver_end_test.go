package app_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waybill-dev/waybill/internal/testenv"
)

// shownSubscription and shownDelivery are as the API shows them.
type shownSubscription struct {
	ID     string `json:"id"`
	Status string `json:"status"`
	Reason string `json:"disabled_reason"`
}

type shownDelivery struct {
	ID           string `json:"id"`
	Status       string `json:"status"`
	AttemptCount int    `json:"attempt_count"`
	Generation   int    `json:"generation"`
	Attempts     []struct {
		StatusCode int `json:"status_code"`
	} `json:"attempts"`
}

// TestDeliveries_EndWithTheirSubscription: an end ends what is pending, at once.
// Each case has subscriptions of its own, to messages of its own content.
func TestDeliveries_EndWithTheirSubscription(t *testing.T) {
	t.Parallel()
	s := newSystem(t, testenv.RedisURL(t), testenv.PostgresURL(t), 1, 2, "WAYBILL_WEBHOOK_RETRIES=100ms,100ms")
	for _, c := range []struct {
		name string
		run  func(*testing.T, *system)
	}{
		{"deleted", func(t *testing.T, s *system) {
			endsWhilePending(t, s, "deleted", http.MethodDelete, "", http.StatusNoContent, false)
		}},
		{"disabled", func(t *testing.T, s *system) {
			endsWhilePending(t, s, "disabled", http.MethodPost, "/disable", http.StatusOK, false)
		}},
		{"deleted, slow by its rate", func(t *testing.T, s *system) {
			endsWhilePending(t, s, "rated", http.MethodDelete, "", http.StatusNoContent, true)
		}},
		{"gone", endsByGone},
		{"dead", retriesDead},
		{"failed writes", announcesFailed},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t, s)
		})
	}
}

// endsWhilePending ends a subscription whose receiver hangs, or whose rate is
// low, while hundreds of deliveries are pending.
func endsWhilePending(t *testing.T, s *system, name, method, path string, status int, rated bool) {
	base, limits := s.apis[0].api, `"max_in_flight":5`
	release := make(chan struct{})
	if rated {
		limits = `"rate_limit":"10/s"`
		close(release)
	}
	r := subscribe(t, base, name, fmt.Sprintf(`"events":["*"],"filter":{"content":%q},%s`, name, limits), func(q *http.Request, _ *receivedEvent) int {
		select {
		case <-release:
		case <-q.Context().Done():
		}
		return http.StatusOK
	})
	const n = 400
	ids := writeMessages(t, base, n, name)
	r.awaitRequests(t, 20*time.Second, 5)
	mustCall(t, method, base+"/api/subscriptions/"+r.id+path, "").want(t, status)
	from := time.Now()
	testenv.Eventually(t, 5*time.Second, "nothing is pending", func() error {
		for _, id := range ids {
			if c := counts(t, base, id); c.Pending > 0 || c.Canceled+c.Delivered != 1 {
				return fmt.Errorf("of %s: %+v", id, c)
			}
		}
		return nil
	})
	const noticed = 500 * time.Millisecond // twice what a worker takes for the settings
	pauseFor(t.Context(), noticed-time.Since(from))
	atEnd := r.requests()
	if !rated {
		close(release)
	}
	db := connectPostgres(t, s.databaseURL)
	testenv.Eventually(t, 20*time.Second, "the worker has given it up", func() error {
		if n := count(t, db, "SELECT count(*) FROM dispatches WHERE subscription = $1::text::uuid AND owner <> ''", r.id); n > 0 {
			return fmt.Errorf("it has it still after %v", time.Since(from))
		}
		return nil
	})
	if got := r.requests(); got > atEnd {
		t.Errorf("%d requests after the end, beside the %d before", got-atEnd, atEnd)
	}
	t.Logf("%d of %d were sent; given up %v after the end", atEnd, n, time.Since(from).Round(time.Millisecond))
}

// endsByGone: 410 disables at once, and whoever wants to know is told. Enabled
// again, what was missed is replayed.
func endsByGone(t *testing.T, s *system) {
	base := s.apis[0].api
	var healthy atomic.Bool
	gone := subscribe(t, base, "gone", `"events":["messages.created"],"filter":{"content":"gone"},"max_in_flight":1`, func(*http.Request, *receivedEvent) int {
		if healthy.Load() {
			return http.StatusNoContent
		}
		return http.StatusGone
	})
	told := subscribe(t, base, "told", `"events":["subscription.disabled"]`, nil)
	since := time.Now().Add(-time.Minute).UTC().Format(time.RFC3339)
	const n = 100
	ids := writeMessages(t, base, n, "gone")
	var shown shownSubscription
	testenv.Eventually(t, 10*time.Second, "it is disabled", func() error {
		mustCall(t, http.MethodGet, base+"/api/subscriptions/"+gone.id, "").want(t, http.StatusOK).decode(t, &shown)
		if shown.Status != "disabled" || !strings.Contains(shown.Reason, "gone") {
			return fmt.Errorf("%+v", shown)
		}
		return nil
	})
	testenv.Eventually(t, 10*time.Second, "the other one is told", func() error {
		told.mu.Lock()
		defer told.mu.Unlock()
		for _, e := range told.events {
			var body struct {
				Type string
				Data struct{ ID, Reason string }
			}
			if err := json.Unmarshal([]byte(e.body), &body); err != nil {
				return err
			}
			if body.Type == "subscription.disabled" && body.Data.ID == gone.id && body.Data.Reason == shown.Reason {
				return nil
			}
		}
		return fmt.Errorf("%d events, none of it", len(told.events))
	})
	testenv.Eventually(t, 10*time.Second, "all have ended", func() error {
		var sum deliveryCounts
		for _, id := range ids {
			c := counts(t, base, id)
			sum.Pending, sum.Dead, sum.Canceled = sum.Pending+c.Pending, sum.Dead+c.Dead, sum.Canceled+c.Canceled
		}
		if sum.Pending > 0 || sum.Dead < 1 || sum.Dead+sum.Canceled > n {
			return fmt.Errorf("%+v", sum)
		}
		return nil
	})
	if got := gone.requests(); got > 3 {
		t.Errorf("%d requests, want hardly more than the one that was answered 410", got)
	}
	missed := writeMessages(t, base, 10, "gone") // while it is disabled

	healthy.Store(true)
	mustCall(t, http.MethodPost, base+"/api/subscriptions/"+gone.id+"/replay", `{"since":"`+since+`"}`).want(t, http.StatusConflict)
	mustCall(t, http.MethodPost, base+"/api/subscriptions/"+gone.id+"/enable", "").want(t, http.StatusOK)
	var replayed struct{ Count int }
	mustCall(t, http.MethodPost, base+"/api/subscriptions/"+gone.id+"/replay", fmt.Sprintf(`{"since":%q,"status":"all"}`, since)).
		want(t, http.StatusAccepted).decode(t, &replayed)
	if all := len(ids) + len(missed); replayed.Count != all {
		t.Errorf("%d are replayed, want %d", replayed.Count, all)
	}
	gone.awaitAccepted(t, 20*time.Second, append(ids, missed...))
	awaitCounts(t, 10*time.Second, base, append(ids, missed...), deliveryCounts{Delivered: 1})
	if d := gone.duplicates(); d > 0 {
		t.Errorf("%d duplicates", d)
	}
}

// retriesDead: a dead delivery can be tried again, one or all.
func retriesDead(t *testing.T, s *system) {
	base := s.apis[0].api
	var healthy atomic.Bool
	r := subscribe(t, base, "ill", `"events":["*"],"filter":{"content":"dead"}`, func(*http.Request, *receivedEvent) int {
		if healthy.Load() {
			return http.StatusOK
		}
		return http.StatusInternalServerError
	})
	since := time.Now().Add(-time.Minute).UTC().Format(time.RFC3339)
	ids := writeMessages(t, base, 3, "dead")
	awaitCounts(t, 20*time.Second, base, ids, deliveryCounts{Dead: 1})
	var page struct{ Items []shownDelivery }
	mustCall(t, http.MethodGet, base+"/api/deliveries?status=dead&operation="+ids[0], "").want(t, http.StatusOK).decode(t, &page)
	if len(page.Items) != 1 || page.Items[0].AttemptCount != 3 {
		t.Fatalf("deliveries %+v, want one, dead after three attempts", page.Items)
	}
	id := page.Items[0].ID
	healthy.Store(true)
	mustCall(t, http.MethodPost, base+"/api/deliveries/"+id+"/retry", "").want(t, http.StatusAccepted)
	awaitCounts(t, 10*time.Second, base, ids[:1], deliveryCounts{Delivered: 1})
	var d shownDelivery
	mustCall(t, http.MethodGet, base+"/api/deliveries/"+id, "").want(t, http.StatusOK).decode(t, &d)
	if d.Status != "delivered" || d.Generation != 2 || len(d.Attempts) != 4 || d.Attempts[0].StatusCode != http.StatusInternalServerError || d.Attempts[3].StatusCode != http.StatusOK {
		t.Errorf("the delivery is %+v, want delivered in its second generation after 500, 500, 500, 200", d)
	}
	var replayed struct{ Count int }
	mustCall(t, http.MethodPost, base+"/api/subscriptions/"+r.id+"/replay", fmt.Sprintf(`{"since":%q,"status":"dead"}`, since)).
		want(t, http.StatusAccepted).decode(t, &replayed)
	if replayed.Count != 2 {
		t.Errorf("%d are replayed, want the two that are dead", replayed.Count)
	}
	awaitCounts(t, 10*time.Second, base, ids, deliveryCounts{Delivered: 1})
}

// announcesFailed: a write that fails is announced to whom it is named for, and
// not to who wants everything.
func announcesFailed(t *testing.T, s *system) {
	base := s.apis[0].api
	named := subscribe(t, base, "named", `"events":["todos.failed"],"filter":{"text":"missing"}`, nil)
	all := subscribe(t, base, "all", `"events":["*","todos.*"],"filter":{"text":"missing"}`, nil)
	o := mustCall(t, http.MethodPatch, base+"/api/todos/nobody", `{"text":"missing"}`).want(t, http.StatusAccepted).operation(t)
	good := mustCall(t, http.MethodPost, base+"/api/todos", `{"text":"missing"}`).want(t, http.StatusAccepted).operation(t)
	named.awaitAccepted(t, 20*time.Second, []string{o.ID})
	all.awaitAccepted(t, 20*time.Second, []string{good.ID})
	var body struct {
		Type, Operation, Action string
		Data                    struct{ Text string }
		Error                   struct{ Code, Detail string }
	}
	if err := json.Unmarshal([]byte(named.body(o.ID)), &body); err != nil {
		t.Fatal(err)
	}
	if body.Type != "todos.failed" || body.Operation != o.ID || body.Action != "patch" || body.Error.Code != "not_found" || body.Data.Text != "missing" {
		t.Errorf("event %s", named.body(o.ID))
	}
	awaitCounts(t, 10*time.Second, base, []string{o.ID, good.ID}, deliveryCounts{Delivered: 1})
}
