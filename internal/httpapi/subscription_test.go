package httpapi_test

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/subscription"
)

// subscribed is a subscription as the API shows it.
type subscribed struct {
	ID             string         `json:"id"`
	Name           string         `json:"name"`
	Events         []string       `json:"events"`
	Filter         map[string]any `json:"filter"`
	Channel        map[string]any `json:"channel"`
	RateLimit      *string        `json:"rate_limit"`
	MaxInFlight    int            `json:"max_in_flight"`
	Status         string         `json:"status"`
	DisabledReason *string        `json:"disabled_reason"`
	DisabledAt     *string        `json:"disabled_at"`
	CreatedAt      string         `json:"created_at"`
	UpdatedAt      string         `json:"updated_at"`
	Secret         string         `json:"secret"`
}

func hook(path string) string { return `{"type":"webhook","url":"https://example.com/` + path + `"}` }

func mail(addresses ...string) string {
	return `{"type":"email","to":["` + strings.Join(addresses, `","`) + `"]}`
}

// subscribe is the body of a subscription to all events; more are its other members.
func subscribe(channel string, more ...string) string {
	return "{" + strings.Join(append(more, `"events":["*"]`, `"channel":`+channel), ",") + "}"
}

func (s *service) subscribed(channel string, more ...string) (made subscribed) {
	s.t.Helper()
	a := s.post("/api/subscriptions", subscribe(channel, more...)).want(201)
	a.into(&made)
	a.wantHeader("Location", "/api/subscriptions/"+made.ID)
	return made
}

// act posts an action that says nothing.
func (s *service) act(path string) *answer {
	s.t.Helper()
	return s.send(http.MethodPost, path, nil)
}

// woken returns who was woken since it was last asked.
func (s *service) woken() []string {
	s.notify.mu.Lock()
	defer s.notify.mu.Unlock()
	ids := []string{}
	for _, key := range s.notify.woken {
		ids = append(ids, key.ID)
	}
	s.notify.woken = nil
	return ids
}

var whsec = regexp.MustCompile(`^whsec_[A-Za-z0-9+/=]{32,}$`)

func TestSubscriptions_CreateReadListDelete(t *testing.T) {
	t.Parallel()
	s := newService(t)
	if got := strings.TrimSpace(string(s.get("/api/subscriptions").want(200).body)); got != `{"items":[],"next_cursor":null}` {
		t.Errorf("an empty list is %s", got)
	}
	a := s.post("/api/subscriptions", `{"name":"done","events":["messages.created","todos.*","subscription.disabled"],"filter":{"completed":true},
		"channel":{"type":"webhook","url":"https://example.com/x?a=1&b=2","headers":{"X-Team":"a"}},"rate_limit":"50/s","max_in_flight":1e1}`).want(201)
	var made subscribed
	a.wantHeader("Cache-Control", "no-store").into(&made)
	if !uuid7.MatchString(made.ID) || !whsec.MatchString(made.Secret) || !utc.MatchString(made.CreatedAt) || made.UpdatedAt != made.CreatedAt {
		t.Errorf("made %+v", made)
	}
	secret := made.Secret
	want := subscribed{
		ID: made.ID, Name: "done", Events: []string{"messages.created", "todos.*", "subscription.disabled"}, Filter: map[string]any{"completed": true},
		Channel:   map[string]any{"type": "webhook", "url": "https://example.com/x?a=1&b=2", "headers": map[string]any{"X-Team": "a"}},
		RateLimit: new("50/s"), MaxInFlight: 10, Status: "enabled", CreatedAt: made.CreatedAt, UpdatedAt: made.UpdatedAt,
	}
	var got subscribed
	read := s.get("/api/subscriptions/" + made.ID).want(200)
	read.into(&got)
	if diff := cmp.Diff(want, got); diff != "" || strings.Contains(string(read.body), secret) {
		t.Errorf("read (-want +got):\n%s%s", diff, read.body)
	}
	second, third := s.subscribed(mail("a@example.com")), s.subscribed(`{"type":"chat","url":"slack://token@channel"}`)
	if second.Secret != "" || third.Secret != "" {
		t.Error("a channel without a secret has one")
	}
	if got := s.woken(); !slices.Equal(got, []string{made.ID, second.ID, third.ID}) {
		t.Errorf("woken: %v", got)
	}
	want = subscribed{
		ID: second.ID, Events: []string{"*"}, Channel: map[string]any{"type": "email", "to": []any{"a@example.com"}},
		MaxInFlight: subscription.DefaultInFlight, Status: "enabled", CreatedAt: second.CreatedAt, UpdatedAt: second.CreatedAt,
	}
	if diff := cmp.Diff(want, second); diff != "" {
		t.Errorf("what is left out (-want +got):\n%s", diff)
	}
	if got := s.walk("/api/subscriptions?limit=1", func() {}); !slices.Equal(got, []string{third.ID, second.ID, made.ID}) {
		t.Errorf("page by page: %v", got)
	}
	if text := string(s.get("/api/subscriptions").want(200).body); strings.Contains(text, secret) || strings.Contains(text, `"secret"`) {
		t.Errorf("the list shows a secret: %s", text)
	}
	if gone := s.delete("/api/subscriptions/" + second.ID).want(204); len(gone.body) > 0 {
		t.Errorf("204 with a body: %s", gone.body)
	}
	if got := s.woken(); !slices.Equal(got, []string{second.ID}) { // who delivers to it stops
		t.Errorf("woken: %v", got)
	}
	s.get("/api/subscriptions/"+second.ID).problem(404, "not_found")
	s.delete("/api/subscriptions/"+second.ID).problem(404, "not_found")
}

