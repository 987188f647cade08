package httpapi_test

import (
	"maps"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/waybill-dev/waybill/internal/subscription"
)

var (
	roles = []string{"public", "member", "owner", "admin"}
	// some are the collections whose operations and deliveries are asked for by ID.
	some = []string{"public_public", "member_member", "owner_owner", "admin_admin", "admin_public", "public_owner", "owner_public", "member_admin"}
)

func collections() (all []string) {
	for _, read := range roles {
		for _, write := range roles {
			all = append(all, read+"_"+write)
		}
	}
	return all
}

// table returns what every route asks for, by its method and pattern.
func table() map[string][]access {
	all := map[string][]access{}
	for _, c := range collections() {
		maps.Copy(all, ofCollection(c))
	}
	for _, part := range []map[string][]access{ofService(), ofOperations(), ofSubscriptions(), ofDeliveries(), ofLogins(), ofKeys(), ofUsers()} {
		maps.Copy(all, part)
	}
	return all
}

func ofCollection(name string) map[string][]access {
	many, one := "/api/"+name, "/api/"+name+"/{id}"
	read, write := rules(name)
	reading := access{role: least(read), scopes: []string{"records:read"}, collection: name, through: []int{200}}
	writing := access{role: least(write), scopes: []string{"records:write"}, collection: name, through: []int{202}, body: `{"text":"x"}`}
	list, get := reading, reading
	list.path, list.lists = many+"?limit=500", map[string]func(*actor) bool{"record": readsRecord(name)}
	filtered := list
	filtered.name, filtered.path = "filtered", many+"?kind=record&order=asc"
	get.path, get.sees = "/api/"+name+"/{record}", readsRecord(name)
	create, bulk, replace, patch, remove := writing, writing, writing, writing, writing
	create.path, bulk.path, bulk.name, bulk.media = many, many, "bulk", lines
	// The write path asks no database: whoever may write at all is told 202, and so
	// is whoever writes under an ID that another tenant has too.
	replace.path, patch.path, remove.path = many+"/r", many+"/r", many+"/r"
	patch.media, remove.body = mergeJSON, ""
	return map[string][]access{
		"GET " + many: {list, filtered}, "POST " + many: {create, bulk},
		"GET " + one: {get}, "PUT " + one: {replace}, "PATCH " + one: {patch}, "DELETE " + one: {remove},
	}
}

func ofService() map[string][]access {
	return map[string][]access{
		"GET /api": {{path: "/api", anybody: true, through: []int{200}}}, "GET /openapi.json": {{path: "/openapi.json", anybody: true, through: []int{200}}},
		"* /queues":   {{path: "/queues", pages: true}},
		"* /queues/*": {{path: "/queues/", pages: true}, {name: "api", path: "/queues/api/queues", pages: true}},
	}
}

func ofOperations() map[string][]access {
	scopes := []string{"records:read", "records:write"}
	list := access{path: "/api/operations?limit=500", scopes: scopes, lists: map[string]func(*actor) bool{}, through: []int{200}}
	var one []access
	for _, name := range collections() {
		list.lists["operation of "+name] = followsOperation(name)
	}
	for _, name := range some {
		one = append(one, access{
			name: name, path: "/api/operations/{operation of " + name + "}", scopes: scopes, sees: followsOperation(name), asks: true, through: []int{200},
		})
	}
	return map[string][]access{"GET /api/operations": {list}, "GET /api/operations/{id}": one}
}

func ofSubscriptions() map[string][]access {
	const many, one = "/api/subscriptions", "/api/subscriptions/{id}"
	base := access{role: "member", scopes: []string{"subscriptions"}}
	on := func(action, body string, status int) access {
		c := base
		c.path, c.body, c.sees, c.through = "/api/subscriptions/{subscription of ann}"+action, body, manages("ann"), []int{status}
		return c
	}
	list, create := base, base
	list.path, list.through = many+"?limit=500", []int{200}
	list.lists = map[string]func(*actor) bool{"subscription of ann": manages("ann"), "subscription of admin": manages("admin")}
	create.path, create.body, create.through = many, subscribe(hook("x")), []int{201}
	patch := on("", `{"max_in_flight":3}`, 200)
	patch.media = mergeJSON
	fresh := func(action string, status int) access {
		c := on(action, "", status)
		c.path, c.fresh = "/api/subscriptions/{fresh}"+action, freshSubscription
		return c
	}
	unsubscribe := access{path: "/api/subscriptions/{letters}/unsubscribe?to={to}&token={token}&tenant={tenant}", token: true, anybody: true, through: []int{200}}
	clicked := unsubscribe
	clicked.body, clicked.media = oneClick, "application/x-www-form-urlencoded"
	replay := on("/replay", `{"since":"`+time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)+`","status":"dead"}`, 202)
	return map[string][]access{
		"GET " + many: {list}, "POST " + many: {create}, "GET " + one: {on("", "", 200)}, "PATCH " + one: {patch}, "DELETE " + one: {fresh("", 204)},
		"POST " + one + "/test": {on("/test", "{}", 202)}, "POST " + one + "/rotate-secret": {on("/rotate-secret", "{}", 200)},
		"POST " + one + "/enable": {on("/enable", "{}", 200)}, "POST " + one + "/disable": {fresh("/disable", 200)}, "POST " + one + "/replay": {replay},
		"GET " + one + "/unsubscribe": {unsubscribe}, "POST " + one + "/unsubscribe": {clicked},
	}
}

