package httpapi

import (
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-chi/chi/v5"

	"github.com/waybill-dev/waybill/internal/fault"
)

// afterLogin is where a login link leads.
const afterLogin = "/queues/"

// routeSession adds the cookie of pages: a browser's own credential, which no
// script can read.
func (a *API) routeSession() {
	const tag, path = "auth", "/api/auth/session"
	open := identityOperation(http.MethodPost, path, "open-session", tag, "Exchange the credentials for a cookie, for pages")
	open.RequestBody = optionalBody(bodyOf("nothing"))
	open.Responses = a.answers(http.StatusNoContent, withHeader(&huma.Response{Description: "The cookie is set"}, "Set-Cookie", sessionCookie), bodyFaults...)
	a.route(open, own(control), a.openSession)

	end := identityOperation(http.MethodDelete, path, "close-session", tag, "End the cookie's session")
	end.Responses = a.answers(http.StatusNoContent, &huma.Response{Description: "It has ended"}, fault.InvalidParameter, fault.StoreUnavailable)
	a.route(end, access{effort: control}, a.closeSession)

	a.serve(http.MethodGet, "/login/{token}", nil, access{effort: logins}, a.takeLink)
}

// openSession serves POST /api/auth/session.
func (a *API) openSession(x *exchange, r *http.Request) error {
	if err := a.noBody(x, r); err != nil {
		return err
	}
	cookie, expires, err := a.o.Accounts.OpenSession(r.Context(), x.who)
	if err != nil {
		return err
	}
	a.setCookie(x, r, cookie, expires)
	x.WriteHeader(http.StatusNoContent)
	return nil
}

// closeSession serves DELETE /api/auth/session. Without a session there is
// nothing to end.
func (a *API) closeSession(x *exchange, r *http.Request) error {
	if cookie, err := r.Cookie(sessionCookie); err == nil {
		if err := a.o.Accounts.CloseSession(r.Context(), cookie.Value); err != nil && fault.KindOf(err) != fault.NotFound {
			return err
		}
	}
	a.dropCookie(x, r)
	x.WriteHeader(http.StatusNoContent)
	return nil
}

// takeLink serves GET /login/{token}, a link that is good once.
func (a *API) takeLink(x *exchange, r *http.Request) error {
	x.Header().Set("Cache-Control", "no-store")
	if r.Method == http.MethodHead { // a look is no use
		x.WriteHeader(http.StatusOK)
		return nil
	}
	cookie, expires, err := a.o.Accounts.TakeLink(r.Context(), chi.URLParam(r, "token"))
	if err != nil {
		return err
	}
	a.setCookie(x, r, cookie, expires)
	x.Header().Set("Location", afterLogin)
	x.WriteHeader(http.StatusSeeOther)
	return nil
}

// setCookie sets the cookie, in place of what was said of it before.
func (a *API) setCookie(x *exchange, r *http.Request, value string, expires time.Time) {
	cookie := http.Cookie{
		Name: sessionCookie, Value: value, Path: "/", Expires: expires.UTC(), HttpOnly: true, SameSite: http.SameSiteLaxMode,
		Secure: isHTTPS(r, a.o.TrustedProxies, a.o.PublicURL),
	}
	x.Header().Set("Set-Cookie", cookie.String())
}

// dropCookie has the browser forget the cookie.
func (a *API) dropCookie(x *exchange, r *http.Request) { a.setCookie(x, r, "", time.Unix(1, 0)) }
