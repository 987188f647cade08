package httpapi

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/waybill-dev/waybill/internal/collection"
	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/principal"
	"github.com/waybill-dev/waybill/internal/record"
)

// Identity verifies credentials. Its errors are faults: Unauthorized, and
// StoreUnavailable where nobody can tell now.
type Identity interface {
	// Authenticate verifies an access token or a key.
	Authenticate(ctx context.Context, credential string) (*principal.Principal, error)
	// Session verifies the cookie of a browser.
	Session(ctx context.Context, cookie string) (*principal.Principal, error)
	// EnsureTenant makes a tenant that is named for the first time.
	EnsureTenant(ctx context.Context, p *principal.Principal, name string) error
}

// effort is what a request costs, and so which limit it counts against.
type effort int

const (
	reads   effort = iota
	writes         // of records, and of nothing else
	control        // changes of anything else: audited
	logins         // whoever asks is not known yet: audited too
)

// access is what a request needs to be let through. Every route has one.
type access struct {
	role       principal.Role    // the least
	scopes     []principal.Scope // of which a key needs one; none: any key will do
	collection string            // that a key must reach; "" for none
	effort     effort
	whole      bool // a key that is limited to collections will not do: what is reached here has no limits
}

// toRead and toWrite are the access that a collection asks for. Whose record it
// is is asked later: by the handlers that read, and by whoever applies a write.
func toRead(c *collection.Collection) access {
	return access{role: c.Access.Read.Least(), scopes: []principal.Scope{principal.RecordsRead}, collection: c.Name, effort: reads}
}

func toWrite(c *collection.Collection) access {
	return access{role: c.Access.Write.Least(), scopes: []principal.Scope{principal.RecordsWrite}, collection: c.Name, effort: writes}
}

// anybody says whether it makes no difference who asks: the route is not about
// anything that somebody has.
func (n *access) anybody() bool { return n.role == principal.Nobody && len(n.scopes) == 0 }

// refuses says why who may not; nil if they may.
func (n *access) refuses(who *principal.Principal) error {
	if n.role != principal.Nobody && who.Kind == principal.Anonymous {
		return fault.New(fault.Unauthorized, "this needs credentials")
	}
	if len(n.scopes) > 0 && !slices.ContainsFunc(n.scopes, who.Has) {
		return fault.New(fault.Forbidden, "the key does not have the scope %s", n.scopes[0])
	}
	if n.collection != "" && !who.Reaches(n.collection) {
		return fault.New(fault.Forbidden, "the key is not for the collection %s", n.collection)
	}
	if n.whole && len(who.Collections) > 0 {
		return fault.New(fault.Forbidden, "the key is limited to collections")
	}
	if !who.Role.AtLeast(n.role) {
		return fault.New(fault.Forbidden, "this needs the role %s", n.role)
	}
	return nil
}

// admit finds out who is asking, for which tenant, and whether they may.
func (a *API) admit(x *exchange, r *http.Request, n *access) error {
	x.address = clientAddress(r, a.o.TrustedProxies)
	who, err := a.identify(x, r)
	if fault.KindOf(err) == fault.Unauthorized && len(r.Header["Authorization"]) == 0 {
		a.dropCookie(x, r) // no script can, and the browser would show it again and again
		if n.anybody() {
			who, err = &guest, nil // it must not keep anybody from logging in
		}
	}
	if err != nil {
		return err
	}
	x.who, x.tenant = who, who.Tenant
	if err := a.limit(x, n); err != nil {
		return err
	}
	if named := r.Header["Waybill-Tenant"]; len(named) > 0 {
		if err := a.enter(x, r, named); err != nil {
			return err
		}
	}
	return n.refuses(who)
}

// enter lets a platform admin into the tenant that they name.
func (a *API) enter(x *exchange, r *http.Request, named []string) error {
	const header = "Waybill-Tenant"
	if !x.who.Role.AtLeast(principal.Platform) {
		return fault.New(fault.Forbidden, "only a platform admin may name a tenant")
	}
	if len(named) > 1 {
		return badHeader(header, "given more than once")
	}
	if err := a.o.Identity.EnsureTenant(x.acting(r).Context(), x.who, named[0]); err != nil {
		return err
	}
	x.tenant = named[0]
	return nil
}

// sessionCookie is the name of the cookie of pages.
const sessionCookie = "waybill_session"

