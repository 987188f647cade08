package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/waybill-dev/waybill/internal/testenv"
)

const (
	nobody   = "Authorization: " // the harness sends none
	password = "correct horse battery staple"
)

func bearer(credential string) string { return "Authorization: Bearer " + credential }

// tokens are what a login answers.
type tokens struct {
	Access    string `json:"access_token"`
	Type      string `json:"token_type"`
	ExpiresIn int    `json:"expires_in"`
	Refresh   string `json:"refresh_token"`
}

func account(email, password string) string {
	return fmt.Sprintf(`{"email":%q,"password":%q}`, email, password)
}

// register makes a user and returns their ID.
func (s *service) register(email string) (id string) {
	s.t.Helper()
	return textOf(s.t, s.post("/api/auth/register", account(email, password), nobody).want(201).fields()["id"])
}

func (s *service) login(email string) (got tokens) {
	s.t.Helper()
	s.post("/api/auth/login", account(email, password), nobody).want(200).into(&got)
	return got
}

func textOf(t testing.TB, raw string) (text string) {
	t.Helper()
	must(t, json.Unmarshal([]byte(raw), &text))
	return text
}

// refused checks a 401, which says how to do better.
func (a *answer) refused() {
	a.t.Helper()
	a.problem(401, "unauthorized")
	if a.header.Get("WWW-Authenticate") == "" {
		a.t.Errorf("%s: no WWW-Authenticate", a.what)
	}
}

// ends waits until credentials are refused: within the five seconds promised.
func (s *service) ends(what string, credential ...string) {
	s.t.Helper()
	testenv.Eventually(s.t, 8*time.Second, what+" ends", func() error {
		if a := s.get("/api/me", credential...); a.status != 401 {
			return fmt.Errorf("status %d", a.status)
		}
		return nil
	})
}

func TestLogin_FromRegisteringToLoggingOut(t *testing.T) {
	t.Parallel()
	s := newService(t)
	made := s.post("/api/auth/register", account("Ada@example.com", password), nobody).want(201).fields()
	if made["email"] != `"Ada@example.com"` || made["role"] != `"member"` || made["tenant"] != `"default"` || made["disabled"] != "false" || made["last_login_at"] != "null" || len(made) != 7 {
		t.Errorf("registered %v", made)
	}
	first := s.login("ada@EXAMPLE.com")
	if first.Type != "Bearer" || first.ExpiresIn != 900 || first.Access == "" || first.Refresh == "" {
		t.Errorf("logged in with %+v", first)
	}
	me := s.get("/api/me", bearer(first.Access)).want(200).fields()
	if me["id"] != made["id"] || me["email"] != made["email"] || me["kind"] != `"user"` || me["scopes"] != "null" || me["user"] != "null" {
		t.Errorf("me is %v", me)
	}
	var next tokens
	s.post("/api/auth/refresh", fmt.Sprintf(`{"refresh_token":%q}`, first.Refresh), nobody).want(200).into(&next)
	if next.Refresh == first.Refresh || next.Access == "" {
		t.Errorf("refreshed to %+v", next)
	}
	s.send(http.MethodPost, "/api/auth/logout", nil, bearer(next.Access)).want(204)
	s.ends("the token", bearer(next.Access))
	s.post("/api/auth/refresh", fmt.Sprintf(`{"refresh_token":%q}`, next.Refresh), nobody).refused()
	s.send(http.MethodPost, "/api/auth/logout", nil, nobody).refused()
}

func TestLogin_ARefreshTokenShownTwiceEndsTheLogin(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.register("ada@example.com")
	first := s.login("ada@example.com")
	spend := fmt.Sprintf(`{"refresh_token":%q}`, first.Refresh)
	var next tokens
	s.post("/api/auth/refresh", spend, nobody).want(200).into(&next)
	s.post("/api/auth/refresh", spend, nobody).refused()
	s.post("/api/auth/refresh", fmt.Sprintf(`{"refresh_token":%q}`, next.Refresh), nobody).refused()
	s.ends("its token", bearer(next.Access))
}

