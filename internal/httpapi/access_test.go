package httpapi_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/waybill-dev/waybill/internal/httpapi"
	"github.com/waybill-dev/waybill/internal/principal"
	"github.com/waybill-dev/waybill/internal/queueui"
)

// stubPages are the pages of the queues behind the gate that they really have.
func stubPages(authenticate func(*http.Request) (*principal.Principal, error), fail func(http.ResponseWriter, *http.Request, error)) http.Handler {
	return queueui.Gate(authenticate, fail, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }))
}

// furnished is a world in which nothing is applied any more: whatever the cases
// write stays in the queue, and nothing that others ask for disappears.
func furnished(t *testing.T) (*world, []actor) {
	t.Helper()
	s := newService(t, func(s *settings) { s.config, s.pages = "testdata/access.yaml", stubPages })
	stop := s.work()
	w := &world{cast: cast{s, map[string]string{}}, things: map[string]map[string]string{}}
	s.get("/api", "Waybill-Tenant: acme").want(200)
	people := w.everybody()
	header := func(name string) string {
		return people[slices.IndexFunc(people, func(a actor) bool { return a.name == name })].header
	}
	for _, tenant := range []string{"default", "acme"} {
		w.furnish(tenant, header("ann of "+tenant), header("an admin of "+tenant))
	}
	s.drained()
	for _, tenant := range []string{"default", "acme"} {
		w.deliver(tenant, header("an admin of "+tenant))
	}
	stop()
	return w, people
}

// Every route × every kind of principal × own and other tenant. What they are to
// be answered is worked out by want, which is written from the documents.
func TestRoutes_EveryPrincipal(t *testing.T) {
	t.Parallel()
	w, people := furnished(t)
	cases := table()
	complete(t, w.api.Routes(), cases)
	for _, a := range people {
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			here := *w.service
			here.t = t
			visit := &world{cast{&here, w.ids}, w.things}
			for route, some := range cases {
				for i := range some {
					visit.try(&a, route, &some[i])
				}
			}
		})
	}
}

// complete fails for routes without cases, and for cases of no route.
func complete(t *testing.T, routes []httpapi.Route, cases map[string][]access) {
	t.Helper()
	known := map[string]bool{}
	for _, r := range routes {
		route := r.Method + " " + r.Pattern
		known[route] = true
		if len(cases[route]) == 0 {
			t.Errorf("the table does not know the route %s: say there who may use it", route)
		}
	}
	for route := range cases {
		if !known[route] {
			t.Errorf("there is no route %s", route)
		}
	}
}

// try asks as a for what each tenant has.
func (w *world) try(a *actor, route string, c *access) {
	w.t.Helper()
	tenants := []string{a.acts()}
	if strings.Contains(c.path, "{") {
		tenants = []string{"default", "acme"}
	}
	method, _, _ := strings.Cut(route, " ")
	methods := map[string][]string{"*": {"GET", "POST", "DELETE"}, "GET": {"GET", "HEAD"}}[method]
	if methods == nil {
		methods = []string{method}
	}
	if c.fresh != nil || c.collection != "" { // one HEAD of a route that the others are made like is enough
		methods = methods[:1]
	}
	for _, tenant := range tenants {
		fresh := ""
		if c.fresh != nil {
			fresh = c.fresh(w, tenant)
		}
		path := w.fill(c.path, tenant, fresh)
		for _, method := range methods {
			got, want := w.as(a, c, method, path), c.want(a, tenant)
			if !slices.Contains(want, got.status) {
				w.t.Errorf("%s (%s) of what %s has: %d, want %d; %.300s", route, c.name, tenant, got.status, want, got.body)
			}
			if !c.token && !a.bad {
				w.keeps(a, got)
			}
			if method == "GET" && got.status == http.StatusOK && c.lists != nil {
				w.has(a, c, got)
			}
		}
	}
}

// as sends a request of the case.
func (w *world) as(a *actor, c *access, method, path string) *answer {
	w.t.Helper()
	headers := []string{a.header}
	if c.again && a.again != nil {
		headers = []string{a.again()}
	}
	if strings.HasPrefix(a.header, "Cookie") {
		headers = append(headers, "Authorization:") // or the harness would show the operator's
	}
	if a.names != "" {
		headers = append(headers, "Waybill-Tenant: "+a.names)
	}
	if c.body == "" {
		return w.send(method, path, http.NoBody, headers...)
	}
	media := c.media
	if media == "" {
		media = plainJSON
	}
	return w.send(method, path, strings.NewReader(c.body), append(headers, "Content-Type: "+media)...)
}

// keeps sees to it that an answer has nothing of another tenant's.
func (w *world) keeps(a *actor, got *answer) {
	w.t.Helper()
	for tenant := range w.things {
		own := tenant == a.acts() || tenant == a.tenant && strings.HasPrefix(got.what[strings.Index(got.what, " ")+1:], "/api/me ") // their own address
		if !own && strings.Contains(string(got.body), marker(tenant)) {
			w.t.Errorf("%s: shows what %s has: %.500s", got.what, tenant, got.body)
		}
	}
}

// has sees to it that a list shows those things that a may see, and no others.
func (w *world) has(a *actor, c *access, got *answer) {
	w.t.Helper()
	var p page
	got.into(&p)
	ids := map[string]bool{}
	for _, item := range p.Items {
		var one struct{ ID string }
		must(w.t, json.Unmarshal(item, &one))
		ids[one.ID] = true
	}
	for tenant, has := range w.things {
		for thing, sees := range c.lists {
			want := tenant == a.acts() && sees(a)
			if ids[has[thing]] != want {
				w.t.Errorf("%s: has the %s of %s: %t, want %t", got.what, thing, tenant, !want, want)
			}
		}
	}
	if p.NextCursor != nil {
		w.t.Errorf("%s: the list is longer than a page: the case says less than it should", got.what)
	}
}
