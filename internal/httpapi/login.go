package httpapi

import (
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/waybill-dev/waybill/internal/auth"
	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/principal"
)

// credentials are what somebody registers and logs in with.
type credentials struct {
	Email    string `json:"email"`
	Password string `json:"password"`
}

// tokensView is what a login answers.
type tokensView struct {
	AccessToken  string `json:"access_token" doc:"For Authorization: Bearer"`
	TokenType    string `json:"token_type" enum:"Bearer"`
	ExpiresIn    int    `json:"expires_in" doc:"Seconds that the access token is good for"`
	RefreshToken string `json:"refresh_token" doc:"Good once; showing it twice ends the login"`
}

// meView is who one is.
type meView struct {
	Kind        principal.Kind    `json:"kind" enum:"user,key"`
	ID          string            `json:"id" doc:"The user's ID, or the key's"`
	Name        string            `json:"name" doc:"The e-mail address, or the key's name"`
	Email       *string           `json:"email" nullable:"true" doc:"Null for a key"`
	Tenant      string            `json:"tenant"`
	Role        principal.Role    `json:"role" enum:"member,admin,platform"`
	User        *string           `json:"user" nullable:"true" doc:"The user that a key acts for"`
	Scopes      []principal.Scope `json:"scopes" doc:"Of a key; null for a user: all that the role allows"`
	Collections []string          `json:"collections" doc:"The only ones that a key is good for; null for all"`
}

func (a *API) routeAuth() {
	const tag = "auth"
	tokens := jsonAnswer("The login", a.schemaOf(tokensView{}))

	register := withBody(identityOperation(http.MethodPost, "/api/auth/register", "register", tag, "Become a user of the default tenant"), bodyOf("credentials"))
	register.Responses = a.answers(http.StatusCreated, jsonAnswer("The user", a.schemaOf(userView{})), append(bodyFaults, fault.Conflict)...)
	a.route(register, access{effort: logins}, a.register)

	login := withBody(identityOperation(http.MethodPost, "/api/auth/login", "login", tag, "Log in"), bodyOf("credentials"))
	login.Responses = a.answers(http.StatusOK, tokens, bodyFaults...)
	a.route(login, access{effort: logins}, a.login)

	refresh := withBody(identityOperation(http.MethodPost, "/api/auth/refresh", "refresh", tag, "Go on being logged in"), bodyOf("refresh"))
	refresh.Responses = a.answers(http.StatusOK, tokens, bodyFaults...)
	a.route(refresh, access{effort: logins}, a.refresh)

	logout := identityOperation(http.MethodPost, "/api/auth/logout", "logout", tag, "End the login of the credentials, and that of a refresh token")
	logout.RequestBody = optionalBody(bodyOf("logout"))
	logout.Responses = a.answers(http.StatusNoContent, &huma.Response{Description: "It has ended"}, bodyFaults...)
	a.route(logout, access{effort: logins}, a.logout)

	password := withBody(identityOperation(http.MethodPost, "/api/auth/password", "change-password", tag, "Change one's password; the other logins end"), bodyOf("password"))
	password.Responses = a.answers(http.StatusNoContent, &huma.Response{Description: "It is changed"}, bodyFaults...)
	n := own(logins)
	a.route(password, n, a.changePassword)

	me := identityOperation(http.MethodGet, "/api/me", "get-me", tag, "Who the credentials are")
	me.Responses = a.answers(http.StatusOK, jsonAnswer("Who", a.schemaOf(meView{})), fault.InvalidParameter)
	a.route(me, own(reads), a.me)
}

// register serves POST /api/auth/register.
func (a *API) register(x *exchange, r *http.Request) error {
	var c credentials
	if err := a.readInto(x, r, "credentials", &c); err != nil {
		return err
	}
	u, err := a.o.Accounts.Register(r.Context(), c.Email, c.Password)
	if err != nil {
		return err
	}
	return writeJSON(x, http.StatusCreated, userViewOf(u))
}

// login serves POST /api/auth/login. What failed counts against the account as
// well as against the address.
func (a *API) login(x *exchange, r *http.Request) error {
	var c credentials
	if err := a.readInto(x, r, "credentials", &c); err != nil {
		return err
	}
	giveBack, err := a.tryLogin(x, c.Email)
	if err != nil {
		return err
	}
	t, err := a.o.Accounts.Login(r.Context(), c.Email, c.Password)
	if fault.KindOf(err) != fault.Unauthorized {
		giveBack()
	}
	if err != nil {
		return err
	}
	return writeJSON(x, http.StatusOK, tokensViewOf(t))
}

func tokensViewOf(t *auth.Tokens) tokensView {
	return tokensView{t.Access, "Bearer", int(t.ExpiresIn / time.Second), t.Refresh}
}

// refresh serves POST /api/auth/refresh.
func (a *API) refresh(x *exchange, r *http.Request) error {
	var body struct {
		Token string `json:"refresh_token"`
	}
	if err := a.readInto(x, r, "refresh", &body); err != nil {
		return err
	}
	t, err := a.o.Accounts.Refresh(r.Context(), body.Token)
	if err != nil {
		return err
	}
	return writeJSON(x, http.StatusOK, tokensViewOf(t))
}

// logout serves POST /api/auth/logout.
func (a *API) logout(x *exchange, r *http.Request) error {
	var body struct {
		Token string `json:"refresh_token"`
	}
	if r.ContentLength != 0 {
		if err := a.readInto(x, r, "logout", &body); err != nil {
			return err
		}
	}
	if err := a.o.Accounts.Logout(r.Context(), x.who, body.Token); err != nil {
		return err
	}
	if _, err := r.Cookie(sessionCookie); err == nil && len(r.Header["Authorization"]) == 0 {
		a.dropCookie(x, r)
	}
	x.WriteHeader(http.StatusNoContent)
	return nil
}

// changePassword serves POST /api/auth/password.
func (a *API) changePassword(x *exchange, r *http.Request) error {
	var body struct {
		Current string `json:"current_password"`
		Next    string `json:"new_password"`
	}
	if err := a.readInto(x, r, "password", &body); err != nil {
		return err
	}
	if err := a.o.Accounts.ChangePassword(r.Context(), x.who, body.Current, body.Next); err != nil {
		return err
	}
	x.WriteHeader(http.StatusNoContent)
	return nil
}

// me serves GET /api/me.
func (a *API) me(x *exchange, _ *http.Request) error {
	p := x.who
	v := meView{Kind: p.Kind, ID: p.User, Name: p.Name, Tenant: x.tenant, Role: p.Role, Scopes: p.Scopes, Collections: p.Collections}
	if p.Kind == principal.OfKey {
		v.ID, v.User = p.Key, optionalText(p.User)
	} else {
		v.Email = &p.Name
	}
	return writeJSON(x, http.StatusOK, v)
}
