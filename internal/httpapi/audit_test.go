package httpapi_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/waybill-dev/waybill/internal/auth"
	"github.com/waybill-dev/waybill/internal/httpapi"
	"github.com/waybill-dev/waybill/internal/principal"
	"github.com/waybill-dev/waybill/internal/store"
)

// noted is a request and what the audit must say of it.
type noted struct {
	path, body, media string
	who               string // header
	by, key           string // whom the entry names
	actions           []string
	target            string // "" for what the answer's id is; "*" for any
	status            int
	refused           []refusal
}

// refusal is a request to the same address that must leave nothing in the audit.
type refusal struct {
	who, path, body string // "" for those of the change
	status          int
}

// unaudited change what the audit is not about.
var unaudited = map[string]string{
	"POST /api/auth/refresh": "every login would fill it; one that is shown twice is in it (auth's tests)",
	"* /queues":              "the queue is not a tenant's; the log has it", "* /queues/*": "see /queues",
}

// audited says of each route that changes something what it leaves.
func (p *people) audited() map[string]noted {
	ann, admin := "user:"+p.ids["default/ann"], "user:"+p.ids["default/admin"]
	made := p.subscribe(p.ann, `["*"]`)
	var letters subscribed
	p.post("/api/subscriptions", `{"events":["*"],"channel":`+mail("a@example.com", "b@example.com")+`}`, p.ann).want(201).into(&letters)
	doomed, off := p.subscribe(p.ann, `["*"]`), p.subscribe(p.ann, `["*"]`)
	p.post("/api/subscriptions/"+off.ID+"/disable", "{}", p.ann).want(200)
	p.write("public_public")
	deliveries, _, err := p.store.Deliveries(p.t.Context(), "default", store.DeliveryQuery{Subscription: made.ID, Limit: 1})
	must(p.t, err)
	_, err = p.store.DB().ExecContext(p.t.Context(), "UPDATE deliveries SET status = 'dead' WHERE id = $1", deliveries[0].ID)
	must(p.t, err)
	end, _ := p.key("default", p.ids["default/ann"], nil, "records:read")
	link, err := p.auth.MakeLink(p.t.Context(), "operator")
	must(p.t, err)
	cookie, leaving := p.cookie(p.ann), p.login("default", "ann")
	const none = "Authorization:"
	on := func(id, action string) string { return "/api/subscriptions/" + id + action }
	others := []refusal{{p.bob, "", "", 404}, {none, "", "", 401}}
	return map[string]noted{
		"POST /api/auth/register": {
			path: "/api/auth/register", body: `{"email":"new@example.com","password":"` + castPassword + `"}`, who: none, actions: []string{"user.create"}, status: 201,
			refused: []refusal{{"", "", `{"email":"new@example.com","password":"` + castPassword + `"}`, 409}, {"", "", `{"email":"x@example.com","password":"short"}`, 422}},
		},
		"POST /api/auth/login": {
			path: "/api/auth/login", body: `{"email":"` + p.mail("default", "ann") + `","password":"` + castPassword + `"}`, who: none, by: ann,
			actions: []string{"session.start"}, target: "*", status: 200, refused: []refusal{{"", "", `{"email":"` + p.mail("default", "ann") + `","password":"wrong"}`, 401}},
		},
		"POST /api/auth/logout": {
			path: "/api/auth/logout", who: leaving, by: ann, actions: []string{"session.end"}, target: "*", status: 204, refused: []refusal{{none, "", "", 401}},
		},
		"POST /api/auth/password": {
			path: "/api/auth/password", body: `{"current_password":"` + castPassword + `","new_password":"another password"}`, who: p.bob, by: "user:" + p.ids["default/bob"],
			actions: []string{"user.update"}, target: p.ids["default/bob"], status: 204,
			refused: []refusal{{"", "", `{"current_password":"wrong","new_password":"another password"}`, 403}, {p.annKey, "", "", 403}},
		},
		"POST /api/auth/session": {path: "/api/auth/session", who: p.ann, by: ann, actions: []string{"session.start"}, target: "*", status: 204, refused: []refusal{{none, "", "", 401}}},
		"DELETE /api/auth/session": {
			path: "/api/auth/session", who: cookie, by: ann, actions: []string{"session.end"}, target: "*", status: 204,
			refused: []refusal{{none, "", "", 204}}, // there is nothing to end
		},
		"GET /login/{token}": {
			path: "/login/" + link, who: none, actions: []string{"session.end", "session.start"}, target: "*", status: 303,
			refused: []refusal{{none, "/login/" + strings.Repeat("A", 43), "", 401}},
		},
		"POST /api/keys": {
			path: "/api/keys", body: `{"name":"k","scopes":["records:read"]}`, who: p.ann, by: ann, actions: []string{"key.create"}, status: 201,
			refused: []refusal{{"", "", `{"name":"k","scopes":["admin"]}`, 403}, {p.annKey, "", "", 403}, {"", "", `{"name":"","scopes":[]}`, 422}},
		},
		"DELETE /api/keys/{id}": {path: "/api/keys/" + end, who: p.ann, by: ann, actions: []string{"key.revoke"}, target: end, status: 204, refused: others},
		"POST /api/users": {
			path: "/api/users", body: `{"email":"newer@example.com","password":"` + castPassword + `"}`, who: p.admin, by: admin, actions: []string{"user.create"}, status: 201,
			refused: []refusal{{p.bob, "", "", 403}, {"", "", `{"email":"x@example.com","password":"` + castPassword + `","role":"platform"}`, 403}, {"", "", `{"email":"x","password":"short"}`, 422}},
		},
		"PATCH /api/users/{id}": {
			path: "/api/users/" + p.ids["default/carl"], body: `{"disabled":true}`, media: mergeJSON, who: p.admin, by: admin, actions: []string{"user.update"},
			target: p.ids["default/carl"], status: 200, refused: []refusal{{"", "", `{"role":"platform"}`, 403}, {"", "", `{"tenant":"acme"}`, 403}, {p.bob, "", "", 403}, {"", "", `{"role":"x"}`, 422}},
		},
		"POST /api/subscriptions": {
			path: "/api/subscriptions", body: subscribe(hook("new")), who: p.annKey, by: ann, key: "*", actions: []string{"subscription.create"}, status: 201,
			refused: []refusal{{"", "", `{"events":["admin_admin.*"],"channel":` + hook("x") + `}`, 403}, {"", "", `{"events":[],"channel":{}}`, 422}},
		},
		"PATCH /api/subscriptions/{id}":              {path: on(made.ID, ""), body: `{"name":"other"}`, media: mergeJSON, who: p.admin, by: admin, actions: []string{"subscription.update"}, target: made.ID, status: 200, refused: others},
		"DELETE /api/subscriptions/{id}":             {path: on(doomed.ID, ""), who: p.ann, by: ann, actions: []string{"subscription.delete"}, target: doomed.ID, status: 204, refused: others},
		"POST /api/subscriptions/{id}/test":          {path: on(made.ID, "/test"), who: p.ann, by: ann, actions: []string{"subscription.test"}, target: made.ID, status: 202, refused: others},
		"POST /api/subscriptions/{id}/rotate-secret": {path: on(made.ID, "/rotate-secret"), who: p.ann, by: ann, actions: []string{"subscription.rotate-secret"}, target: made.ID, status: 200, refused: others},
		"POST /api/subscriptions/{id}/enable":        {path: on(off.ID, "/enable"), who: p.ann, by: ann, actions: []string{"subscription.enable"}, target: off.ID, status: 200, refused: others},
		"POST /api/subscriptions/{id}/disable":       {path: on(letters.ID, "/disable"), who: p.ann, by: ann, actions: []string{"subscription.disable"}, target: letters.ID, status: 200, refused: others},
		"POST /api/subscriptions/{id}/replay":        {path: on(made.ID, "/replay"), body: `{"since":"` + p.since() + `","status":"all"}`, who: p.ann, by: ann, actions: []string{"subscription.replay"}, target: made.ID, status: 202, refused: others},
		"POST /api/subscriptions/{id}/unsubscribe": {
			path: on(letters.ID, "/unsubscribe?to=a@example.com&token="+token(letters.ID, "a@example.com")), body: oneClick, media: "application/x-www-form-urlencoded",
			who: none, actions: []string{"subscription.update"}, target: letters.ID, status: 200,
			refused: []refusal{{none, on(letters.ID, "/unsubscribe?to=b@example.com&token=x"), "", 403}},
		},
		"POST /api/deliveries/{id}/retry": {path: "/api/deliveries/" + deliveries[0].ID + "/retry", who: p.ann, by: ann, actions: []string{"delivery.retry"}, target: deliveries[0].ID, status: 202, refused: []refusal{{p.bob, "", "", 403}, {p.acme, "", "", 404}, {none, "", "", 401}}},
	}
}

