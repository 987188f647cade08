package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/subscription"
)

// delivery is a delivery as the API shows it.
type delivery struct {
	ID            string  `json:"id"`
	Subscription  string  `json:"subscription"`
	Event         string  `json:"event"`
	Operation     *string `json:"operation"`
	Type          string  `json:"type"`
	Status        string  `json:"status"`
	AttemptCount  int     `json:"attempt_count"`
	Generation    int     `json:"generation"`
	NextAttemptAt *string `json:"next_attempt_at"`
	Error         *string `json:"error"`
	CreatedAt     string  `json:"created_at"`
	FinishedAt    *string `json:"finished_at"`
}

type attempted struct {
	delivery
	Attempts []attempt `json:"attempts"`
}

type attempt struct {
	At         string  `json:"at"`
	StatusCode *int    `json:"status_code"`
	DurationMS float64 `json:"duration_ms"`
	Reply      string  `json:"reply"`
	Error      *string `json:"error"`
}

// delivering checks a 202 and returns the delivery that is to be made.
func (a *answer) delivering() (d delivery) {
	a.t.Helper()
	a.want(202).into(&d)
	a.wantHeader("Location", "/api/deliveries/"+d.ID)
	return d
}

func TestSubscriptions_Test(t *testing.T) {
	t.Parallel()
	s := newService(t)
	made := s.subscribed(hook("x"), `"name":"<mine>"`)
	s.woken()
	for _, body := range []string{"", "{}", " { } \n"} {
		d := s.post("/api/subscriptions/"+made.ID+"/test", body).delivering()
		want := delivery{
			ID: d.ID, Subscription: made.ID, Event: d.Event, Type: "subscription.test", Status: "pending", Generation: 1, NextAttemptAt: d.NextAttemptAt, CreatedAt: d.CreatedAt,
		}
		if diff := cmp.Diff(want, d); diff != "" || d.NextAttemptAt == nil || !uuid7.MatchString(d.ID) || !uuid7.MatchString(d.Event) || !utc.MatchString(d.CreatedAt) {
			t.Errorf("%+v (-want +got):\n%s", d, diff)
		}
		if got := s.woken(); !slices.Equal(got, []string{made.ID}) {
			t.Errorf("woken: %v", got)
		}
	}
}

