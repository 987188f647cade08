package httpapi_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

// openSession exchanges credentials for a cookie, and returns it as a header.
func (s *service) openSession(credential string) string {
	s.t.Helper()
	return cookieOf(s.t, s.send(http.MethodPost, "/api/auth/session", nil, credential).want(204))
}

// cookieOf checks the one cookie that an answer sets.
func cookieOf(t testing.TB, a *answer) string {
	t.Helper()
	set := a.header.Values("Set-Cookie")
	if len(set) != 1 || !strings.Contains(set[0], "; Path=/; ") || !strings.Contains(set[0], "HttpOnly; SameSite=Lax") && !strings.Contains(set[0], "HttpOnly; Secure; SameSite=Lax") {
		t.Fatalf("%s: Set-Cookie is %q", a.what, set)
	}
	pair, _, _ := strings.Cut(set[0], ";")
	return "Cookie: " + pair
}

func TestSession_EndsWithLogout_AndIsForgottenByTheBrowser(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.register("ada@example.com")
	for name, end := range map[string]func(cookie string) *answer{
		"logout": func(cookie string) *answer { return s.send(http.MethodPost, "/api/auth/logout", nil, nobody, cookie) },
		"close":  func(cookie string) *answer { return s.delete("/api/auth/session", nobody, cookie) },
	} {
		cookie := s.openSession(bearer(s.login("ada@example.com").Access))
		s.get("/api/me", nobody, cookie).want(200)
		if got := cookieOf(t, end(cookie).want(204)); got != "Cookie: waybill_session=" {
			t.Errorf("%s leaves the browser with %q", name, got)
		}
		s.ends("the cookie", nobody, cookie)
	}
}

// TestSession_ThatHasEndedIsNoHindrance: no script can remove the cookie, so we
// take it back, and it keeps nobody from logging in.
func TestSession_ThatHasEndedIsNoHindrance(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.register("ada@example.com")
	cookie := s.openSession(bearer(operatorKey))
	s.delete("/api/auth/session", nobody, cookie).want(204)
	s.ends("the cookie", nobody, cookie)
	a := s.get("/api/messages", nobody, cookie)
	a.refused()
	if got := cookieOf(t, a); got != "Cookie: waybill_session=" {
		t.Errorf("the browser is left with %q", got)
	}
	s.post("/api/auth/login", account("ada@example.com", password), nobody, cookie).want(200)
	s.delete("/api/auth/session", nobody, cookie).want(204)
	token, err := s.auth.MakeLink(t.Context(), "operator")
	must(t, err)
	if fresh := cookieOf(t, s.get("/login/"+token, nobody, cookie).want(303)); fresh == "Cookie: waybill_session=" {
		t.Error("the link gave no cookie")
	}
}

func TestSession_ALinkIsGoodOnce(t *testing.T) {
	t.Parallel()
	s := newService(t)
	token, err := s.auth.MakeLink(t.Context(), "operator")
	must(t, err)
	s.send(http.MethodHead, "/login/"+token, nil, nobody).want(200).wantHeader("Set-Cookie", "")
	cookie := cookieOf(t, s.get("/login/"+token, nobody).want(303).wantHeader("Location", "/queues/").wantHeader("Cache-Control", "no-store"))
	s.get("/api/users", nobody, cookie).want(200)
	s.get("/login/"+token, nobody).refused()
	s.get("/login/nonsense", nobody).refused()
}

func TestSession_EndsWithItsKey(t *testing.T) {
	t.Parallel()
	s := newService(t)
	made := s.post("/api/keys", `{"name":"k","scopes":["queues"]}`).want(201)
	key := made.fields()
	made.wantHeader("Location", "/api/keys/"+textOf(t, key["id"]))
	cookie := s.openSession(bearer(textOf(t, key["key"])))
	s.get("/api/me", nobody, cookie).want(200)
	s.delete("/api/keys/" + textOf(t, key["id"])).want(204)
	s.ends("the cookie", nobody, cookie)
	s.ends("the key", bearer(textOf(t, key["key"])))
}