// entries returns the audit of a tenant, oldest first.
func (p *people) entries(tenant string) []principal.Entry {
	p.t.Helper()
	all, more, err := p.store.Audit(p.t.Context(), tenant, store.AuditQuery{Limit: 1000})
	must(p.t, err)
	if more {
		p.t.Fatal("the audit is longer than the test looks")
	}
	slices.Reverse(all)
	return all
}

func (p *people) ask(method, path, body, media, who, requestID string) *answer {
	p.t.Helper()
	headers := []string{who, "X-Request-Id: " + requestID}
	if strings.HasPrefix(who, "Cookie") {
		headers = append(headers, "Authorization:")
	}
	if body == "" {
		return p.send(method, path, http.NoBody, headers...)
	}
	if media == "" {
		media = plainJSON
	}
	return p.send(method, path, strings.NewReader(body), append(headers, "Content-Type: "+media)...)
}

// Every route that changes something but records leaves one line in the audit, and
// none where it refuses.
func TestAudit_OfEveryChange(t *testing.T) {
	t.Parallel()
	p := peopled(t)
	operator := &principal.Principal{Kind: principal.OfKey, ID: "key:operator", Tenant: "default", Role: principal.Platform, Scopes: principal.Scopes}
	carl, err := p.auth.CreateUser(t.Context(), operator, auth.NewUser{Tenant: "default", Email: "carl@example.com", Password: castPassword})
	must(t, err)
	p.ids["default/carl"] = carl.ID
	cases := p.audited()
	for _, route := range p.changing() {
		c, known := cases[route]
		if !known && unaudited[route] == "" {
			t.Errorf("nobody says what %s leaves in the audit", route)
		}
		if known {
			p.leaves(route, &c)
		}
		delete(cases, route)
	}
	for route := range cases {
		t.Errorf("there is no route %s that changes something", route)
	}
}

