package httpapi

import (
	"encoding/json"
	"net/http"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/principal"
	"github.com/waybill-dev/waybill/internal/store"
)

// tenantView is a tenant as platform admins see it.
type tenantView struct {
	Name      string    `json:"name"`
	CreatedAt timestamp `json:"created_at"`
}

// entryView is a line of the audit.
type entryView struct {
	ID        string          `json:"id" format:"uuid"`
	At        timestamp       `json:"at"`
	Principal string          `json:"principal" doc:"user:… or key:…; system for Waybill itself, operator for the command line"`
	Key       *string         `json:"key" nullable:"true" doc:"The ID of the key that was used"`
	Action    string          `json:"action" doc:"Such as key.create"`
	Target    string          `json:"target" doc:"The ID of what it was done to"`
	Detail    json.RawMessage `json:"detail"`
	Address   *string         `json:"address" nullable:"true" doc:"The client's"`
	RequestID *string         `json:"request_id" nullable:"true"`
}

func (a *API) routeTenants() {
	tenants := identityOperation(http.MethodGet, "/api/tenants", "list-tenants", "tenants", "Tenants, by name")
	tenants.Description = "A tenant exists once a platform admin names it in Waybill-Tenant."
	tenants.Parameters = pageParams()
	tenants.Responses = a.answers(http.StatusOK, jsonAnswer("A page of tenants", listSchema(a.schemaOf(tenantView{}))), listFaults...)
	a.route(tenants, access{role: principal.Platform, scopes: []principal.Scope{principal.ScopePlatform}, whole: true}, a.listTenants)
}

func (a *API) routeAudit() {
	audit := identityOperation(http.MethodGet, "/api/audit", "list-audit", "audit", "Who did what to users, keys, subscriptions and deliveries, newest first")
	audit.Parameters = append(pageParams(),
		queryParam("principal", "Only what this one did", stringSchema()),
		queryParam("action", "Only this", stringSchema()),
		queryParam("target", "Only what was done to what has this ID", stringSchema()))
	audit.Responses = a.answers(http.StatusOK, jsonAnswer("A page of the audit", listSchema(a.schemaOf(entryView{}))), listFaults...)
	a.route(audit, toAdminister(reads), a.listAudit)
}

// listTenants serves GET /api/tenants.
func (a *API) listTenants(x *exchange, r *http.Request) error {
	p, err := pageBy(r.URL.Path, x.query, func(name string) bool { return name != "" })
	if err != nil {
		return err
	}
	tenants, more, err := a.o.Directory.Tenants(r.Context(), p.limit, p.last)
	if err != nil {
		return err
	}
	return writeList(x, p, tenants, more, func(t *principal.Tenant) string { return t.Name },
		func(t *principal.Tenant) tenantView { return tenantView{t.Name, timestamp(t.CreatedAt)} })
}

// listAudit serves GET /api/audit.
func (a *API) listAudit(x *exchange, r *http.Request) error {
	p, err := pageOf(r.URL.Path, x.query)
	if err != nil {
		return err
	}
	q := store.AuditQuery{
		Principal: x.query.Get("principal"), Action: x.query.Get("action"), Target: x.query.Get("target"), Limit: p.limit, Before: p.last,
	}
	for _, name := range []string{"principal", "action", "target"} {
		if x.query.Has(name) && x.query.Get(name) == "" {
			return fault.At(fault.InvalidParameter, "query."+name, "must not be empty")
		}
	}
	entries, more, err := a.o.Directory.Audit(r.Context(), x.tenant, q)
	if err != nil {
		return err
	}
	return writeList(x, p, entries, more, func(e *principal.Entry) string { return e.ID }, entryViewOf)
}

func entryViewOf(e *principal.Entry) entryView {
	v := entryView{
		ID: e.ID, At: timestamp(e.At), Principal: e.Principal, Key: optionalText(e.Key), Action: e.Action, Target: e.Target,
		Detail: e.Detail, Address: optionalText(e.Address), RequestID: optionalText(e.RequestID),
	}
	if len(v.Detail) == 0 {
		v.Detail = json.RawMessage("{}")
	}
	return v
}