func TestLogin_SaysTheSameOfAWrongPasswordAndAnUnknownAddress(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.register("ada@example.com")
	detail := ""
	for _, body := range []string{
		account("ada@example.com", password+"!"), account("bob@example.com", password), account("no address", password),
		account("ada@example.com", ""), account("ada@example.com", strings.Repeat("x", 2000)),
	} {
		a := s.post("/api/auth/login", body, nobody)
		a.refused()
		if got := a.fields()["detail"]; detail != "" && got != detail {
			t.Errorf("%s is told %s, others %s", body, got, detail)
		} else {
			detail = got
		}
	}
}

func TestRegister_RefusesBadInput(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.register("Ädä@example.com")
	for name, c := range map[string]struct {
		body, code, at string
		status         int
	}{
		"the same address":           {account("Ädä@example.com", password), "conflict", "", 409},
		"in another case":            {account("äDÄ@EXAMPLE.com", password), "conflict", "", 409},
		"decomposed":                 {account("A\u0308da\u0308@example.com", password), "conflict", "", 409},
		"full width":                 {account("Ädä@ｅxample.com", password), "conflict", "", 409},
		"11 characters":              {account("b@example.com", "12345678901"), "invalid_record", "body.password", 422},
		"11 characters of 3 bytes":   {account("b@example.com", strings.Repeat("€", 11)), "invalid_record", "body.password", 422},
		"1,025 bytes":                {account("b@example.com", strings.Repeat("x", 1025)), "invalid_record", "body.password", 422},
		"the address":                {account("bob@example.com", "bob@example.com"), "invalid_record", "body.password", 422},
		"the address, in capitals":   {account("bob@example.com", "BOB@EXAMPLE.COM"), "invalid_record", "body.password", 422},
		"no address":                 {account("bob", password), "invalid_record", "body.email", 422},
		"an unknown member":          {`{"email":"b@example.com","password":"` + password + `","role":"platform"}`, "invalid_record", "body.role", 422},
		"no password":                {`{"email":"b@example.com"}`, "invalid_record", "body.password", 422},
		"not JSON":                   {"email=b", "invalid_json", "body", 400},
		"an address that is no text": {`{"email":1,"password":"` + password + `"}`, "invalid_record", "body.email", 422},
	} {
		a := s.post("/api/auth/register", c.body, nobody)
		if c.at == "" {
			a.problem(c.status, c.code)
		} else {
			a.problem(c.status, c.code, c.at)
		}
		if t.Failed() {
			t.Fatal(name)
		}
	}
	s.post("/api/auth/register", account("b@example.com", strings.Repeat("x", 300<<10)), nobody).problem(413, "too_large", "body")
	s.send(http.MethodPost, "/api/auth/register", strings.NewReader(account("b@example.com", password)), "Content-Type: text/plain", nobody).want(415)
	if n := len(s.page("/api/users").Items); n != 1 {
		t.Errorf("there are %d users", n)
	}
	s.post("/api/auth/register", account("b@example.com", strings.Repeat("€", 341)), nobody).want(201) // 1,023 bytes
}

func TestPassword_IsChanged(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.register("ada@example.com")
	here, there := s.login("ada@example.com"), s.login("ada@example.com")
	change := func(current, next string) *answer {
		return s.post("/api/auth/password", fmt.Sprintf(`{"current_password":%q,"new_password":%q}`, current, next), bearer(here.Access))
	}
	change(password, "short").problem(422, "invalid_record", "body.new_password")
	change(password, "ADA@example.com").problem(422, "invalid_record", "body.new_password")
	change("a wrong password", "another good password").problem(403, "forbidden", "body.current_password")
	change(password, "another good password").want(204)
	s.ends("the other login", bearer(there.Access))
	s.get("/api/me", bearer(here.Access)).want(200)
	s.post("/api/auth/login", account("ada@example.com", password), nobody).refused()
	s.post("/api/auth/login", account("ada@example.com", "another good password"), nobody).want(200)
	s.post("/api/auth/password", `{"current_password":"x","new_password":"another good password"}`).problem(403, "forbidden") // a key has none
}
