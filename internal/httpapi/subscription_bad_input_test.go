package httpapi_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// many returns n items as the text of a JSON array.
func many(n int, item func(i int) string) string {
	items := make([]string, n)
	for i := range items {
		items[i] = item(i)
	}
	return "[" + strings.Join(items, ",") + "]"
}

func events(list, more string) string {
	return `{"events":` + list + `,"channel":` + hook("x") + more + `}`
}

// badSubscriptions are bodies that make no subscription. A filter is one on
// todos, which have text and completed; messages have content.
var badSubscriptions = []badInput{
	{name: "empty", body: "", status: 400, at: []string{"body"}},
	{name: "not JSON", body: "name=x", status: 400, at: []string{"body"}},
	{name: "an array", body: "[]", status: 400, at: []string{"body"}},
	{name: "null", body: "null", status: 400, at: []string{"body"}},
	{name: "duplicate names", body: events(`["*"]`, `,"name":"a","name":"b"`), status: 400, at: []string{"body.name"}},
	{name: "duplicate names inside", body: `{"events":["*"],"channel":{"type":"chat","type":"email"}}`, status: 400, at: []string{"body.channel.type"}},
	{name: "NUL", body: events(`["*"]`, `,"name":"\u0000"`), status: 400, at: []string{"body.name"}},
	{name: "a lone surrogate", body: events(`["*"]`, `,"name":"\ud800"`), status: 400, at: []string{"body.name"}},
	{name: "invalid UTF-8", body: events("[\"\xff\"]", ""), status: 400, at: []string{"body.events[0]"}},
	{name: "too large", body: events(`["*"]`, `,"name":"`+strings.Repeat("x", 257*kib)+`"`), status: 413, at: []string{"body"}},

	{name: "nothing", body: `{}`, at: []string{"body.channel", "body.events"}},
	{name: "unknown members", body: events(`["*"]`, `,"secret":"x","status":"enabled","Name":"x"`), at: []string{"body.Name", "body.secret", "body.status"}},
	{name: "the server's members", body: events(`["*"]`, `,"id":"x","created_at":"x"`), at: []string{"body.created_at", "body.id"}},
	{name: "name: a number", body: events(`["*"]`, `,"name":1`), at: []string{"body.name"}},
	{name: "name: null", body: events(`["*"]`, `,"name":null`), at: []string{"body.name"}},
	{name: "name: 201 characters", body: events(`["*"]`, `,"name":"`+strings.Repeat("é", 201)+`"`), at: []string{"body.name"}},

	{name: "events: a string", body: events(`"*"`, ""), at: []string{"body.events"}},
	{name: "events: none", body: events(`[]`, ""), at: []string{"body.events"}},
	{name: "events: 101", body: events(many(101, func(i int) string { return fmt.Sprintf(`"%d"`, i) }), ""), at: []string{"body.events"}},
	{name: "events: twice the same", body: events(`["*","*"]`, ""), at: []string{"body.events"}},
	{name: "events: a number", body: events(`["*",1]`, ""), at: []string{"body.events[1]"}},
	{name: "events: unknown patterns", body: events(`["","messages","messages.","messages.read","*.created",".created","MESSAGES.created","messages.created"]`, ""),
		at: []string{"body.events[0]", "body.events[1]", "body.events[2]", "body.events[3]", "body.events[4]", "body.events[5]", "body.events[6]"}},
	{name: "events: no such collection", body: events(`["messages.created","nothing.created","nothing.*"]`, ""), at: []string{"body.events[1]", "body.events[2]"}},
	{name: "events: no such notice", body: events(`["subscription.test"]`, ""), at: []string{"body.events[0]"}},

	{name: "filter: a string", body: events(`["todos.*"]`, `,"filter":"completed"`), at: []string{"body.filter"}},
	{name: "filter: no fields", body: events(`["todos.*"]`, `,"filter":{}`), at: []string{"body.filter"}},
	{name: "filter: 21 fields", body: events(`["readings.*"]`, `,"filter":{"x0":1`+strings.TrimSuffix(strings.ReplaceAll(many(20, func(i int) string { return fmt.Sprintf(`"x%d":1`, i+1) }), "[", ","), "]")+"}"), at: []string{"body.filter"}},
	{name: "filter: null", body: events(`["todos.*"]`, `,"filter":{"completed":null}`), at: []string{"body.filter.completed"}},
	{name: "filter: an array and an object", body: events(`["todos.*"]`, `,"filter":{"completed":[],"text":{}}`), at: []string{"body.filter.completed", "body.filter.text"}},
	{name: "filter: a field that the schema has not", body: events(`["todos.*"]`, `,"filter":{"completed":true,"content":"x","a b":1}`), at: []string{"body.filter.content", `body.filter["a b"]`}},
	{name: "filter: a field of another collection", body: events(`["messages.created"]`, `,"filter":{"completed":true}`), at: []string{"body.filter.completed"}},
	{name: "filter: a field of none", body: events(`["*"]`, `,"filter":{"colour":"red"}`), at: []string{"body.filter.colour"}},
	{name: "filter: values of the wrong type", body: events(`["todos.*"]`, `,"filter":{"completed":"true","text":1}`), at: []string{"body.filter.completed", "body.filter.text"}},
	{name: "filter: a field that holds objects", body: events(`["readings.*"]`, `,"filter":{"place":"here"}`), at: []string{"body.filter.place"}},
	{name: "filter: of no collection", body: events(`["subscription.disabled"]`, `,"filter":{"completed":true}`), at: []string{"body.filter"}},

	{name: "channel: a string", body: subscribe(`"webhook"`), at: []string{"body.channel"}},
	{name: "channel: null", body: subscribe(`null`), at: []string{"body.channel"}},
	{name: "channel: no type", body: subscribe(`{"url":"https://example.com"}`), at: []string{"body.channel.type"}},
	{name: "channel: unknown type", body: subscribe(`{"type":"pigeon","url":"https://example.com"}`), at: []string{"body.channel.type"}},
	{name: "channel: type in capitals", body: subscribe(`{"type":"Webhook","url":"https://example.com"}`), at: []string{"body.channel.type"}},
	{name: "channel: type a number", body: subscribe(`{"type":1}`), at: []string{"body.channel.type"}},
	{name: "channel: what the channel refuses", body: subscribe(`{"type":"webhook","url":"nowhere"}`), at: []string{"body.channel.url"}},
	{name: "channel: a bad address", body: subscribe(mail("a@example.com", "b")), at: []string{"body.channel.to[1]"}},

	{name: "rate_limit: 0/s", body: events(`["*"]`, `,"rate_limit":"0/s"`), at: []string{"body.rate_limit"}},
	{name: "rate_limit: -1/s", body: events(`["*"]`, `,"rate_limit":"-1/s"`), at: []string{"body.rate_limit"}},
	{name: "rate_limit: per day", body: events(`["*"]`, `,"rate_limit":"5/d"`), at: []string{"body.rate_limit"}},
	{name: "rate_limit: empty", body: events(`["*"]`, `,"rate_limit":""`), at: []string{"body.rate_limit"}},
	{name: "rate_limit: a number", body: events(`["*"]`, `,"rate_limit":50`), at: []string{"body.rate_limit"}},
	{name: "max_in_flight: 0", body: events(`["*"]`, `,"max_in_flight":0`), at: []string{"body.max_in_flight"}},
	{name: "max_in_flight: 1001", body: events(`["*"]`, `,"max_in_flight":1001`), at: []string{"body.max_in_flight"}},
	{name: "max_in_flight: a fraction", body: events(`["*"]`, `,"max_in_flight":1.5`), at: []string{"body.max_in_flight"}},
	{name: "max_in_flight: a string", body: events(`["*"]`, `,"max_in_flight":"10"`), at: []string{"body.max_in_flight"}},
	{
		name: "everything at once", body: `{"events":["nothing.*","todos.*"],"filter":{"completed":1},"channel":{"type":"chat","url":"x"},"rate_limit":"0/s","max_in_flight":0,"colour":1}`,
		at: []string{"body.channel.url", "body.colour", "body.events[0]", "body.max_in_flight", "body.rate_limit"}, // the filter waits for good events
	},
}

