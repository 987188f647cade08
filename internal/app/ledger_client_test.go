package app_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
)

// ledgerClient makes up the writes of one of the ledger's clients.
type ledgerClient struct {
	*ledger
	number string
	made   int
	random *rand.Rand
	own    []string // IDs of todos that it created
}

const (
	sharedRecords = 24
	bulkLines     = 12 // at most
)

func (c *ledgerClient) chance(percent int) bool { return c.random.IntN(100) < percent }

// name names a write: no two have the same.
func (c *ledgerClient) name() string {
	c.made++
	return fmt.Sprintf("client %s, write %d", c.number, c.made)
}

// one sends one request of a mix, and sometimes repeats it.
func (c *ledgerClient) one(t *testing.T) {
	t.Helper()
	var r *request
	switch n := c.random.IntN(100); {
	case n < 8:
		r = c.bulk()
	case n < 35:
		r = c.create()
	default:
		r = c.change()
	}
	if c.chance(35) {
		r.key = true
		r.headers = append(r.headers, "Idempotency-Key", c.name())
	}
	if len(r.writes) == 1 && c.chance(12) {
		r.headers = append(r.headers, "Prefer", "wait=1")
	}
	if c.send(t, c.random, r) && r.key && c.chance(25) {
		c.repeat(t, r)
	}
	if w := r.writes[0]; w.action == "create" && w.collection == "todos" && w.operation != "" {
		c.own = append(c.own, w.operation)
	}
}

// repeat repeats a request that was answered; note compares the operations.
func (c *ledgerClient) repeat(t *testing.T, r *request) {
	t.Helper()
	a, err := call(t.Context(), r.method, c.bases[c.random.IntN(len(c.bases))]+r.path, r.body, r.headers...)
	if err != nil || a.status == http.StatusServiceUnavailable {
		return
	}
	if a.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("a repeat of %s %s %s is not marked as one: %v", r.method, r.path, r.body, a)
	}
	c.note(t, r, a)
}

func (c *ledgerClient) create() *request {
	w := &write{action: "create", collection: "messages", body: fmt.Sprintf(`{"content":%q}`, c.name())}
	if c.chance(50) {
		w.collection, w.body = "todos", fmt.Sprintf(`{"text":%q,"completed":false}`, c.name())
	}
	return &request{method: http.MethodPost, path: "/api/" + w.collection, body: w.body, writes: []*write{w}}
}

func (c *ledgerClient) bulk() *request {
	r := &request{method: http.MethodPost, path: "/api/messages", headers: []string{"Content-Type", "application/x-ndjson"}}
	for range 2 + c.random.IntN(bulkLines-1) {
		w := &write{action: "create", collection: "messages", body: fmt.Sprintf(`{"content":%q}`, c.name())}
		r.writes = append(r.writes, w)
		r.body += w.body + "\n"
	}
	return r
}

// change writes to a record shared by all clients, or to one of its own that
// may not be stored yet.
func (c *ledgerClient) change() *request {
	id := fmt.Sprintf("shared-%d", c.random.IntN(sharedRecords))
	if len(c.own) > 0 && c.chance(25) {
		id = c.own[c.random.IntN(len(c.own))]
	}
	w := &write{collection: "todos", record: id}
	r := &request{path: "/api/todos/" + id, writes: []*write{w}}
	switch n := c.random.IntN(100); {
	case n < 35:
		w.action, r.method, w.body = "replace", http.MethodPut, fmt.Sprintf(`{"text":%q,"completed":%t}`, c.name(), c.chance(50))
		if c.chance(15) {
			r.headers = append(r.headers, "If-None-Match", "*")
		}
	case n < 75:
		w.action, r.method, w.body = "patch", http.MethodPatch, fmt.Sprintf(`{"text":%q}`, c.name())
		if c.chance(15) {
			w.body = `{"text":null}` // accepted, and fails
		}
	default:
		w.action, r.method = "delete", http.MethodDelete
	}
	r.body = w.body
	if c.chance(15) && !strings.Contains(strings.Join(r.headers, " "), "If-None-Match") {
		r.headers = append(r.headers, "If-Match", fmt.Sprintf("%q", fmt.Sprint(1+c.random.IntN(4))))
	}
	return r
}
