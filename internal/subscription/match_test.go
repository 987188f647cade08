package subscription_test

import (
	"encoding/json"
	"testing"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/subscription"
)

func TestCheckPattern(t *testing.T) {
	t.Parallel()
	known := func(name string) bool { return name == "messages" || name == "a.b" }
	for pattern, good := range map[string]bool{
		"*": true, "messages.*": true, "messages.created": true, "messages.updated": true, "messages.deleted": true,
		"messages.failed": true, "a.b.created": true, "subscription.disabled": true, "subscription.*": true,
		"": false, "messages": false, "messages.": false, ".created": false, "messages.gone": false, "other.created": false,
		"**": false, "*.created": false, "Messages.created": false, "messages.created.x": false, "subscription.test": false, " *": false, "* ": false,
	} {
		if err := subscription.CheckPattern(pattern, known); (err == nil) != good {
			t.Errorf("CheckPattern(%q) = %v, want good: %v", pattern, err, good)
		}
	}
}

func TestIndex_MatchesByPatternAndFilter(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, event, filter, data string
		patterns                  []string
		want                      bool
	}{
		{"named", "messages.created", "", `{}`, []string{"messages.created"}, true},
		{"other", "messages.updated", "", `{}`, []string{"messages.created"}, false},
		{"one of several", "messages.updated", "", `{}`, []string{"todos.*", "messages.updated"}, true},
		{"all of a collection", "messages.deleted", "", `{}`, []string{"messages.*"}, true},
		{"another collection", "messagesx.created", "", `{}`, []string{"messages.*"}, false},
		{"everything", "todos.created", "", `{}`, []string{"*"}, true},
		{"failed is not everything", "todos.failed", "", `{}`, []string{"*"}, false},
		{"failed is not all of a collection", "todos.failed", "", `{}`, []string{"todos.*"}, false},
		{"failed, named", "todos.failed", "", `{}`, []string{"todos.failed"}, true},
		{"disabled is everything", "subscription.disabled", "", `{}`, []string{"*"}, true},
		{"a test is somebody's own", "subscription.test", "", `{}`, []string{"*", "subscription.*"}, false},
		{"true", "todos.created", `{"completed":true}`, `{"completed":true}`, []string{"*"}, true},
		{"not true", "todos.created", `{"completed":true}`, `{"completed":false}`, []string{"*"}, false},
		{"true is no text", "todos.created", `{"completed":true}`, `{"completed":"true"}`, []string{"*"}, false},
		{"missing", "todos.created", `{"completed":true}`, `{}`, []string{"*"}, false},
		{"text with escapes", "t.created", `{"s":"é\n"}`, `{"s":"\u00e9\u000a"}`, []string{"*"}, true},
		{"a number written otherwise", "t.created", `{"n":100}`, `{"n":1.00e2}`, []string{"*"}, true},
		{"a small number", "t.created", `{"n":0.010}`, `{"n":1E-2}`, []string{"*"}, true},
		{"zero", "t.created", `{"n":0}`, `{"n":-0.0}`, []string{"*"}, true},
		{"beyond a float's precision", "t.created", `{"n":9007199254740993}`, `{"n":9007199254740992}`, []string{"*"}, false},
		{"negative", "t.created", `{"n":-1}`, `{"n":1}`, []string{"*"}, false},
		{"huge exponent", "t.created", `{"n":1e999999999999999999999}`, `{"n":10e999999999999999999998}`, []string{"*"}, true},
		{"all of several", "t.created", `{"a":1,"b":2}`, `{"a":1,"b":3}`, []string{"*"}, false},
		{"an object is no scalar", "t.created", `{"a":1}`, `{"a":{"b":1}}`, []string{"*"}, false},
	} {
		s := subscription.Subscription{Key: subscription.Key{Tenant: "default", ID: "1"}, Events: c.patterns, Filter: json.RawMessage(c.filter)}
		x := subscription.NewIndex([]subscription.Subscription{s}, nil)
		if got := len(x.Match("default", c.event, "", []byte(c.data))) == 1; got != c.want {
			t.Errorf("%s: matched %v, want %v", c.name, got, c.want)
		}
		e := subscription.Event{Type: c.event, Body: []byte(`{"data":` + c.data + `}`)}
		if got := s.Wants(&e, nil); got != c.want {
			t.Errorf("%s: Wants %v, want %v", c.name, got, c.want)
		}
		if len(x.Match("other", c.event, "", []byte(c.data))) != 0 {
			t.Errorf("%s: another tenant's event matched", c.name)
		}
	}
}

func TestEventOf_SaysWhatHappened(t *testing.T) {
	t.Parallel()
	id := record.NewID(1_767_225_600_123_456, 1, 0)
	op := record.Operation{ID: id, Key: record.Key{Tenant: "default", Collection: "todos", ID: id}, Action: record.Create, Body: []byte(`{"text":"<a>"}`)}
	rec := &record.Record{Key: op.Key, Version: 1, Data: op.Body, CreatedBy: id, UpdatedBy: id}
	for _, c := range []struct {
		name    string
		outcome record.Outcome
		want    string
	}{
		{"created", record.Outcome{Operation: op, Status: record.Done, Created: true, Record: rec},
			`{"type":"todos.created","timestamp":"2026-01-01T00:00:00.123456Z","data":{"id":"` + id + `","version":1,"created_at":"2026-01-01T00:00:00.123456Z","updated_at":"2026-01-01T00:00:00.123456Z","text":"<a>"},"operation":"` + id + `","tenant":"default"}`},
		{"failed", record.Outcome{Operation: op, Status: record.Failed, Code: fault.Conflict, Detail: `taken "here"`},
			`{"type":"todos.failed","timestamp":"2026-01-01T00:00:00.123456Z","data":{"id":"` + id + `","text":"<a>"},"operation":"` + id + `","tenant":"default","action":"create","error":{"code":"conflict","detail":"taken \"here\""}}`},
	} {
		e := subscription.EventOf(&c.outcome)
		if string(e.Body) != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, e.Body, c.want)
		}
		if !json.Valid(e.Body) {
			t.Errorf("%s: not JSON", c.name)
		}
	}
}
