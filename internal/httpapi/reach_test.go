package httpapi_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/waybill-dev/waybill/internal/principal"
	"github.com/waybill-dev/waybill/internal/store"
)

// told returns the types of the events that a subscription of the tenant default got.
func (p *people) told(id string) (types []string) {
	p.t.Helper()
	deliveries, _, err := p.store.Deliveries(p.t.Context(), "default", store.DeliveryQuery{Subscription: id, Limit: 500})
	must(p.t, err)
	for _, d := range deliveries {
		types = append(types, d.Type)
	}
	slices.Sort(types)
	return types
}

func (p *people) subscribe(who, events string) subscribed {
	p.t.Helper()
	var made subscribed
	p.post("/api/subscriptions", `{"events":`+events+`,"channel":`+hook("x")+`}`, who).want(201).into(&made)
	return made
}

// write creates a record of bob's in each of some collections.
func (p *people) write(names ...string) {
	p.t.Helper()
	for _, name := range names {
		who := p.bob
		if author(name) == "admin" {
			who = p.admin
		}
		p.post("/api/"+name, `{"text":"x"}`, who).accepted()
	}
	p.drained()
}

func TestReach_IsWhatTheSubscriberMayRead(t *testing.T) {
	t.Parallel()
	p := peopled(t)
	_, narrow := p.key("default", p.ids["default/ann"], limited, everyday...)
	ids := map[string]string{
		"ann": p.subscribe(p.ann, `["*"]`).ID, "bob": p.subscribe(p.bob, `["*"]`).ID, "admin": p.subscribe(p.admin, `["*"]`).ID,
		"key": p.subscribe(p.annKey, `["*"]`).ID, "narrow": p.subscribe(narrow, `["*"]`).ID, "acme": p.subscribe(p.acme, `["*"]`).ID,
	}
	p.write(collections()...)
	for name, a := range map[string]*actor{
		"ann": {kind: "user", role: "member", who: "ann"}, "bob": {kind: "user", role: "member", who: "bob"},
		"admin": {kind: "user", role: "admin", who: "admin"}, "key": {kind: "key", role: "member", who: "ann"},
		"narrow": {kind: "key", role: "member", who: "ann", collections: []string{reaches}},
	} {
		want := []string{}
		for _, c := range collections() {
			read, _ := rules(c)
			owned := a.who == "bob" && author(c) != "admin" // bob wrote what an admin did not
			if readsRecord(c)(&actor{kind: a.kind, role: a.role, collections: a.collections}) || owned && read == "owner" {
				want = append(want, c+".created")
			}
		}
		slices.Sort(want)
		if got := p.told(ids[name]); !slices.Equal(got, want) {
			t.Errorf("%s is told of %v, want %v", name, got, want)
		}
	}
	if got := p.told(ids["acme"]); len(got) != 0 {
		t.Errorf("another tenant is told of %v", got)
	}
}