func TestSubscriptions_Patch(t *testing.T) {
	t.Parallel()
	s := newService(t)
	made := s.subscribed(`{"type":"webhook","url":"https://example.com/a","headers":{"X-A":"1","X-B":"2"}}`,
		`"name":"n"`, `"filter":{"completed":true,"text":"x"}`, `"rate_limit":"5/m"`, `"max_in_flight":3`)
	at := "/api/subscriptions/" + made.ID
	want := made
	want.Secret = ""
	step := func(patch string, change func(), headers ...string) {
		t.Helper()
		var got, again subscribed
		s.send("PATCH", at, strings.NewReader(patch), headers...).want(200).into(&got)
		s.get(at).want(200).into(&again)
		change()
		if got.UpdatedAt < want.UpdatedAt {
			t.Errorf("updated at %s, before %s", got.UpdatedAt, want.UpdatedAt)
		}
		want.UpdatedAt = got.UpdatedAt
		if diff := cmp.Diff(want, got) + cmp.Diff(got, again); diff != "" {
			t.Errorf("after %s (-want +got):\n%s", patch, diff)
		}
	}
	const merge, plain = "Content-Type: " + mergeJSON, "Content-Type: " + plainJSON
	step(`{}`, func() {}, merge)
	step(`{"name":"m","events":["todos.*","messages.failed"]}`, func() { want.Name, want.Events = "m", []string{"todos.*", "messages.failed"} }, plain)
	step(`{"filter":{"text":null}}`, func() { delete(want.Filter, "text") }, merge)
	step(`{"filter":null,"rate_limit":null,"max_in_flight":null,"name":null}`, func() { want.Filter, want.RateLimit, want.MaxInFlight, want.Name = nil, nil, 10, "" }, merge)
	step(`{"rate_limit":"7/h","max_in_flight":1000}`, func() { want.RateLimit, want.MaxInFlight = new("7/h"), 1000 }, merge)
	step(`{"channel":{"headers":{"X-A":null}}}`, func() { want.Channel["headers"] = map[string]any{"X-B": "2"} }, merge)
	secret := s.secret(made.ID)
	if secret != made.Secret {
		t.Error("a patch of the channel changed its secret")
	}
	step(`{"channel":{"type":"chat","url":"slack://x@y"}}`, func() { want.Channel = map[string]any{"type": "chat", "url": "slack://x@y"} }, merge)
	s.patch("/api/subscriptions/"+record.NewID(1, 1, 1), `{}`).problem(404, "not_found")
}

// secret returns what signs the webhooks of a subscription.
func (s *service) secret(id string) string {
	s.t.Helper()
	kept, err := s.notify.Subscription(s.t.Context(), subscription.Key{Tenant: record.DefaultTenant, ID: id})
	must(s.t, err)
	secret, err := fakeChannels{}.Secret(kept)
	must(s.t, err)
	return secret
}

func TestSubscriptions_EnableDisable(t *testing.T) {
	t.Parallel()
	s := newService(t)
	made := s.subscribed(hook("x"))
	at := "/api/subscriptions/" + made.ID
	s.act(at + "/test").want(202)
	s.woken()
	turn := func(action string) (got subscribed) {
		t.Helper()
		s.act(at + "/" + action).want(200).into(&got)
		if got.Secret != "" {
			t.Errorf("%s shows the secret", action)
		}
		return got
	}
	off := turn("disable")
	if off.Status != "disabled" || off.DisabledReason == nil || *off.DisabledReason != "disabled by request" || off.DisabledAt == nil || !utc.MatchString(*off.DisabledAt) {
		t.Errorf("disabled: %+v", off)
	}
	if got := s.woken(); !slices.Equal(got, []string{made.ID}) { // who delivers to it stops
		t.Errorf("woken: %v", got)
	}
	if diff := cmp.Diff(off, turn("disable")); diff != "" {
		t.Errorf("disabled twice:\n%s", diff)
	}
	if got := s.page("/api/deliveries").members(t, "status"); !slices.Equal(got, []string{"canceled"}) {
		t.Errorf("deliveries are %v", got)
	}
	s.woken()
	s.act(at+"/test").problem(409, "conflict")
	s.post(at+"/replay", `{"since":"2026-11-01T00:00:00Z","until":"2026-11-02T00:00:00Z"}`).problem(409, "conflict")
	if got := s.woken(); len(got) > 0 {
		t.Errorf("woken: %v", got)
	}
	on := turn("enable")
	if on.Status != "enabled" || on.DisabledReason != nil || on.DisabledAt != nil {
		t.Errorf("enabled: %+v", on)
	}
	if diff := cmp.Diff(on, turn("enable")); diff != "" {
		t.Errorf("enabled twice:\n%s", diff)
	}
	if got := s.woken(); !slices.Equal(got, []string{made.ID, made.ID}) {
		t.Errorf("woken: %v", got)
	}
	s.act(at + "/test").want(202)
}

