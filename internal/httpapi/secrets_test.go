package httpapi_test

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSecrets_AreInNoLogLineAndNoTable looks into the files of the database, where
// every column is, its write-ahead log too.
func TestSecrets_AreInNoLogLineAndNoTable(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	s := newService(t, onDatabase("sqlite:"+filepath.Join(data, "waybill.db")))
	s.register("ada@example.com")
	login := s.login("ada@example.com")
	ada := bearer(login.Access)
	key := textOf(t, s.post("/api/keys", `{"name":"a name that is found","scopes":["records:read"]}`, ada).want(201).fields()["key"])
	cookie := strings.TrimPrefix(s.openSession(ada), "Cookie: waybill_session=")
	link, err := s.auth.MakeLink(t.Context(), "operator")
	must(t, err)
	var next tokens
	s.post("/api/auth/refresh", fmt.Sprintf(`{"refresh_token":%q}`, login.Refresh), nobody).want(200).into(&next)
	s.get("/api/me", bearer(key)).want(200)
	s.post("/api/auth/login", account("ada@example.com", "a wrong password that was given"), nobody).refused()
	s.post("/api/auth/refresh", fmt.Sprintf(`{"refresh_token":%q}`, login.Refresh), nobody).refused() // reused: logged, audited
	s.get("/login/"+link, nobody).want(http.StatusSeeOther)
	s.get("/login/"+link, nobody).refused()

	var kept []byte
	files, err := filepath.Glob(filepath.Join(data, "*"))
	must(t, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		must(t, err)
		kept = append(kept, text...)
	}
	if !bytes.Contains(kept, []byte("a name that is found")) {
		t.Fatal("the files of the database are not where the test looks")
	}
	for name, secret := range map[string]string{
		"password": password, "wrong password": "a wrong password that was given", "token": login.Access, "refresh token": login.Refresh,
		"next refresh token": next.Refresh, "key": key, "key's secret": key[strings.LastIndex(key[:40], "_")+1:], "cookie": cookie, "link": link,
		"operator's secret": strings.TrimPrefix(operatorKey, "wb_operator_"),
	} {
		if bytes.Contains(kept, []byte(secret)) {
			t.Errorf("the database has the %s", name)
		}
		if s.log.has(secret) {
			t.Errorf("the log has the %s", name)
		}
	}
}