func freshSubscription(w *world, tenant string) string {
	at := time.Now().UTC().Truncate(time.Microsecond)
	s := &subscription.Subscription{
		Key: subscription.Key{Tenant: tenant, ID: uuid.Must(uuid.NewV7()).String()}, Name: marker(tenant), Events: []string{"*"}, Channel: subscription.Webhook,
		Target: fakeSettings{Type: subscription.Webhook, URL: "https://example.com/" + marker(tenant)}.sealed(), MaxInFlight: 1, Enabled: true,
		CreatedBy: "user:" + w.ids[tenant+"/ann"], CreatedAt: at, UpdatedAt: at,
	}
	must(w.t, w.store.CreateSubscription(w.t.Context(), s))
	return s.ID
}

func ofDeliveries() map[string][]access {
	scopes := []string{"deliveries"}
	list := access{path: "/api/deliveries?limit=500", scopes: scopes, lists: map[string]func(*actor) bool{}, through: []int{200}}
	var get, retry []access
	add := func(who, collection string) {
		thing := "delivery to " + who + " of " + collection
		c := access{name: thing, path: "/api/deliveries/{" + thing + "}", scopes: scopes, sees: seesDelivery(who, collection), asks: true, through: []int{200}}
		list.lists[thing] = c.sees
		get = append(get, c)
		c.path, c.role, c.refuses, c.through = c.path+"/retry", "member", not(manages(who)), []int{202, 409}
		retry = append(retry, c)
	}
	for _, collection := range some {
		add("admin", collection)
		if annHears(collection) {
			add("ann", collection)
		}
	}
	add("ann", "") // of a test
	return map[string][]access{"GET /api/deliveries": {list}, "GET /api/deliveries/{id}": get, "POST /api/deliveries/{id}/retry": retry}
}

// annHears says whether ann's subscription to * is told of the record.
func annHears(collection string) bool {
	return readsRecord(collection)(&actor{kind: "user", role: "member", who: "ann"})
}

// Bodies that are refused for what they say are through: who may not is told so first.
func ofLogins() map[string][]access {
	open := func(path string) []access {
		return []access{{path: path, body: `{"x":1}`, anybody: true, through: []int{422}}}
	}
	link := func(w *world, _ string) string {
		token, err := w.auth.MakeLink(w.t.Context(), "operator")
		must(w.t, err)
		return token
	}
	return map[string][]access{
		"POST /api/auth/register": open("/api/auth/register"), "POST /api/auth/login": open("/api/auth/login"),
		"POST /api/auth/refresh": open("/api/auth/refresh"), "POST /api/auth/logout": open("/api/auth/logout"),
		"POST /api/auth/password": {{
			path: "/api/auth/password", body: `{"current_password":"x","new_password":"short"}`, role: "member",
			refuses: func(a *actor) bool { return a.kind == "key" }, through: []int{422},
		}},
		"POST /api/auth/session": {{
			path: "/api/auth/session", role: "member", through: []int{204}, // a cookie makes no other
			refuses: func(a *actor) bool { return strings.HasPrefix(a.header, "Cookie") },
		}},
		"DELETE /api/auth/session": {{path: "/api/auth/session", again: true, anybody: true, through: []int{204}}},
		"GET /login/{token}":       {{path: "/login/{fresh}", token: true, anybody: true, fresh: link, through: []int{303}}},
		"GET /api/me":              {{path: "/api/me", role: "member", through: []int{200}}},
	}
}