// badActions are bad requests on a subscription, at the path that each adds.
var badActions = []badInput{
	{name: "test with a word", path: "/test", body: `{"message":"hello"}`, at: []string{"body.message"}},
	{name: "test with an array", path: "/test", body: `[]`, status: 400, at: []string{"body"}},
	{name: "rotate with a secret", path: "/rotate-secret", body: `{"secret":"mine"}`, at: []string{"body.secret"}},
	{name: "enable with more", path: "/enable", body: `{"a":1}`, at: []string{"body.a"}},
	{name: "disable with a reason", path: "/disable", body: `{"reason":"x"}`, at: []string{"body.reason"}},
	{name: "disable with what is not JSON", path: "/disable", body: `x`, status: 400, at: []string{"body"}},
	{name: "replay of nothing", path: "/replay", body: ``, status: 400, at: []string{"body"}},
	{name: "replay without since", path: "/replay", body: `{}`, at: []string{"body.since"}},
	{name: "replay since null", path: "/replay", body: `{"since":null}`, at: []string{"body.since"}},
	{name: "replay since a number", path: "/replay", body: `{"since":1700000000}`, at: []string{"body.since"}},
	{name: "replay since a day", path: "/replay", body: `{"since":"2026-11-01"}`, at: []string{"body.since"}},
	{name: "replay without a zone", path: "/replay", body: `{"since":"2026-11-01T00:00:00"}`, at: []string{"body.since"}},
	{name: "replay since no such day", path: "/replay", body: `{"since":"2026-02-30T00:00:00Z"}`, at: []string{"body.since"}},
	{name: "replay since a leap second", path: "/replay", body: `{"since":"2016-12-31T23:59:60Z"}`, at: []string{"body.since"}},
	{name: "replay until nonsense", path: "/replay", body: `{"since":"2026-11-01T00:00:00Z","until":"tomorrow"}`, at: []string{"body.until"}},
	{name: "replay since after until", path: "/replay", body: `{"since":"2026-11-01T00:00:01Z","until":"2026-11-01T00:00:00Z"}`, at: []string{"body.since"}},
	{name: "replay from the future", path: "/replay", body: `{"since":"9999-01-01T00:00:00Z"}`, at: []string{"body.since"}},
	{name: "replay of more than 30 days", path: "/replay", body: `{"since":"2026-10-01T00:00:00Z","until":"2026-10-31T00:00:01Z"}`, at: []string{"body.since"}},
	{name: "replay of all time", path: "/replay", body: `{"since":"0000-01-01T00:00:00Z"}`, at: []string{"body.since"}},
	{name: "replay of an unknown status", path: "/replay", body: `{"since":"2026-11-01T00:00:00Z","until":"2026-11-02T00:00:00Z","status":"pending"}`, at: []string{"body.status"}},
	{name: "replay with more", path: "/replay", body: `{"since":"2026-11-02T00:00:00Z","until":"2026-11-01T00:00:00Z","status":1,"event":"x"}`, at: []string{"body.event", "body.since", "body.status"}},

	{name: "patch of the server's", method: "PATCH", body: `{"id":"x","secret":"x"}`, at: []string{"body.id", "body.secret"}},
	{name: "patch without events", method: "PATCH", body: `{"events":null}`, at: []string{"body.events"}},
	{name: "patch of events", method: "PATCH", body: `{"events":["nothing.*"]}`, at: []string{"body.events[0]"}},
	{name: "patch of a filter to nothing", method: "PATCH", body: `{"filter":{"completed":null}}`, at: []string{"body.filter"}},
	{name: "patch of a filter's type", method: "PATCH", body: `{"filter":{"completed":"true"}}`, at: []string{"body.filter.completed"}},
	{name: "patch that takes the filter's collection away", method: "PATCH", body: `{"events":["messages.*"]}`, at: []string{"body.filter.completed"}},
	{name: "patch without a channel", method: "PATCH", body: `{"channel":null}`, at: []string{"body.channel"}},
	{name: "patch of the channel's type", method: "PATCH", body: `{"channel":{"type":"pigeon"}}`, at: []string{"body.channel.type"}},
	{name: "patch of the channel's type to null", method: "PATCH", body: `{"channel":{"type":null}}`, at: []string{"body.channel.type"}},
	{name: "patch of the channel's URL", method: "PATCH", body: `{"channel":{"url":"x"},"rate_limit":"0/s"}`, at: []string{"body.channel.url", "body.rate_limit"}},
	{name: "patch of max_in_flight", method: "PATCH", body: `{"max_in_flight":0}`, at: []string{"body.max_in_flight"}},
	{name: "patch that is an array", method: "PATCH", body: `[]`, status: 400, at: []string{"body"}},

	{name: "a form", path: "/replay", body: `since=x`, bare: true, headers: []string{"Content-Type: application/x-www-form-urlencoded"}, status: 415},
	{name: "a form to an action", path: "/test", body: `{}`, bare: true, headers: []string{"Content-Type: application/x-www-form-urlencoded"}, status: 415},
	{name: "a merge patch by another name", method: "PATCH", body: `{}`, bare: true, headers: []string{"Content-Type: application/json-patch+json"}, status: 415},

	{name: "unknown parameters", method: "GET", path: "?expand=1&fields=a", status: -400, at: []string{"query.expand", "query.fields"}},
	{name: "unknown parameter of DELETE", method: "DELETE", path: "?force=1", status: -400, at: []string{"query.force"}},
	{name: "unknown parameter of PATCH", method: "PATCH", path: "?a=1", body: `{}`, status: -400, at: []string{"query.a"}},
	{name: "unknown parameter of an action", path: "/enable?a=1", status: -400, at: []string{"query.a"}},
}