func TestReach_PatternsOfWhatOneMayNotReadAreRefused(t *testing.T) {
	t.Parallel()
	p := peopled(t)
	_, narrow := p.key("default", p.ids["default/ann"], limited, everyday...)
	made := p.subscribe(p.ann, `["public_public.*"]`)
	for name, c := range map[string]struct {
		who, events string
		status      int
	}{
		"an admin collection":              {p.ann, `["admin_public.created"]`, 403},
		"an admin collection, all of it":   {p.ann, `["public_public.*","admin_admin.*"]`, 403},
		"an admin collection, failures":    {p.ann, `["admin_public.failed"]`, 403},
		"an admin collection, by an admin": {p.admin, `["admin_admin.*"]`, 201},
		"an owner's":                       {p.ann, `["owner_owner.*"]`, 201},
		"beyond a limited key":             {narrow, `["public_public.*"]`, 403},
		"within a limited key":             {narrow, `["member_member.*"]`, 201},
	} {
		body := `{"events":` + c.events + `,"channel":` + hook("x") + `}`
		if a := p.post("/api/subscriptions", body, c.who); a.status != c.status {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
		if c.status == 403 && c.who == p.ann {
			p.patch("/api/subscriptions/"+made.ID, `{"events":`+c.events+`}`, c.who).want(403)
		}
	}
	var now subscribed
	if p.get("/api/subscriptions/"+made.ID, p.ann).want(200).into(&now); !slices.Equal(now.Events, made.Events) {
		t.Errorf("a refused change came through: %v", now.Events)
	}
}

func TestReach_AnAdminsChangeWidensNothing(t *testing.T) {
	t.Parallel()
	p := peopled(t)
	made := p.subscribe(p.ann, `["public_public.*"]`)
	p.patch("/api/subscriptions/"+made.ID, `{"events":["*","admin_public.*"]}`, p.admin).want(200)
	p.write("public_public", "admin_public", "owner_owner", "member_member")
	if got, want := p.told(made.ID), []string{"member_member.created", "public_public.created"}; !slices.Equal(got, want) {
		t.Errorf("ann is told of %v, want %v", got, want)
	}
	replay := `{"since":"2020-01-01T00:00:00Z","until":"2020-01-02T00:00:00Z","status":"all"}`
	p.post("/api/subscriptions/"+made.ID+"/replay", replay, p.ann).want(202)
}

// A replay is held to the same reach: what was announced before is no way around.
func TestReach_OfAReplay(t *testing.T) {
	t.Parallel()
	p := peopled(t)
	p.subscribe(p.admin, `["*"]`) // so that everything is announced
	p.write("public_public", "admin_public", "owner_owner")
	made := p.subscribe(p.ann, `["*"]`)
	var got struct{ Count int }
	p.post("/api/subscriptions/"+made.ID+"/replay", `{"since":"`+p.since()+`","status":"all"}`, p.ann).want(202).into(&got)
	if told := p.told(made.ID); got.Count != 1 || !slices.Equal(told, []string{"public_public.created"}) {
		t.Errorf("%d replayed: %v", got.Count, told)
	}
}

// since is the day on which everything in the tests happens.
func (p *people) since() string {
	p.t.Helper()
	var one struct {
		At string `json:"created_at"`
	}
	var all page
	p.get("/api/subscriptions", p.admin).want(200).into(&all)
	must(p.t, json.Unmarshal(all.Items[0], &one))
	return one.At[:10] + "T00:00:00Z"
}

func TestReach_OthersSubscriptionsAreNotThere(t *testing.T) {
	t.Parallel()
	p := peopled(t)
	made := p.subscribe(p.ann, `["*"]`)
	at := "/api/subscriptions/" + made.ID
	id, boss := p.key("default", "", limited, "admin")
	for name, who := range map[string]string{"bob": p.bob, "ann of acme": p.acme, "a limited key of an admin " + id: boss} {
		p.get(at, who).problem(404, "not_found")
		p.patch(at, `{"name":"mine"}`, who).problem(404, "not_found")
		p.delete(at, who).problem(404, "not_found")
		for _, action := range []string{"test", "rotate-secret", "enable", "disable"} {
			p.send(http.MethodPost, at+"/"+action, http.NoBody, who).problem(404, "not_found")
		}
		p.post(at+"/replay", `{"since":"`+p.since()+`","status":"all"}`, who).problem(404, "not_found")
		if got, _ := p.listed("/api/subscriptions?limit=1", who); len(got) != 0 {
			t.Errorf("%s sees %v", name, got)
		}
	}
	var now subscribed
	if p.get(at, p.annKey).want(200).into(&now); now.UpdatedAt != made.UpdatedAt || len(p.told(made.ID)) != 0 {
		t.Errorf("somebody changed it: %+v", now)
	}
}

// What a user's key may is what is left of its user: here, of an admin who is none
// any more.
func TestReach_OfAKeyWhoseUserIsNoAdminAnyMore(t *testing.T) {
	t.Parallel()
	p := peopled(t)
	_, key := p.key("default", p.ids["default/admin"], nil, "admin", "queues")
	p.get("/api/admin_admin", key).want(200)
	p.patch("/api/users/"+p.ids["default/admin"], `{"role":"member"}`).want(200)
	p.get("/api/admin_admin", key).problem(403, "forbidden")
	who, err := p.auth.Authenticate(t.Context(), key[len("Authorization: Bearer "):])
	must(t, err)
	if who.Role != principal.Member || slices.Contains(who.Scopes, principal.Queues) {
		t.Errorf("the key is still %+v", who)
	}
}

// TestScopes_HoldForWhatOneIsToldAndAnswered: a key that is not for reading is told
// of what anybody may read, and Prefer: wait shows it no more.
func TestScopes_HoldForWhatOneIsToldAndAnswered(t *testing.T) {
	t.Parallel()
	p := peopled(t)
	_, told := p.key("default", p.ids["default/ann"], nil, "subscriptions")
	_, writer := p.key("default", p.ids["default/ann"], nil, "records:write")
	made := p.subscribe(told, `["*"]`)
	p.post("/api/subscriptions", `{"events":["member_member.*"],"channel":`+hook("x")+`}`, told).problem(403, "forbidden", "body.events[0]")
	id := p.post("/api/member_member", `{"text":"a secret of others"}`, p.bob).accepted().ID
	p.ended(id)
	p.post("/api/public_public", `{"text":"x"}`, p.bob).accepted()
	p.drained()
	if got := p.told(made.ID); !slices.Equal(got, []string{"public_public.created"}) {
		t.Errorf("told of %v", got)
	}
	a := p.patch("/api/member_member/"+id, `{"text":"y"}`, writer, "Prefer: wait=10").want(202)
	if strings.Contains(string(a.body), "text") {
		t.Errorf("answered %s", a.body)
	}
	p.post("/api/public_public", `{"text":"z"}`, writer, "Prefer: wait=10").want(201)
}