func TestSession_TheCookieIsSecureBehindATrustedProxyWithTLS(t *testing.T) {
	t.Parallel()
	s := newService(t, func(o *settings) { o.proxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} })
	for proto, secure := range map[string]bool{"https": true, "http": false} {
		a := s.send(http.MethodPost, "/api/auth/session", nil, "X-Forwarded-Proto: "+proto).want(204)
		if got := strings.Contains(a.header.Get("Set-Cookie"), "; Secure"); got != secure {
			t.Errorf("%s: %q", proto, a.header.Get("Set-Cookie"))
		}
	}
}

func TestBrowser_PagesOfOtherOrigins(t *testing.T) {
	t.Parallel()
	s := newService(t, func(o *settings) { o.origins = []string{"https://app.example"} })
	cookie := s.openSession(bearer(operatorKey))
	before := s.seen.ended()
	a := s.post("/api/messages", `{"content":"x"}`, nobody, cookie, "Origin: https://evil.example", "Sec-Fetch-Site: cross-site", "X-Request-Id: mine")
	a.problem(403, "forbidden")
	a.wantHeader("X-Request-Id", "mine").wantHeader("Access-Control-Allow-Origin", "")
	s.post("/api/messages", `{"content":"x"}`, nobody, cookie, "Origin: "+s.url, "Sec-Fetch-Site: same-origin").want(202)
	s.post("/api/messages", `{"content":"x"}`, "Origin: https://app.example", "Sec-Fetch-Site: cross-site").want(202).
		wantHeader("Access-Control-Allow-Origin", "https://app.example").wantHeader("Access-Control-Allow-Credentials", "")
	s.send(http.MethodOptions, "/api/messages", nil, nobody, "Origin: https://app.example", "Access-Control-Request-Method: POST", "X-Request-Id: asks").want(204).
		wantHeader("Access-Control-Allow-Methods", "POST").wantHeader("X-Request-Id", "asks").wantHeader("X-Content-Type-Options", "nosniff")
	if got := s.seen.ended() - before; got != 4 {
		t.Errorf("the observer saw %d of 4 requests", got)
	}
}

func TestBrowser_EveryAnswerHasTheSecurityHeaders(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for _, a := range []*answer{
		s.get("/api").want(200), s.get("/openapi.json").want(200), s.get("/nothing").want(404), s.get("/api/me", nobody).want(401),
		s.send(http.MethodPost, "/api/auth/session", nil).want(204), s.delete("/api").want(405), s.post("/api/messages", "{").want(400),
		s.post("/api/messages", "{}", "Sec-Fetch-Site: cross-site").want(403), s.get("/api", bearer("x")).want(401),
	} {
		a.wantHeader("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'").wantHeader("X-Frame-Options", "DENY").
			wantHeader("Referrer-Policy", "no-referrer").wantHeader("X-Content-Type-Options", "nosniff").wantHeader("Strict-Transport-Security", "")
		if a.header.Get("X-Request-Id") == "" {
			t.Errorf("%s: no X-Request-Id", a.what)
		}
	}
}

// TestSession_EndsWithItsLogin: however the login ends, and the other way round; and
// a cookie makes no other, which would outlive it.
func TestSession_EndsWithItsLogin(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.register("ada@example.com")
	for name, end := range map[string]func(tokens, string){
		"logout by the token": func(here tokens, _ string) {
			s.send(http.MethodPost, "/api/auth/logout", nil, bearer(here.Access)).want(204)
		},
		"logout by the cookie": func(_ tokens, cookie string) {
			s.send(http.MethodPost, "/api/auth/logout", nil, nobody, cookie).want(204)
		},
		"a refresh token shown twice": func(here tokens, _ string) {
			s.post("/api/auth/refresh", `{"refresh_token":"`+here.Refresh+`"}`, nobody).want(200)
			s.post("/api/auth/refresh", `{"refresh_token":"`+here.Refresh+`"}`, nobody).want(401)
		},
	} {
		here := s.login("ada@example.com")
		cookie := s.openSession(bearer(here.Access))
		s.send(http.MethodPost, "/api/auth/session", nil, nobody, cookie).problem(403, "forbidden")
		end(here, cookie)
		s.ends(name+": the cookie", nobody, cookie)
		s.ends(name+": the token", bearer(here.Access))
	}
}