// changing are the routes that change something but records, as they are
// registered; those that end what others need come last.
func (p *people) changing() (found []string) {
	for _, r := range p.api.Routes() {
		first, _, _ := strings.Cut(strings.TrimPrefix(r.Pattern, "/api/"), "/")
		if _, records := p.set.Get(first); records || r.Method == http.MethodGet && r != (httpapi.Route{Method: "GET", Pattern: "/login/{token}"}) {
			continue
		}
		found = append(found, r.Method+" "+r.Pattern)
	}
	slices.SortStableFunc(found, func(a, b string) int { return order(a) - order(b) })
	return found
}

func order(route string) int {
	switch route {
	case "POST /api/deliveries/{id}/retry": // a replay makes it due
		return -1
	case "POST /api/auth/password": // ends bob's other logins
		return 2
	case "POST /api/subscriptions/{id}/disable": // of what is unsubscribed from before
		return 1
	}
	return 0
}

func (p *people) leaves(route string, c *noted) {
	p.t.Helper()
	method, _, _ := strings.Cut(route, " ")
	for i, r := range c.refused {
		if route == "POST /api/auth/register" && i == 0 {
			continue // taken only afterwards
		}
		p.refuses(route, method, c, r)
	}
	before := len(p.entries("default"))
	requestID := "audit." + strings.NewReplacer(" ", ".", "/", ".").Replace(route)
	a := p.ask(method, c.path, c.body, c.media, c.who, requestID)
	if a.status != c.status {
		p.t.Errorf("%s: %d %s, want %d", route, a.status, a.body, c.status)
		return
	}
	fresh := p.entries("default")[before:]
	actions := []string{}
	var answered struct{ ID string }
	_ = json.Unmarshal(a.body, &answered) // some answers are no JSON
	for _, e := range fresh {
		actions = append(actions, e.Action)
		target := c.target
		if target == "" {
			target = answered.ID
		}
		if target != "*" && e.Target != target || target == "*" && e.Target == "" {
			p.t.Errorf("%s: the target is %q, want %q", route, e.Target, target)
		}
		if e.Principal != c.by || (e.Key != "") != (c.key != "") || e.RequestID != requestID || e.Address != "127.0.0.1" {
			p.t.Errorf("%s: by %q with the key %q from %q, request %q; want %q, %q", route, e.Principal, e.Key, e.Address, e.RequestID, c.by, requestID)
		}
	}
	if !slices.Equal(actions, c.actions) {
		p.t.Errorf("%s: the audit has %v, want %v", route, actions, c.actions)
	}
	if route == "POST /api/auth/register" {
		p.refuses(route, method, c, c.refused[0])
	}
}

func (p *people) refuses(route, method string, c *noted, r refusal) {
	p.t.Helper()
	who, path, body := r.who, r.path, r.body
	if who == "" {
		who = c.who
	}
	if path == "" {
		path = c.path
	}
	if body == "" {
		body = c.body
	}
	before := len(p.entries("default"))
	if a := p.ask(method, path, body, c.media, who, "refused"); a.status != r.status {
		p.t.Errorf("%s: %d %s, want a refusal with %d", route, a.status, a.body, r.status)
	}
	if fresh := p.entries("default")[before:]; len(fresh) != 0 {
		p.t.Errorf("%s: refused with %d, and the audit has %+v", route, r.status, fresh)
	}
}

// Whoever names a tenant first has made it.
func TestAudit_OfATenant(t *testing.T) {
	t.Parallel()
	p := peopled(t)
	p.get("/api", "Waybill-Tenant: made", p.admin).problem(403, "forbidden")
	if got := p.entries("made"); len(got) != 0 {
		t.Errorf("somebody who may not made a tenant: %+v", got)
	}
	for range 2 {
		p.get("/api", "Waybill-Tenant: made", "X-Request-Id: r1").want(200)
	}
	got := p.entries("made")
	if len(got) != 1 || got[0].Action != "tenant.create" || got[0].Principal != "key:operator" || got[0].Key != "operator" || got[0].RequestID != "r1" {
		t.Errorf("the audit has %+v", got)
	}
}
