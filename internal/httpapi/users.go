package httpapi

import (
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-chi/chi/v5"

	"github.com/waybill-dev/waybill/internal/auth"
	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/principal"
	"github.com/waybill-dev/waybill/internal/record"
)

// userView is a user as clients see it.
type userView struct {
	ID          string         `json:"id" format:"uuid"`
	Email       string         `json:"email"`
	Tenant      string         `json:"tenant"`
	Role        principal.Role `json:"role" enum:"member,admin,platform"`
	Disabled    bool           `json:"disabled"`
	CreatedAt   timestamp      `json:"created_at"`
	LastLoginAt *timestamp     `json:"last_login_at" nullable:"true" doc:"Null: never"`
}

func userViewOf(u *principal.User) userView {
	return userView{
		ID: u.ID, Email: u.Email, Tenant: u.Tenant, Role: u.Role, Disabled: !u.DisabledAt.IsZero(),
		CreatedAt: timestamp(u.CreatedAt), LastLoginAt: optional(u.LastLoginAt),
	}
}

func (a *API) routeUsers() {
	const tag, many, one = "users", "/api/users", "/api/users/{id}"
	view := jsonAnswer("The user", a.schemaOf(userView{}))

	create := withBody(identityOperation(http.MethodPost, many, "create-user", tag, "Make a user of the tenant"), bodyOf("user"))
	create.Responses = a.answers(http.StatusCreated, withHeader(jsonAnswer("The user", a.schemaOf(userView{})), "Location", "The user's address"), append(bodyFaults, fault.Conflict)...)
	a.route(create, toAdminister(control), a.createUser)

	users := identityOperation(http.MethodGet, many, "list-users", tag, "The users of the tenant, newest first")
	users.Parameters = pageParams()
	users.Responses = a.answers(http.StatusOK, jsonAnswer("A page of users", listSchema(a.schemaOf(userView{}))), listFaults...)
	a.route(users, toAdminister(reads), a.listUsers)

	get := identityOperation(http.MethodGet, one, "get-user", tag, "A user")
	get.Parameters = []*huma.Param{idParam("The user's ID")}
	get.Responses = a.answers(http.StatusOK, view, readFaults...)
	a.route(get, toAdminister(reads), a.getUser)

	change := identityOperation(http.MethodPatch, one, "patch-user", tag, "Change a user's role, tenant or password, disable or enable them")
	change.Description = "Whatever changes, their other logins end; those of a disabled user rest."
	change.Parameters = []*huma.Param{idParam("The user's ID")}
	change.RequestBody = body(map[string]*huma.Schema{typePatch: rawSchema(bodyOf("user-change")), typeJSON: rawSchema(bodyOf("user-change"))})
	change.Responses = a.answers(http.StatusOK, view, append(actionFaults, fault.Conflict)...)
	a.route(change, toAdminister(control), a.patchUser)
}

// createUser serves POST /api/users.
func (a *API) createUser(x *exchange, r *http.Request) error {
	var body struct {
		credentials
		Role string `json:"role"`
	}
	if err := a.readInto(x, r, "user", &body); err != nil {
		return err
	}
	u, err := a.o.Accounts.CreateUser(r.Context(), x.who, auth.NewUser{Tenant: x.tenant, Email: body.Email, Password: body.Password, Role: body.Role})
	if err != nil {
		return err
	}
	x.Header().Set("Location", "/api/users/"+u.ID)
	return writeJSON(x, http.StatusCreated, userViewOf(u))
}

// listUsers serves GET /api/users.
func (a *API) listUsers(x *exchange, r *http.Request) error {
	p, err := pageOf(r.URL.Path, x.query)
	if err != nil {
		return err
	}
	users, more, err := a.o.Directory.Users(r.Context(), x.tenant, p.limit, p.last)
	if err != nil {
		return err
	}
	return writeList(x, p, users, more, func(u *principal.User) string { return u.ID }, userViewOf)
}

// userID returns the ID in the path, if anything can have it.
func userID(r *http.Request) (string, error) {
	id := chi.URLParam(r, "id")
	if _, err := record.ParseID(id); err != nil {
		return "", fault.New(fault.NotFound, "there is no user %q", clip(id))
	}
	return id, nil
}

// getUser serves GET /api/users/{id}.
func (a *API) getUser(x *exchange, r *http.Request) error {
	id, err := userID(r)
	if err != nil {
		return err
	}
	u, err := a.o.Directory.User(r.Context(), x.tenant, id)
	if err != nil {
		return err
	}
	return writeJSON(x, http.StatusOK, userViewOf(u))
}

// patchUser serves PATCH /api/users/{id}.
func (a *API) patchUser(x *exchange, r *http.Request) error {
	id, err := userID(r)
	if err != nil {
		return err
	}
	var body struct {
		Role     *string `json:"role"`
		Disabled *bool   `json:"disabled"`
		Tenant   *string `json:"tenant"`
		Password *string `json:"password"`
	}
	if err := a.readInto(x, r, "user-change", &body, typePatch); err != nil {
		return err
	}
	u, err := a.o.Accounts.UpdateUser(r.Context(), x.who, x.tenant, id, auth.UserChange(body))
	if err != nil {
		return err
	}
	return writeJSON(x, http.StatusOK, userViewOf(u))
}