func TestSubscriptions_BadInputChangesNothing(t *testing.T) { //nolint:tparallel // each case compares the state before it with the state after it
	t.Parallel()
	s := newService(t)
	at := "/api/subscriptions/" + s.post("/api/subscriptions", events(`["todos.*"]`, `,"filter":{"completed":true}`)).want(201).id()
	cases := slices.Clone(badActions)
	for i := range cases {
		cases[i].path = at + cases[i].path
	}
	for _, c := range badSubscriptions {
		c.path = "/api/subscriptions"
		cases = append(cases, c)
	}
	cases = append(cases,
		badInput{name: "a form to POST", path: "/api/subscriptions", body: subscribe(hook("x")), bare: true, headers: []string{"Content-Type: application/x-www-form-urlencoded"}, status: 415},
		badInput{name: "NDJSON", path: "/api/subscriptions", body: subscribe(hook("x")), bare: true, headers: []string{"Content-Type: " + lines}, status: 415},
		badInput{name: "unknown parameter of POST", path: "/api/subscriptions?dry_run=1", body: subscribe(hook("x")), status: -400, at: []string{"query.dry_run"}},
	)
	for _, query := range []string{"limit=0", "limit=501", "limit=x", "cursor=x", "status=enabled", "limit=1&limit=1"} {
		name, _, _ := strings.Cut(query, "=")
		cases = append(cases, badInput{name: "list: " + query, method: "GET", path: "/api/subscriptions?" + query, status: -400, at: []string{"query." + name}})
	}
	s.act(at + "/test").want(202)
	s.woken()
	before := s.state()
	codes := map[int]string{0: "invalid_record", 400: "invalid_json", -400: "invalid_parameter", 413: "too_large", 415: "unsupported_media_type"}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			here := *s
			here.t = t
			status := max(c.status, -c.status)
			if status == 0 {
				status = 422
			}
			c.send(&here, plainJSON).problem(status, codes[c.status], c.at...)
			if diff := cmp.Diff(before, here.state()); diff != "" {
				t.Errorf("something changed (-before +after):\n%s", diff)
			}
		})
	}
	if got := s.woken(); len(got) > 0 {
		t.Errorf("woken: %v", got)
	}
}