func ofKeys() map[string][]access {
	base := access{role: "member", scopes: []string{"admin"}}
	list, create, get, revoke := base, base, base, base
	list.path, list.lists, list.through = "/api/keys?limit=500", map[string]func(*actor) bool{"key of ann": annsOrAdmins}, []int{200}
	create.path, create.body, create.through = "/api/keys", `{"name":"made","scopes":["records:read"],"collections":["`+reaches+`"]}`, []int{201}
	get.path, get.sees, get.through = "/api/keys/{key of ann}", annsOrAdmins, []int{200}
	revoke.path, revoke.sees, revoke.through = "/api/keys/{fresh}", annsOrAdmins, []int{204}
	revoke.fresh = func(w *world, tenant string) string {
		id, _ := w.key(tenant, w.ids[tenant+"/ann"], nil, "records:read")
		return id
	}
	return map[string][]access{"GET /api/keys": {list}, "POST /api/keys": {create}, "GET /api/keys/{id}": {get}, "DELETE /api/keys/{id}": {revoke}}
}

func ofUsers() map[string][]access {
	base := access{role: "admin", scopes: []string{"admin"}, whole: true, through: []int{200}}
	list, create, get, patch, audit := base, base, base, base, base
	list.path, list.lists = "/api/users?limit=500", map[string]func(*actor) bool{"user ann": func(*actor) bool { return true }}
	create.path, create.body, create.through = "/api/users", `{"email":"new@example.com","password":"short"}`, []int{422}
	get.path, patch.path, patch.body, patch.media = "/api/users/{user ann}", "/api/users/{user ann}", `{"role":"member"}`, mergeJSON
	audit.path = "/api/audit?limit=500"
	tenants := access{path: "/api/tenants", role: "platform", scopes: []string{"platform"}, whole: true, through: []int{200}}
	return map[string][]access{
		"GET /api/users": {list}, "POST /api/users": {create}, "GET /api/users/{id}": {get}, "PATCH /api/users/{id}": {patch},
		"GET /api/audit": {audit}, "GET /api/tenants": {tenants},
	}
}

// world is a service with two tenants that have everything.
type world struct {
	cast
	things map[string]map[string]string // IDs, by tenant and by what they are
}

// furnish gives a tenant a record in each collection, with its operation, two
// subscriptions that were told of them, and their deliveries.
func (w *world) furnish(tenant string, ann, admin string) {
	w.t.Helper()
	has := map[string]string{
		"record": "r-" + tenant, "user ann": w.ids[tenant+"/ann"], "tenant": tenant, "to": "a@example.com",
	}
	w.things[tenant] = has
	has["key of ann"], _ = w.key(tenant, w.ids[tenant+"/ann"], nil, "records:read")
	by := map[string]string{"ann": ann, "admin": admin}
	for who, header := range by {
		var made subscribed
		w.post("/api/subscriptions", subscribe(hook(marker(tenant)), `"name":"`+marker(tenant)+`"`), header).want(201).into(&made)
		has["subscription of "+who] = made.ID
	}
	var letters subscribed
	w.post("/api/subscriptions", `{"name":"x","events":["subscription.*"],"channel":`+mail("a@example.com")+`}`, ann).want(201).into(&letters)
	has["letters"], has["token"] = letters.ID, token(letters.ID, "a@example.com")
	for _, name := range collections() {
		body := `{"text":"` + marker(tenant) + `","kind":"record"}`
		has["operation of "+name] = w.put("/api/"+name+"/"+has["record"], body, by[author(name)]).accepted().ID
	}
	has["delivery to ann of "] = w.post("/api/subscriptions/"+has["subscription of ann"]+"/test", "{}", ann).delivering().ID
}

// deliver finds the deliveries that the worker made.
func (w *world) deliver(tenant, admin string) {
	w.t.Helper()
	has := w.things[tenant]
	for _, name := range collections() {
		var p struct {
			Items []delivery `json:"items"`
			Next  *string    `json:"next_cursor"`
		}
		w.get("/api/deliveries?operation="+has["operation of "+name], admin).want(200).into(&p)
		for _, d := range p.Items {
			for _, who := range []string{"ann", "admin"} {
				if d.Subscription == has["subscription of "+who] {
					has["delivery to "+who+" of "+name] = d.ID
				}
			}
		}
		if (has["delivery to ann of "+name] != "") != annHears(name) || has["delivery to admin of "+name] == "" {
			w.t.Fatalf("%s: of a record in %s the deliveries are %+v", tenant, name, p.Items)
		}
	}
}

// fill replaces what stands in braces by what a tenant has.
func (w *world) fill(path, tenant, fresh string) string {
	path = strings.ReplaceAll(path, "{fresh}", fresh)
	for thing, id := range w.things[tenant] {
		path = strings.ReplaceAll(path, "{"+thing+"}", id)
	}
	if strings.Contains(path, "{") {
		w.t.Fatalf("nobody has %s", path)
	}
	return path
}
