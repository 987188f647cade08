package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// client has one pool of connections for all tests.
var client = &http.Client{
	Timeout:   40 * time.Second, // more than the longest wait
	Transport: &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: 10 * time.Second},
}

// answer is what the API answered.
type answer struct {
	status int
	header http.Header
	body   []byte
	took   time.Duration
}

func (a *answer) String() string {
	return fmt.Sprintf("%d after %v: %s", a.status, a.took.Round(time.Millisecond), bytes.TrimSpace(a.body))
}

// call sends one request. headers are names and values in turn; the media type
// of a body is JSON unless they say otherwise. Subscriptions and deliveries are the
// operator's.
func call(ctx context.Context, method, url, body string, headers ...string) (*answer, error) {
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if strings.Contains(url, "/api/subscriptions") || strings.Contains(url, "/api/deliveries") {
		r.Header.Set("Authorization", "Bearer "+adminKey)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	from := time.Now()
	response, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	return &answer{response.StatusCode, response.Header, text, time.Since(from)}, nil
}

// mustCall is call where there has to be an answer.
func mustCall(t testing.TB, method, url, body string, headers ...string) *answer {
	t.Helper()
	a, err := call(t.Context(), method, url, body, headers...)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	return a
}

// want fails the test unless a has the status.
func (a *answer) want(t testing.TB, status int) *answer {
	t.Helper()
	if a.status != status {
		t.Fatalf("answer %v, want %d", a, status)
	}
	return a
}

// has fails the test unless the answer has text in it.
func (a *answer) has(t testing.TB, text string) {
	t.Helper()
	if !bytes.Contains(a.body, []byte(text)) {
		t.Errorf("no %q in the answer of %d bytes", text, len(a.body))
	}
}

// operation is an operation as the API shows it.
type operation struct {
	ID      string `json:"id"`
	Action  string `json:"action"`
	Record  string `json:"record"`
	Status  string `json:"status"`
	Version int64  `json:"version"`
	Error   *struct {
		Code   string `json:"code"`
		Detail string `json:"detail"`
	} `json:"error"`
	Deliveries deliveryCounts `json:"deliveries"`
}

// deliveryCounts are how many of an operation's deliveries stand where.
type deliveryCounts struct{ Pending, Delivered, Dead, Canceled int }

func (o *operation) terminal() bool { return o.Status == "done" || o.Status == "failed" }

// outcome is how the operation ended, in one comparable line.
func (o *operation) outcome() string {
	if o.Error != nil {
		return outcomeLine(o.Status, o.Version, o.Error.Code, o.Error.Detail)
	}
	return outcomeLine(o.Status, o.Version, "", "")
}

// decode reads a JSON body into v.
func (a *answer) decode(t testing.TB, v any) {
	t.Helper()
	if err := json.Unmarshal(a.body, v); err != nil {
		t.Fatalf("%v in answer %v", err, a)
	}
}

func (a *answer) operation(t testing.TB) *operation {
	t.Helper()
	o := &operation{}
	a.decode(t, o)
	return o
}

func (a *answer) operations(t testing.TB) []operation {
	t.Helper()
	var list struct{ Operations []operation }
	a.decode(t, &list)
	return list.Operations
}

// code is the code of a problem document, "" in any other answer.
func (a *answer) code() string {
	var problem struct{ Code string }
	_ = json.Unmarshal(a.body, &problem)
	return problem.Code
}