// id is the ID of what the answer shows.
func (a *answer) id() (id string) {
	a.t.Helper()
	must(a.t, json.Unmarshal([]byte(a.fields()["id"]), &id))
	return id
}

// What is just within the limits is accepted.
func TestSubscriptions_LimitsAreInclusive(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for name, body := range map[string]string{
		"all patterns":      events(`["*","messages.*","messages.created","todos.updated","readings.deleted","todos.failed","subscription.*","subscription.disabled"]`, ""),
		"a long name":       events(`["*"]`, `,"name":"`+strings.Repeat("é", 200)+`"`),
		"no name":           events(`["*"]`, `,"name":""`),
		"nulls":             events(`["*"]`, `,"filter":null,"rate_limit":null`),
		"the least":         events(`["*"]`, `,"rate_limit":"1/h","max_in_flight":1`),
		"the most":          events(`["*"]`, `,"rate_limit":"999999999/s","max_in_flight":1000`),
		"fields of two":     events(`["todos.*","messages.*"]`, `,"filter":{"completed":false,"content":"x"}`),
		"every type":        events(`["readings.*"]`, `,"filter":{"sensor":"a","count":1e2,"value":-0.5,"good":true,"limit":3,"anything":"x"}`),
		"a failed one's":    events(`["todos.failed"]`, `,"filter":{"completed":true}`),
		"one of everything": events(`["*"]`, `,"filter":{"completed":true}`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			here := *s
			here.t = t
			here.post("/api/subscriptions", body).want(201)
		})
	}
}
