package app_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// What must not be in a log, at any level, in any format: credentials, secrets and
// what clients write.
const (
	bodyText = "a-body-that-nobody-logs"
	password = "a-password-that-nobody-logs"
	header   = "a-header-that-nobody-logs"
)

func TestLog_NeverShowsSecretsOrBodies(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"json", "text"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			s := newInside(t, true, "WAYBILL_LOG_FORMAT="+format)
			operation, secrets := beBusy(t, s)
			s.stop()
			text := s.log.String()
			for _, secret := range append(secrets, bodyText, password, header, systemSecret, strings.SplitN(adminKey, "_", 3)[2]) {
				if i := strings.Index(text, secret); i >= 0 {
					t.Errorf("the log has %q: …%s…", secret, text[max(0, i-200):min(len(text), i+100)])
				}
			}
			if format == "json" {
				checkRequestLine(t, text, operation)
			}
		})
	}
}

// beBusy does what makes the log talk, well and badly, and returns an operation
// that was followed as r-1, and secrets that came about.
func beBusy(t *testing.T, s *inside) (operation string, secrets []string) {
	r := subscribe(t, s.base, "busy", `"events":["*","messages.failed"]`, func(_ *http.Request, e *receivedEvent) int {
		if e.requests < 2 {
			return http.StatusServiceUnavailable
		}
		return http.StatusOK
	})
	hidden := fmt.Sprintf(`{"name":"h","events":["*"],"channel":{"type":"webhook","url":"http://127.0.0.1:1/","headers":{"X-Token":%q}}}`, header)
	mustCall(t, http.MethodPost, s.base+"/api/subscriptions", hidden).want(t, http.StatusCreated)
	operation = post(t, s.base, bodyText, "X-Request-Id", "r-1", "traceparent", traceparent)
	failed := mustCall(t, http.MethodPatch, s.base+"/api/messages/missing", fmt.Sprintf(`{"content":%q}`, bodyText)).want(t, http.StatusAccepted).operation(t).ID
	r.awaitAccepted(t, 30*time.Second, []string{operation, failed})
	for _, body := range []string{`{"content":"` + bodyText, fmt.Sprintf(`{"content":%q,"more":1}`, bodyText)} {
		if a := mustCall(t, http.MethodPost, s.base+"/api/messages?x="+bodyText, body); a.status < 400 {
			t.Errorf("%v", a)
		}
		if a := mustCall(t, http.MethodPost, s.base+"/api/messages", body); a.status < 400 {
			t.Errorf("%v", a)
		}
	}
	mustCall(t, http.MethodGet, s.base+"/api/"+bodyText+"/"+bodyText, "").want(t, http.StatusNotFound)
	who := fmt.Sprintf(`{"email":"a@example.com","password":%q}`, password)
	mustCall(t, http.MethodPost, s.base+"/api/auth/register", who).want(t, http.StatusCreated)
	login := mustCall(t, http.MethodPost, s.base+"/api/auth/login", who).want(t, http.StatusOK)
	mustCall(t, http.MethodPost, s.base+"/api/auth/login", fmt.Sprintf(`{"email":"a@example.com","password":"%sx"}`, password)).want(t, http.StatusUnauthorized)
	mustCall(t, http.MethodGet, s.base+"/api/messages", "", "Authorization", "Bearer "+adminKey+"x").want(t, http.StatusUnauthorized)
	var tokens map[string]any
	login.decode(t, &tokens)
	for name, value := range tokens {
		if token, ok := value.(string); ok && strings.HasSuffix(name, "token") {
			secrets = append(secrets, token)
		}
	}
	if len(secrets) < 2 {
		t.Fatalf("the login gave %v", tokens)
	}
	refresh := fmt.Sprintf(`{"refresh_token":%q}`, tokens["refresh_token"])
	for range 2 { // the second is a theft
		mustCall(t, http.MethodPost, s.base+"/api/auth/refresh", refresh)
	}
	return operation, secrets
}

// checkRequestLine looks for the line of request r-1.
func checkRequestLine(t *testing.T, text, operation string) {
	t.Helper()
	for line := range strings.Lines(text) {
		var l map[string]any
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if l["msg"] != "request" || l["request_id"] != "r-1" {
			continue
		}
		for name, want := range map[string]any{
			"level": "DEBUG", "method": "POST", "route": "/api/messages", "status": 202.0, "tenant": "default", "operation": operation, "trace_id": traceID,
		} {
			if l[name] != want {
				t.Errorf("the request's line has %s %v, want %v", name, l[name], want)
			}
		}
		if _, ok := l["duration"]; !ok {
			t.Errorf("no duration in %s", line)
		}
		return
	}
	t.Error("there is no line of the request")
}
