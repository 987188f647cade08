package httpapi_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/waybill-dev/waybill/internal/httpapi"
	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/store"
)

// problem is an RFC 9457 document as API.md shows it.
type problem struct {
	Type      string `json:"type"`
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Detail    string `json:"detail"`
	Code      string `json:"code"`
	RequestID string `json:"request_id"`
	Errors    []struct {
		Location string `json:"location"`
		Message  string `json:"message"`
	} `json:"errors"`
}

// problem checks that the answer is a problem document, complete and agreeing
// with itself, with this code and its status, and with exactly these locations.
func (a *answer) problem(status int, code string, locations ...string) {
	a.t.Helper()
	var p problem
	a.want(status).wantHeader("Content-Type", "application/problem+json").into(&p)
	if p.Type != "about:blank" || p.Title != http.StatusText(status) || p.Status != status || p.Detail == "" {
		a.t.Errorf("%s: incomplete problem %+v", a.what, p)
	}
	if p.Code != code {
		a.t.Errorf("%s: code %q, want %q (%s)", a.what, p.Code, code, p.Detail)
	}
	if p.RequestID == "" || p.RequestID != a.header.Get("X-Request-Id") {
		a.t.Errorf("%s: request_id %q, X-Request-Id %q", a.what, p.RequestID, a.header.Get("X-Request-Id"))
	}
	var got []string
	for _, e := range p.Errors {
		got = append(got, e.Location)
		if e.Message == "" {
			a.t.Errorf("%s: no message at %s", a.what, e.Location)
		}
	}
	if !slices.Equal(got, locations) {
		a.t.Errorf("%s: errors at %q, want %q (%s)", a.what, got, locations, a.body)
	}
	if after := a.header.Get("Retry-After"); (after != "") != (status == 429 || status == 503) {
		a.t.Errorf("%s: Retry-After is %q", a.what, after)
	}
}

func TestAPI_RequestID(t *testing.T) {
	t.Parallel()
	s := newService(t)
	long := strings.Repeat("x", 128)
	for name, c := range map[string]struct {
		given string
		kept  bool
	}{
		"none":             {"", false},
		"beyond ASCII":     {"checkout-42/α", false},
		"printable":        {"checkout-42/a;b=c", true},
		"128 characters":   {long, true},
		"129 characters":   {long + "x", false},
		"with a space":     {"a b", false},
		"with a tabulator": {"a\tb", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var headers []string
			if c.given != "" {
				headers = []string{"X-Request-Id: " + c.given}
			}
			for _, path := range []string{"/api", "/api/messages", "/api/nothing", "/openapi.json", "/nowhere"} {
				got := s.get(path, headers...).header.Values("X-Request-Id")
				if len(got) != 1 || got[0] == "" || (got[0] == c.given) != c.kept {
					t.Errorf("%s: X-Request-Id %q for %q", path, got, c.given)
				}
			}
		})
	}
	if a, b := s.get("/api").header.Get("X-Request-Id"), s.get("/api").header.Get("X-Request-Id"); a == b {
		t.Errorf("two requests were given one ID: %s", a)
	}
}

// failing is a store whose reads fail for a reason that clients must not see.
type failing struct{ httpapi.Store }

var errSecret = errors.New("password=hunter2")

func (failing) Record(context.Context, record.Key) (*record.Record, error) { return nil, errSecret }

func TestAPI_HidesTheCauseOfA500(t *testing.T) {
	t.Parallel()
	s := newService(t, func(o *settings) {
		o.store = func(s *store.Store) httpapi.Store { return failing{s} }
		o.durability = func(context.Context) string { panic("password=hunter2") }
	})
	for name, path := range map[string]string{"an error": "/api/messages/a", "a panic": "/api"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			id := "secret-" + strings.ReplaceAll(name, " ", "-")
			a := s.get(path, "X-Request-Id: "+id)
			a.problem(500, "internal")
			if strings.Contains(string(a.body), "hunter2") {
				t.Errorf("the cause is shown: %s", a.body)
			}
			if !s.log.has(`"level":"ERROR"`, id, "hunter2") {
				t.Error("the log does not have the cause under the request's ID")
			}
		})
	}
	s.get("/api/messages").want(200) // and the server lives
}

func TestAPI_StoreUnavailable(t *testing.T) {
	t.Parallel()
	s := newService(t)
	op := s.put("/api/messages/a", `{"content":"x"}`).accepted()
	if _, err := s.store.DB().ExecContext(t.Context(), "ALTER TABLE records RENAME TO records_away"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.store.DB().ExecContext(t.Context(), "ALTER TABLE operations RENAME TO operations_away"); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{
		"/api/messages", "/api/messages/a", "/api/operations", "/api/operations/0198c0de-0001-7abc-8def-0123456789ab",
	} {
		a := s.get(path)
		a.problem(503, "store_unavailable")
		if strings.Contains(string(a.body), "no such table") {
			t.Errorf("%s shows the cause: %s", path, a.body)
		}
	}
	var got operation
	s.get("/api/operations/" + op.ID).want(200).into(&got) // what is in the queue is tracked without a database
	if got.ID != op.ID || got.Status != "queued" {
		t.Errorf("got %+v", got)
	}
	s.post("/api/messages", `{"content":"y"}`).accepted() // and writes are accepted
}