// identify returns who shows the request's credentials: those of the
// Authorization header, else of the cookie; a guest if there are none. Bad ones
// are refused also where none are needed: whoever shows some relies on them.
func (a *API) identify(x *exchange, r *http.Request) (*principal.Principal, error) {
	given := r.Header["Authorization"]
	if len(given) > 1 {
		return nil, badHeader("Authorization", "given more than once")
	}
	if len(given) == 1 {
		scheme, credential, _ := strings.Cut(given[0], " ")
		if !strings.EqualFold(scheme, "Bearer") || a.o.Identity == nil {
			return nil, unauthorized("use Authorization: Bearer with an access token or a key")
		}
		return a.verified(x, r, strings.TrimSpace(credential), a.o.Identity.Authenticate)
	}
	if a.o.Identity != nil && len(r.Header["Cookie"]) > 0 {
		if cookie, err := r.Cookie(sessionCookie); err == nil {
			return a.verified(x, r, cookie.Value, a.o.Identity.Session)
		}
	}
	return &guest, nil
}

// guest is whoever shows no credentials: they are in the default tenant.
var guest = *principal.Guest(record.DefaultTenant)

// verified verifies a credential, unless the address has shown too many bad ones.
func (a *API) verified(x *exchange, r *http.Request, credential string,
	verify func(context.Context, string) (*principal.Principal, error),
) (*principal.Principal, error) {
	if err := a.barred(x); err != nil {
		return nil, err
	}
	who, err := verify(r.Context(), credential)
	if fault.KindOf(err) == fault.Unauthorized {
		a.suspect(x)
	}
	return who, err
}

func unauthorized(format string, args ...any) error {
	return fault.New(fault.Unauthorized, format, args...)
}

// acting returns r such that the audit knows who makes its changes.
func (x *exchange) acting(r *http.Request) *http.Request {
	return r.WithContext(principal.WithActor(r.Context(), x.actor()))
}

func (x *exchange) actor() principal.Actor {
	return principal.Actor{Principal: x.who.ID, Key: x.who.Key, Address: x.address.String(), RequestID: x.requestID}
}

// admin says whether the principal administers the tenant of the request.
func (x *exchange) admin() bool { return x.who.Role.AtLeast(principal.Admin) }

// sees says whether the principal may read what owner created in a collection.
// Of one that is not configured any more, only admins may.
func (a *API) sees(who *principal.Principal, name, owner string) bool {
	c, known := a.o.Collections.Get(name)
	if !known {
		return who.Role.AtLeast(principal.Admin)
	}
	return who.Reaches(name) && c.Access.MayRead(who.Role, who.ID, owner)
}

// reads says whether the credential is good for reading what owner created: that
// is its scope's matter too, but for what anybody may read.
func (a *API) reads(who *principal.Principal, name, owner string) bool {
	return a.sees(&guest, name, owner) || who.Has(principal.RecordsRead) && a.sees(who, name, owner)
}

// follows says whether the principal may see an operation: their own, and those
// on records that they may read.
func (a *API) follows(who *principal.Principal, op *record.Stored) bool {
	if who.ID != "" && op.Principal == who.ID {
		return who.Reaches(op.Collection)
	}
	return who.Has(principal.RecordsRead) && a.sees(who, op.Collection, op.Owner)
}

// hidden is the answer to whoever may not see what is there: that there is
// nothing, or, if they have not said who they are, to say so first.
func (x *exchange) hidden(format string, args ...any) error {
	if x.who.Kind == principal.Anonymous {
		return unauthorized("this needs credentials")
	}
	return fault.New(fault.NotFound, format, args...)
}

// document adds what every route with this access answers to its operation in
// the OpenAPI document.
func (n *access) document(a *API, op *huma.Operation) {
	kinds := []fault.Kind{fault.Unauthorized, fault.Forbidden, fault.RateLimited}
	for status, response := range a.answers(0, nil, kinds...) {
		if response == nil || status == "500" {
			continue
		}
		if standing := op.Responses[status]; standing != nil {
			response.Description = mergeCodes(standing.Description, response.Description)
		}
		op.Responses[status] = response
	}
	op.Security = []map[string][]string{{"bearer": {}}, {"session": {}}}
	if n.role == principal.Nobody {
		op.Security = append(op.Security, map[string][]string{})
	}
}

// mergeCodes joins two descriptions of the form "code: a, b".
func mergeCodes(one, other string) string {
	const head = "code: "
	codes := append(strings.Split(strings.TrimPrefix(one, head), ", "), strings.Split(strings.TrimPrefix(other, head), ", ")...)
	slices.Sort(codes)
	return head + strings.Join(slices.Compact(codes), ", ")
}
