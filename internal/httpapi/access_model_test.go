package httpapi_test

import (
	"net/http"
	"slices"
	"strings"
)

// access is what a route asks for, as API.md and docs/security.md have it, written
// down a second time: no rule of the product is called from here.
type access struct {
	name string // tells cases of one route apart
	// path has in braces what is asked for: a thing of the tenant that the case is about.
	path, body, media string
	role              string
	scopes            []string // of which a key needs one
	collection        string   // that a key must be good for
	whole             bool     // not for keys that are limited to collections
	anybody           bool     // a cookie that is no good is none: nothing depends on who asks
	pages             bool     // the queues' own rule
	token             bool     // the path has the proof: nobody's tenant matters
	sees              func(a *actor) bool
	asks              bool                                 // who is anonymous and may not see it is told to log in
	refuses           func(a *actor) bool                  // who may see it and do no more
	lists             map[string]func(a *actor) bool       // things, and who sees them in the list
	fresh             func(w *world, tenant string) string // makes what {fresh} stands for
	again             bool                                 // cookies are spent
	through           []int                                // how those are answered who may
}

var ranks = []string{"", "member", "admin", "platform"}

func (a *actor) atLeast(role string) bool {
	return slices.Index(ranks, a.role) >= slices.Index(ranks, role)
}

// may says whether a's key has the scope; others need none.
func (a *actor) may(scope string) bool { return a.kind != "key" || slices.Contains(a.scopes, scope) }

func (a *actor) reach(collection string) bool {
	return len(a.collections) == 0 || slices.Contains(a.collections, collection)
}

// acts is the tenant that a asks about.
func (a *actor) acts() string {
	if a.names != "" {
		return a.names
	}
	return a.tenant
}

// rules takes a collection's name apart: who reads and who writes it.
func rules(collection string) (read, write string) {
	read, write, _ = strings.Cut(collection, "_")
	return read, write
}

// least is the role that a rule asks for, whoever owns what.
func least(rule string) string {
	return map[string]string{"public": "", "member": "member", "owner": "member", "admin": "admin"}[rule]
}

// author wrote the record of a collection.
func author(collection string) string {
	if _, write := rules(collection); write == "admin" {
		return "admin"
	}
	return "ann"
}

func readsRecord(collection string) func(*actor) bool {
	return func(a *actor) bool {
		read, _ := rules(collection)
		return a.reach(collection) && a.atLeast(least(read)) && (read != "owner" || a.atLeast("admin") || a.who == author(collection))
	}
}

func followsOperation(collection string) func(*actor) bool {
	return func(a *actor) bool {
		own := a.who != "" && a.who == author(collection) && a.reach(collection)
		return own || a.may("records:read") && readsRecord(collection)(a)
	}
}

// manages: subscriptions are those of who made them, and of admins, but not of keys
// of admins that are for some collections alone.
func manages(who string) func(*actor) bool {
	return func(a *actor) bool { return a.who == who || a.atLeast("admin") && len(a.collections) == 0 }
}

func seesDelivery(who, collection string) func(*actor) bool {
	return func(a *actor) bool {
		return manages(who)(a) || collection != "" && readsRecord(collection)(a)
	}
}

func not(rule func(*actor) bool) func(*actor) bool { return func(a *actor) bool { return !rule(a) } }

func annsOrAdmins(a *actor) bool { return a.who == "ann" || a.atLeast("admin") }

// visits: the queues hold every tenant's writes.
func visits(a *actor) int {
	switch {
	case a.kind == "anonymous":
		return http.StatusUnauthorized
	case len(a.collections) > 0:
		return http.StatusForbidden
	case a.role == "platform", a.tenant == "default" && (a.role == "admin" || a.kind == "key" && a.who == "" && slices.Contains(a.scopes, "queues")):
		return http.StatusOK
	}
	return http.StatusForbidden
}

// want returns the statuses that a may be answered with who asks for what tenant
// has.
func (c *access) want(a *actor, tenant string) []int {
	unauthorized, forbidden, notFound := []int{http.StatusUnauthorized}, []int{http.StatusForbidden}, []int{http.StatusNotFound}
	switch {
	case a.bad && c.anybody && strings.HasPrefix(a.header, "Cookie"): // browsers send it unasked
		return c.through
	case a.bad:
		return unauthorized
	case c.pages:
		return []int{visits(a)}
	case a.names != "" && a.role != "platform":
		return forbidden
	case c.role != "" && a.kind == "anonymous":
		return unauthorized
	case len(c.scopes) > 0 && !slices.ContainsFunc(c.scopes, a.may):
		return forbidden
	case c.collection != "" && !a.reach(c.collection), c.whole && len(a.collections) > 0:
		return forbidden
	case !a.atLeast(c.role):
		return forbidden
	case c.token:
		return c.through
	case strings.Contains(c.path, "{") && a.acts() != tenant:
		return notFound
	case c.sees != nil && !c.sees(a) && a.kind == "anonymous" && c.asks:
		return unauthorized
	case c.sees != nil && !c.sees(a):
		return notFound
	case c.refuses != nil && c.refuses(a):
		return forbidden
	}
	return c.through
}