func TestDeliveries_OneWithItsAttempts(t *testing.T) {
	t.Parallel()
	s := newService(t)
	made := s.subscribed(hook("x"))
	operation := record.NewID(time.Now().UnixMicro(), 1, 1)
	id := s.announced(operation, "todos.created", made.ID)[0]
	at := time.Date(2026, 11, 24, 12, 0, 0, 123456000, time.UTC)
	s.notify.attempted(t, id, subscription.Pending, subscription.Attempt{At: at, Took: 1500 * time.Microsecond, Error: "no answer came"})
	s.notify.attempted(t, id, subscription.Dead, subscription.Attempt{
		At: at.Add(time.Second), Took: 2 * time.Second, Status: 500, Reply: []byte("<b>\x00\xffé\xc3"), Error: "the receiver answered 500",
	})
	var got attempted
	s.get("/api/deliveries/" + id).want(200).into(&got)
	if got.FinishedAt == nil || !utc.MatchString(*got.FinishedAt) || *got.FinishedAt < got.CreatedAt { // by the database's clock
		t.Errorf("made at %s, finished at %v", got.CreatedAt, got.FinishedAt)
	}
	want := attempted{
		delivery: delivery{
			ID: id, Subscription: made.ID, Event: operation, Operation: &operation, Type: "todos.created", Status: "dead", AttemptCount: 2, Generation: 1,
			Error: new("the receiver answered 500"), CreatedAt: got.CreatedAt, FinishedAt: got.FinishedAt,
		},
		Attempts: []attempt{
			{At: "2026-11-24T12:00:00.123456Z", DurationMS: 1.5, Error: new("no answer came")},
			{At: "2026-11-24T12:00:01.123456Z", DurationMS: 2000, StatusCode: new(500), Reply: "<b>\uFFFD\uFFFDé\uFFFD", Error: new("the receiver answered 500")},
		},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(attempted{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	s.act("/api/deliveries/" + id + "/retry").want(202)
	s.notify.attempted(t, id, subscription.Delivered, subscription.Attempt{At: at, Status: 204})
	s.get("/api/deliveries/" + id).want(200).into(&got)
	if got.Status != "delivered" || got.Error != nil || len(got.Attempts) != 3 || got.Attempts[2].Error != nil {
		t.Errorf("got %+v", got)
	}
}

func TestDeliveries_List(t *testing.T) {
	t.Parallel()
	s := newService(t)
	a, b := s.subscribed(hook("a")).ID, s.subscribed(hook("b")).ID
	first, second := record.NewID(time.Now().UnixMicro(), 1, 1), record.NewID(time.Now().UnixMicro(), 1, 2)
	ids := s.announced(first, "todos.created", a, b)
	ids = append(ids, s.announced(second, "todos.deleted", a)...)
	ids = append(ids, s.act("/api/subscriptions/"+b+"/test").delivering().ID)
	s.notify.attempted(t, ids[0], subscription.Delivered, subscription.Attempt{At: time.Now(), Status: 200})
	s.notify.attempted(t, ids[1], subscription.Dead, subscription.Attempt{At: time.Now(), Error: "x"})
	for query, want := range map[string][]string{
		"":                                    {ids[3], ids[2], ids[1], ids[0]},
		"?limit=3":                            {ids[3], ids[2], ids[1]},
		"?subscription=" + a:                  {ids[2], ids[0]},
		"?operation=" + first:                 {ids[1], ids[0]},
		"?operation=" + second:                {ids[2]},
		"?status=pending":                     {ids[3], ids[2]},
		"?status=delivered":                   {ids[0]},
		"?status=dead":                        {ids[1]},
		"?status=canceled":                    {},
		"?status=pending&subscription=" + a:   {ids[2]},
		"?subscription=" + a[:35] + "x":       nil,
		"?subscription=" + b + "&status=dead": {ids[1]},
		"?operation=" + record.NewID(1, 1, 1): {},
	} {
		if want == nil {
			s.get("/api/deliveries"+query).problem(400, "invalid_parameter", "query.subscription")
			continue
		}
		if got := s.page("/api/deliveries"+query).members(t, "id"); !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", query, got, want)
		}
	}
	if got := s.walk("/api/deliveries?limit=1", func() {}); !slices.Equal(got, []string{ids[3], ids[2], ids[1], ids[0]}) {
		t.Errorf("page by page: %v", got)
	}
	for i, item := range s.page("/api/deliveries").Items {
		var one, listed map[string]any
		s.get("/api/deliveries/" + []string{ids[3], ids[2], ids[1], ids[0]}[i]).want(200).into(&one)
		must(t, json.Unmarshal(item, &listed))
		if delete(one, "attempts"); !cmp.Equal(one, listed) {
			t.Errorf("in the list %s, alone %v", item, one)
		}
	}
}

func TestDeliveries_ListRefusesBadParameters(t *testing.T) {
	t.Parallel()
	s := newService(t)
	a := s.subscribed(hook("a")).ID
	s.act("/api/subscriptions/" + a + "/test").want(202)
	s.act("/api/subscriptions/" + a + "/test").want(202)
	cursor := *s.page("/api/deliveries?limit=1").NextCursor
	for query, at := range map[string]string{
		"subscription=":                      "query.subscription",
		"subscription=x":                     "query.subscription",
		"subscription=%00":                   "query.subscription",
		"subscription=" + strings.ToUpper(a): "query.subscription",
		"operation=x":                        "query.operation",
		"operation=":                         "query.operation",
		"status=":                            "query.status",
		"status=done":                        "query.status",
		"status=Dead":                        "query.status",
		"status=dead&status=pending":         "query.status",
		"limit=0":                            "query.limit",
		"cursor=x":                           "query.cursor",
		"status=pending&cursor=" + cursor:    "query.cursor",
		"event=" + a:                         "query.event",
		"type=todos.created":                 "query.type",
	} {
		s.get("/api/deliveries?"+query).problem(400, "invalid_parameter", at)
	}
	id := s.page("/api/deliveries").members(t, "id")[0]
	s.get("/api/deliveries/"+id+"?attempts=1").problem(400, "invalid_parameter", "query.attempts")
	s.act("/api/deliveries/"+id+"/retry?force=1").problem(400, "invalid_parameter", "query.force")
	s.post("/api/deliveries/"+id+"/retry", `{"force":true}`).problem(422, "invalid_record", "body.force")
	s.post("/api/deliveries/"+id+"/retry", `x`).problem(400, "invalid_json", "body")
}

func TestDeliveries_Retry(t *testing.T) {
	t.Parallel()
	s := newService(t)
	made := s.subscribed(hook("x"))
	id := s.act("/api/subscriptions/" + made.ID + "/test").delivering().ID
	s.notify.attempted(t, id, subscription.Dead, subscription.Attempt{At: time.Now(), Error: "x"})
	s.woken()
	d := s.act("/api/deliveries/" + id + "/retry").delivering()
	if d.Status != "pending" || d.Generation != 2 || d.AttemptCount != 1 || d.NextAttemptAt == nil || d.FinishedAt != nil {
		t.Errorf("retried: %+v", d)
	}
	if got := s.woken(); !slices.Equal(got, []string{made.ID}) {
		t.Errorf("woken: %v", got)
	}
	s.act("/api/deliveries/"+id+"/retry").problem(409, "conflict") // it is due: maybe it is being made
	s.act("/api/subscriptions/" + made.ID + "/disable").want(200)
	s.woken()
	s.post("/api/deliveries/"+id+"/retry", "{}").problem(409, "conflict")
	s.delete("/api/subscriptions/" + made.ID).want(204)
	s.woken()
	s.act("/api/deliveries/"+id+"/retry").problem(409, "conflict")
	if got := s.woken(); len(got) > 0 {
		t.Errorf("woken: %v", got)
	}
}

func TestSubscriptions_Replay(t *testing.T) {
	t.Parallel()
	s := newService(t)
	made := s.subscribed(hook("x"))
	at := "/api/subscriptions/" + made.ID
	announced := func(eventType string, n int) string {
		return s.announced(record.NewID(time.Now().UnixMicro(), 1, n), eventType, made.ID)[0]
	}
	dead, pending := s.act(at+"/test").delivering().ID, s.act(at+"/test").delivering().ID
	delivered, tested, unwanted := announced("todos.created", 1), s.act(at+"/test").delivering().ID, announced("todos.failed", 2)
	s.notify.attempted(t, dead, subscription.Dead, subscription.Attempt{At: time.Now(), Error: "x"})
	for _, id := range []string{delivered, tested, unwanted} {
		s.notify.attempted(t, id, subscription.Delivered, subscription.Attempt{At: time.Now(), Status: 200})
	}
	s.woken()
	hourAgo := time.Now().Add(-time.Hour)
	since := func(at time.Time, more string) string {
		return `{"since":"` + at.Format(time.RFC3339Nano) + `"` + more + `}`
	}
	for _, step := range []struct {
		body string
		want int
	}{
		{since(hourAgo, `,"until":"`+hourAgo.Add(time.Minute).Format(time.RFC3339)+`","status":"all"`), 0},
		{since(hourAgo.Add(-29*24*time.Hour), ""), 1},
		{since(hourAgo, ""), 0}, // it is pending now
		{since(hourAgo.In(time.FixedZone("", 5*3600)), `,"status":"dead"`), 0},
		{since(hourAgo, `,"status":"all"`), 1},                                 // of those that are not pending, what the subscription's events have
		{`{"since":"2026-10-01T00:00:00Z","until":"2026-10-31T00:00:00Z"}`, 0}, // 30 days
	} {
		var got struct{ Count int }
		s.post(at+"/replay", step.body).want(202).into(&got)
		if woken := s.woken(); got.Count != step.want || !slices.Equal(woken, []string{made.ID}) {
			t.Errorf("%s: %d, want %d; woken: %v", step.body, got.Count, step.want, woken)
		}
	}
	for id, want := range map[string]string{dead: "pending 2", pending: "pending 1", delivered: "pending 2", tested: "delivered 1", unwanted: "delivered 1"} {
		var d attempted
		s.get("/api/deliveries/" + id).want(200).into(&d)
		if got := fmt.Sprint(d.Status, " ", d.Generation); got != want {
			t.Errorf("%s: %s, want %s", d.Type, got, want)
		}
	}
	other := s.subscribed(hook("y"))
	var missed struct{ Count int } // of what it missed, but for the tests of others
	s.post("/api/subscriptions/"+other.ID+"/replay", since(hourAgo, `,"status":"all"`)).want(202).into(&missed)
	if got := s.page("/api/deliveries?subscription="+other.ID).members(t, "type"); missed.Count != 1 || !slices.Equal(got, []string{"todos.created"}) {
		t.Errorf("a newcomer's replay makes %d: %v", missed.Count, got)
	}
}

func TestAPI_OperationsCountTheirDeliveries(t *testing.T) {
	t.Parallel()
	s := working(t)
	const onlyX = `"filter":{"text":"x"}`
	a := s.subscribed(hook("a"), onlyX).ID
	s.subscribed(hook("b"), onlyX)
	const key = "Idempotency-Key: k"
	op := s.post("/api/todos", `{"text":"x"}`, key).accepted()
	other := s.post("/api/todos", `{"text":"y"}`).accepted()
	s.ended(op.ID)
	s.ended(other.ID)
	s.notify.attempted(t, s.page("/api/deliveries?operation="+op.ID+"&subscription="+a).members(t, "id")[0], subscription.Dead, subscription.Attempt{At: time.Now(), Error: "x"})
	check := func(what string, got operation, pending, dead int) {
		t.Helper()
		if d := got.Deliveries; d.Pending != pending || d.Dead != dead || d.Delivered+d.Canceled != 0 {
			t.Errorf("%s: %+v", what, d)
		}
	}
	check("alone", s.ended(op.ID), 1, 1)
	check("without any", s.ended(other.ID), 0, 0)
	check("a repeat", s.post("/api/todos", `{"text":"x"}`, key).accepted(), 1, 1)
	for i, item := range s.page("/api/operations").Items {
		var got operation
		must(t, json.Unmarshal(item, &got))
		check("in the list", got, i, i) // newest first
	}
	s.notify.countsFail(fault.New(fault.StoreUnavailable, "the database cannot be used now"))
	s.get("/api/operations/"+op.ID).problem(503, "store_unavailable")
	s.get("/api/operations").problem(503, "store_unavailable")
	check("a repeat that cannot be told more", s.post("/api/todos", `{"text":"x"}`, key).accepted(), 0, 0)
}

func unsubscribeLink(id, address, token string) string {
	return "/api/subscriptions/" + id + "/unsubscribe?" + url.Values{"to": {address}, "tenant": {record.DefaultTenant}, "token": {token}}.Encode()
}