func TestSubscriptions_RotateSecret(t *testing.T) {
	t.Parallel()
	s := newService(t)
	made := s.subscribed(hook("x"))
	var rotated subscribed
	s.act("/api/subscriptions/"+made.ID+"/rotate-secret").want(200).wantHeader("Cache-Control", "no-store").into(&rotated)
	if rotated.Secret == made.Secret || !whsec.MatchString(rotated.Secret) || s.secret(made.ID) != rotated.Secret {
		t.Errorf("from %s to %s", made.Secret, rotated.Secret)
	}
	chat := s.subscribed(`{"type":"chat","url":"slack://x@y"}`)
	s.act("/api/subscriptions/"+chat.ID+"/rotate-secret").problem(409, "conflict")
}

// Whose IDs are not ours to see, nobody can tell from IDs that are no one's.
func TestSubscriptions_UnknownIDs(t *testing.T) {
	t.Parallel()
	s := newService(t)
	other := subscription.Subscription{Key: subscription.Key{Tenant: "other", ID: record.NewID(5, 5, 5)}, Enabled: true, Channel: subscription.Webhook, Target: []byte(`{}`)}
	must(t, s.notify.CreateSubscription(t.Context(), &other))
	e := subscription.Notice("other", record.NewID(6, 6, 6), subscription.TypeTest, other.CreatedAt, []byte(`{}`))
	delivery, err := s.notify.Announce(t.Context(), &e, other.Key)
	must(t, err)
	for _, id := range []string{other.ID, record.NewID(1, 1, 1), "x", "%00", "%ff", strings.ToUpper("0198c0de-000a-7abc-8def-01234567000a"), "0198c0de-0001-4abc-8def-012345670000"} {
		at := "/api/subscriptions/" + id
		s.get(at).problem(404, "not_found")
		s.patch(at, `{"name":"mine"}`).problem(404, "not_found")
		s.delete(at).problem(404, "not_found")
		for _, action := range []string{"test", "rotate-secret", "enable", "disable"} {
			s.act(at+"/"+action).problem(404, "not_found")
		}
		s.post(at+"/replay", `{"since":"2026-11-01T00:00:00Z","until":"2026-11-02T00:00:00Z"}`).problem(404, "not_found")
		s.get(at+"/unsubscribe?to=a@example.com&token=x").problem(404, "not_found")
	}
	for _, id := range []string{delivery.ID, record.NewID(1, 1, 1), "x", "%00"} {
		s.get("/api/deliveries/"+id).problem(404, "not_found")
		s.act("/api/deliveries/"+id+"/retry").problem(404, "not_found")
	}
	for _, path := range []string{"/api/subscriptions", "/api/deliveries", "/api/deliveries?subscription=" + other.ID} {
		if got := s.page(path); len(got.Items) > 0 {
			t.Errorf("%s has %s", path, got.Items)
		}
	}
	if got := fmt.Sprint(s.woken()); got != "[]" {
		t.Errorf("woken: %s", got)
	}
}

// Whoever changes the channel is told the secret that the new one signs with.
func TestSubscriptions_AnotherChannelShowsItsSecret(t *testing.T) {
	t.Parallel()
	s := newService(t)
	made := s.subscribed(hook("x"))
	at := "/api/subscriptions/" + made.ID
	for _, step := range []struct {
		patch  string
		secret bool
	}{
		{`{"channel":{"type":"email","to":["a@example.com"]}}`, false},
		{`{"channel":{"type":"webhook","url":"https://example.com/y"}}`, true},
		{`{"channel":{"url":"https://example.com/z"}}`, false}, // it has the secret that was shown
	} {
		var got subscribed
		s.patch(at, step.patch).want(200).into(&got)
		if (got.Secret != "") != step.secret {
			t.Errorf("%s: secret %q", step.patch, got.Secret)
		}
	}
}
