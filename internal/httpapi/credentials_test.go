package httpapi_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/waybill-dev/waybill/internal/testenv"
)

func TestCredentials_ThatAreNotQuiteOursAreRefused(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.register("ada@example.com")
	good := s.login("ada@example.com").Access
	parts := strings.Split(good, ".")
	said := jwt.MapClaims{}
	_, _, err := jwt.NewParser().ParseUnverified(good, said)
	must(t, err)
	forge := func(method jwt.SigningMethod, key any, kid string, change map[string]any) string {
		claims := jwt.MapClaims{}
		for _, from := range []map[string]any{said, change} {
			maps.Copy(claims, from)
		}
		token := jwt.NewWithClaims(method, claims)
		token.Header["kid"] = kid
		text, err := token.SignedString(key)
		must(t, err)
		return text
	}
	ours := func(name string, value any) string {
		return forge(jwt.SigningMethodHS256, []byte(tokenSecret), "known", map[string]any{name: value})
	}
	s.get("/api/me", bearer(ours("jti", "1"))).want(200) // or the others show nothing
	now := time.Now()
	id := strings.Split(operatorKey, "_")[1]
	for name, credential := range map[string]string{
		"alg none":               forge(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, "known", nil),
		"HS512":                  forge(jwt.SigningMethodHS512, []byte(tokenSecret), "known", nil),
		"another secret":         forge(jwt.SigningMethodHS256, []byte("another secret of tests, as long"), "known", nil),
		"another kid":            forge(jwt.SigningMethodHS256, []byte(tokenSecret), "other", nil),
		"expired":                ours("exp", now.Add(-time.Minute).Unix()),
		"not yet":                ours("nbf", now.Add(time.Minute).Unix()),
		"another issuer":         ours("iss", "other"),
		"another audience":       ours("aud", "other"),
		"another user":           ours("sub", "01890000-0000-7000-8000-000000000000"),
		"another tenant":         ours("tenant", "other"),
		"10 KiB":                 ours("more", strings.Repeat("x", 10<<10)),
		"tampered":               parts[0] + "." + parts[1] + "x." + parts[2],
		"no signature":           parts[0] + "." + parts[1] + ".",
		"a key, another secret":  "wb_" + id + "_" + strings.Repeat("x", 40),
		"a key without a secret": "wb_" + id,
		"an unknown key":         "wb_unknown_" + strings.Repeat("x", 40),
		"empty":                  "",
		"two words":              good + " " + good,
	} {
		for _, path := range []string{"/api/me", "/api/messages"} { // also where none are needed
			a := s.get(path, bearer(credential))
			if a.status != 401 || a.header.Get("WWW-Authenticate") == "" {
				t.Errorf("%s, %s: %d %s", name, path, a.status, a.body)
			}
		}
	}
	s.get("/api/me", "Authorization: Basic eDp5").refused()
	s.get("/api/me", bearer(good), bearer(good)).problem(400, "invalid_parameter", "header.Authorization")
}

func TestCredentials_InAQueryAreRefused_AndNotLogged(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for _, name := range []string{"access_token", "key", "token", "api_key"} {
		for _, path := range []string{"/api", "/api/me", "/api/messages", "/api/keys", "/api/operations"} {
			s.get(path+"?"+name+"="+operatorKey, nobody).problem(400, "invalid_parameter", "query."+name)
		}
		s.post("/api/messages?"+name+"="+operatorKey, `{"content":"x"}`, nobody).problem(400, "invalid_parameter", "query."+name)
	}
	if s.log.has(operatorKey) {
		t.Error("the log has the key")
	}
}

func TestTenant_IsNamedByPlatformAdminsAlone(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.register("ada@example.com")
	ada := bearer(s.login("ada@example.com").Access)
	s.get("/api/me", ada, "Waybill-Tenant: acme").problem(403, "forbidden")
	s.get("/api/messages", nobody, "Waybill-Tenant: acme").problem(403, "forbidden")
	s.get("/api/me", "Waybill-Tenant: acme", "Waybill-Tenant: acme").problem(400, "invalid_parameter", "header.Waybill-Tenant")
	for _, bad := range []string{"", "Acme", "-acme", "a b", strings.Repeat("a", 64), "ä"} {
		s.get("/api/me", "Waybill-Tenant: "+bad).problem(400, "invalid_parameter", "header.Waybill-Tenant")
	}
	if got := s.get("/api/me", "Waybill-Tenant: acme").want(200).fields()["tenant"]; got != `"acme"` {
		t.Errorf("the tenant is %s", got)
	}
	if got := s.page("/api/tenants").members(t, "name"); strings.Join(got, " ") != "acme default" {
		t.Errorf("the tenants are %q", got)
	}
}

func TestUser_WhoIsDisabledIsOutEverywhere(t *testing.T) {
	t.Parallel()
	s := newService(t)
	id := s.register("ada@example.com")
	login := s.login("ada@example.com")
	ada := bearer(login.Access)
	key := textOf(t, s.post("/api/keys", `{"name":"k","scopes":["records:read"]}`, ada).want(201).fields()["key"])
	cookie := s.openSession(ada)
	for _, credential := range []string{bearer(key), ada} {
		s.get("/api/me", credential).want(200)
	}
	s.get("/api/me", nobody, cookie).want(200)
	s.patch("/api/users/"+id, `{"disabled":true}`).want(200)
	s.ends("the token", ada)
	s.ends("the key", bearer(key))
	s.ends("the cookie", nobody, cookie)
	s.post("/api/auth/refresh", fmt.Sprintf(`{"refresh_token":%q}`, login.Refresh), nobody).refused()
	s.post("/api/auth/login", account("ada@example.com", password), nobody).refused()
	s.patch("/api/users/"+id, `{"disabled":false}`).want(200)
	testenv.Eventually(t, 8*time.Second, "the key is good again", func() error {
		if a := s.get("/api/me", bearer(key)); a.status != 200 {
			return fmt.Errorf("status %d", a.status)
		}
		return nil
	})
	s.login("ada@example.com")
}
