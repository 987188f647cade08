package httpapi

import (
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-chi/chi/v5"

	"github.com/waybill-dev/waybill/internal/auth"
	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/principal"
)

// keyView is a key as clients see it.
type keyView struct {
	ID          string            `json:"id"`
	Name        string            `json:"name"`
	Tenant      string            `json:"tenant"`
	Scopes      []principal.Scope `json:"scopes" nullable:"false"`
	Collections []string          `json:"collections" doc:"The only ones that it is good for; null for all"`
	User        *string           `json:"user" nullable:"true" doc:"The user that it acts for"`
	CreatedAt   timestamp         `json:"created_at"`
	ExpiresAt   *timestamp        `json:"expires_at" nullable:"true" doc:"Null: never"`
	LastUsedAt  *timestamp        `json:"last_used_at" nullable:"true" doc:"To about a minute; null: never"`
}

// madeKeyView is a key that was made just now.
type madeKeyView struct {
	keyView
	Key string `json:"key" doc:"Its text, for Authorization: Bearer; shown now and never again"`
}

func keyViewOf(k *principal.Key) keyView {
	return keyView{
		ID: k.ID, Name: k.Name, Tenant: k.Tenant, Scopes: k.Scopes, Collections: k.Collections, User: optionalText(k.User),
		CreatedAt: timestamp(k.CreatedAt), ExpiresAt: optional(k.ExpiresAt), LastUsedAt: optional(k.LastUsedAt),
	}
}

func (a *API) routeKeys() {
	const tag, many, one = "keys", "/api/keys", "/api/keys/{id}"
	ofKeys := func(e effort) access {
		return access{role: principal.Member, scopes: []principal.Scope{principal.ScopeAdmin}, effort: e}
	}
	view := a.schemaOf(keyView{})

	create := withBody(identityOperation(http.MethodPost, many, "create-key", tag, "Make an API key"), bodyOf("key"))
	create.Description = "A user's key acts for the user. Nobody makes a key that may do more than they may."
	made := withHeader(jsonAnswer("The key, with its text", a.embedding(madeKeyView{}, keyView{})), "Location", "The key's address")
	create.Responses = a.answers(http.StatusCreated, made, bodyFaults...)
	a.route(create, ofKeys(control), a.createKey)

	keys := identityOperation(http.MethodGet, many, "list-keys", tag, "One's keys, newest first; an admin's are the tenant's")
	keys.Parameters = pageParams()
	keys.Responses = a.answers(http.StatusOK, jsonAnswer("A page of keys", listSchema(view)), listFaults...)
	a.route(keys, ofKeys(reads), a.listKeys)

	get := identityOperation(http.MethodGet, one, "get-key", tag, "A key")
	get.Parameters = []*huma.Param{idParam("The key's ID")}
	get.Responses = a.answers(http.StatusOK, jsonAnswer("The key", view), readFaults...)
	a.route(get, ofKeys(reads), a.getKey)

	revoke := identityOperation(http.MethodDelete, one, "revoke-key", tag, "End a key; others may take it for up to five seconds more")
	revoke.Parameters = []*huma.Param{idParam("The key's ID")}
	revoke.Responses = a.answers(http.StatusNoContent, &huma.Response{Description: "It has ended"}, readFaults...)
	a.route(revoke, ofKeys(control), a.revokeKey)
}

// createKey serves POST /api/keys.
func (a *API) createKey(x *exchange, r *http.Request) error {
	var body struct {
		Name        string     `json:"name"`
		Scopes      []string   `json:"scopes"`
		Collections []string   `json:"collections"`
		ExpiresAt   *time.Time `json:"expires_at"`
	}
	if err := a.readInto(x, r, "key", &body); err != nil {
		return err
	}
	k := auth.NewKey{Name: body.Name, Scopes: body.Scopes, Collections: body.Collections}
	if body.ExpiresAt != nil {
		k.ExpiresAt = body.ExpiresAt.UTC()
	}
	made, text, err := a.o.Accounts.CreateKey(r.Context(), x.who, x.tenant, k)
	if err != nil {
		return err
	}
	x.Header().Set("Location", "/api/keys/"+made.ID)
	return writeJSON(x, http.StatusCreated, madeKeyView{keyViewOf(made), text})
}

// listKeys serves GET /api/keys.
func (a *API) listKeys(x *exchange, r *http.Request) error {
	p, err := pageBy(r.URL.Path, x.query, auth.IsKeyID)
	if err != nil {
		return err
	}
	user := x.who.User
	if x.admin() {
		user = ""
	}
	keys, more, err := a.o.Directory.Keys(r.Context(), x.tenant, user, p.limit, p.last)
	if err != nil {
		return err
	}
	return writeList(x, p, keys, more, func(k *principal.Key) string { return k.ID }, keyViewOf)
}

// getKey serves GET /api/keys/{id}.
func (a *API) getKey(x *exchange, r *http.Request) error {
	id := chi.URLParam(r, "id")
	k, err := a.o.Directory.Key(r.Context(), x.tenant, id)
	if err == nil && !x.admin() && k.User != x.who.User {
		err = fault.New(fault.NotFound, "there is no key %q", clip(id))
	}
	if err != nil {
		return err
	}
	return writeJSON(x, http.StatusOK, keyViewOf(k))
}

// revokeKey serves DELETE /api/keys/{id}.
func (a *API) revokeKey(x *exchange, r *http.Request) error {
	if err := a.o.Accounts.RevokeKey(r.Context(), x.who, x.tenant, chi.URLParam(r, "id")); err != nil {
		return err
	}
	x.WriteHeader(http.StatusNoContent)
	return nil
}
