package httpapi_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

// Content types.
const (
	plainJSON = "application/json"
	mergeJSON = "application/merge-patch+json"
	lines     = "application/x-ndjson"
)

// answer is a response, read whole.
type answer struct {
	t      testing.TB
	what   string // the request, for messages
	status int
	header http.Header
	body   []byte
}

// send sends a request. headers are "Name: value"; a body has a Content-Type
// only if they say so. path is sent as it is written.
func (s *service) send(method, path string, body io.Reader, headers ...string) *answer {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 40*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, s.url+path, body)
	must(s.t, err)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ":")
		r.Header.Add(name, strings.TrimPrefix(value, " "))
	}
	response, err := s.client.Do(r)
	must(s.t, err)
	defer func() { _ = response.Body.Close() }()
	got, err := io.ReadAll(response.Body)
	must(s.t, err)
	return &answer{s.t, method + " " + path + " " + strings.Join(headers, ", "), response.StatusCode, response.Header, got}
}

func (s *service) get(path string, headers ...string) *answer {
	s.t.Helper()
	return s.send(http.MethodGet, path, nil, headers...)
}

func (s *service) post(path, body string, headers ...string) *answer {
	s.t.Helper()
	return s.send(http.MethodPost, path, strings.NewReader(body), withType(plainJSON, headers)...)
}

func (s *service) put(path, body string, headers ...string) *answer {
	s.t.Helper()
	return s.send(http.MethodPut, path, strings.NewReader(body), withType(plainJSON, headers)...)
}

func (s *service) patch(path, body string, headers ...string) *answer {
	s.t.Helper()
	return s.send(http.MethodPatch, path, strings.NewReader(body), withType(mergeJSON, headers)...)
}

func (s *service) delete(path string, headers ...string) *answer {
	s.t.Helper()
	return s.send(http.MethodDelete, path, nil, headers...)
}

func (s *service) bulk(path, body string, headers ...string) *answer {
	s.t.Helper()
	return s.send(http.MethodPost, path, strings.NewReader(body), withType(lines, headers)...)
}

func withType(media string, headers []string) []string {
	return append([]string{"Content-Type: " + media}, headers...)
}

// waited is the preference of tests that want the outcome.
const waited = "Prefer: wait=20"

// want ends the test unless the answer has this status.
func (a *answer) want(status int) *answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("%s: status %d, want %d; body %.500s", a.what, a.status, status, a.body)
	}
	return a
}

// wantHeader checks a header; "" means that it must not be there.
func (a *answer) wantHeader(name, value string) *answer {
	a.t.Helper()
	if got := strings.Join(a.header.Values(name), ", "); got != value {
		a.t.Errorf("%s: %s is %q, want %q", a.what, name, got, value)
	}
	return a
}

// into decodes the body, strictly.
func (a *answer) into(v any) {
	a.t.Helper()
	if media := a.header.Get("Content-Type"); media != plainJSON && media != "application/problem+json" {
		a.t.Errorf("%s: Content-Type is %q", a.what, media)
	}
	d := json.NewDecoder(strings.NewReader(string(a.body)))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		a.t.Fatalf("%s: %v in %.500s", a.what, err, a.body)
	}
}

// operation is an operation as API.md shows it.
type operation struct {
	ID         string  `json:"id"`
	Action     string  `json:"action"`
	Collection string  `json:"collection"`
	Record     string  `json:"record"`
	Status     string  `json:"status"`
	AcceptedAt string  `json:"accepted_at"`
	StoredAt   *string `json:"stored_at"`
	Version    *int64  `json:"version"`
	Attempts   int     `json:"attempts"`
	Error      *struct {
		Code   string `json:"code"`
		Detail string `json:"detail"`
	} `json:"error"`
	Deliveries struct {
		Pending   int `json:"pending"`
		Delivered int `json:"delivered"`
		Dead      int `json:"dead"`
		Canceled  int `json:"canceled"`
	} `json:"deliveries"`
}

// accepted checks a 202 and returns its operation.
func (a *answer) accepted() operation {
	a.t.Helper()
	var op operation
	a.want(202).wantHeader("Content-Type", plainJSON).into(&op)
	a.wantHeader("Location", "/api/operations/"+op.ID)
	if !uuid7.MatchString(op.ID) {
		a.t.Errorf("%s: the operation's ID is %q, no UUIDv7", a.what, op.ID)
	}
	return op
}

var (
	uuid7 = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	utc   = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$`)
)

// ended returns an operation that is done or failed.
func (s *service) ended(id string) operation {
	s.t.Helper()
	var op operation
	s.get("/api/operations/" + id + "?wait=20").want(200).into(&op)
	if op.Status != "done" && op.Status != "failed" {
		s.t.Fatalf("operation %s is %s after 20 s", id, op.Status)
	}
	return op
}

// fields are the members of a JSON object, as they are written.
func (a *answer) fields() map[string]string {
	a.t.Helper()
	raw := map[string]json.RawMessage{}
	a.into(&raw)
	found := map[string]string{}
	for name, value := range raw {
		found[name] = string(value)
	}
	return found
}

// page is a page of any list.
type page struct {
	Items      []json.RawMessage `json:"items"`
	NextCursor *string           `json:"next_cursor"`
}

func (s *service) page(path string) page {
	s.t.Helper()
	var p page
	a := s.get(path).want(200)
	a.into(&p)
	if p.Items == nil {
		s.t.Fatalf("%s: items is null", a.what)
	}
	return p
}

// members returns a member of each of a page's items, as text.
func (p page) members(t testing.TB, name string) []string {
	t.Helper()
	found := []string{}
	for _, item := range p.Items {
		object := map[string]json.RawMessage{}
		must(t, json.Unmarshal(item, &object))
		var text string
		must(t, json.Unmarshal(object[name], &text))
		found = append(found, text)
	}
	return found
}
