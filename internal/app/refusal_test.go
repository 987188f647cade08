package app_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/waybill-dev/waybill/internal/testenv"
)

// TestSystem_PatchAgainstTheSchemaFails: what breaks the schema only once it is
// merged cannot be refused at the door, so it fails when it is applied.
func TestSystem_PatchAgainstTheSchemaFails(t *testing.T) {
	t.Parallel()
	s := newSystem(t, testenv.RedisURL(t), testenv.PostgresURL(t), 1, 1)
	todo := mustCall(t, http.MethodPost, s.url("/api/todos"), `{"text":"buy milk"}`).want(t, http.StatusAccepted).operation(t)
	path := s.url("/api/todos/" + todo.Record)

	accepted := mustCall(t, http.MethodPatch, path, `{"text":null}`).want(t, http.StatusAccepted).operation(t)
	ended := mustCall(t, http.MethodGet, s.url("/api/operations/"+accepted.ID+"?wait=10"), "").want(t, http.StatusOK).operation(t)
	if ended.Status != "failed" || ended.Error == nil || ended.Error.Code != "invalid_record" || !strings.Contains(ended.Error.Detail, "text") {
		t.Errorf("the operation ended %s, want failed invalid_record, about text", ended.outcome())
	}

	waited := mustCall(t, http.MethodPatch, path, `{"text":null}`, "Prefer", "wait=10").want(t, http.StatusUnprocessableEntity)
	if waited.code() != "invalid_record" || waited.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("answer %v (%s), want a problem invalid_record", waited, waited.header.Get("Content-Type"))
	}

	var stored struct {
		Version int64
		Text    string
	}
	mustCall(t, http.MethodGet, path, "").want(t, http.StatusOK).decode(t, &stored)
	if stored.Version != 1 || stored.Text != "buy milk" {
		t.Errorf("the record is %+v, want what it was", stored)
	}
}

// TestSystem_PoisonFailsAlone: the database refuses one operation of a batch
// (promise 5). The worker starts when all are accepted, so that they are in few
// batches.
func TestSystem_PoisonFailsAlone(t *testing.T) {
	t.Parallel()
	s := prepareSystem(t, testenv.RedisURL(t), testenv.PostgresURL(t), 1, 1)
	s.apis[0].Start(t)
	s.apis[0].awaitReady(t)
	db := connectPostgres(t, s.databaseURL)
	if _, err := db.Exec(t.Context(), `ALTER TABLE records ADD CONSTRAINT no_poison CHECK (data::text NOT LIKE '%poison%')`); err != nil {
		t.Fatal(err)
	}

	const lines, poison = 40, 17
	var bulk strings.Builder
	for i := range lines {
		content := fmt.Sprintf("line %d", i)
		if i == poison {
			content = "poison"
		}
		fmt.Fprintf(&bulk, "{\"content\":%q}\n", content)
	}
	operations := mustCall(t, http.MethodPost, s.url("/api/messages"), bulk.String(), "Content-Type", "application/x-ndjson").
		want(t, http.StatusAccepted).operations(t)
	var patched []string // a record whose history has a poison in it
	for _, body := range []string{`{"text":"a"}`, `{"text":"poison"}`, `{"completed":true}`} {
		method := http.MethodPatch
		if len(patched) == 0 {
			method = http.MethodPut
		}
		patched = append(patched, mustCall(t, method, s.url("/api/todos/shared"), body).want(t, http.StatusAccepted).operation(t).ID)
	}
	s.workers[0].Start(t)

	for i, o := range operations {
		if i != poison {
			awaitDone(t, 20*time.Second, s.apis[0].api, o.ID)
			mustCall(t, http.MethodGet, s.url("/api/messages/"+o.Record), "").want(t, http.StatusOK)
		}
	}
	checkPoisoned(t, s, operations[poison].ID)
	mustCall(t, http.MethodGet, s.url("/api/messages/"+operations[poison].Record), "").want(t, http.StatusNotFound)

	checkPoisoned(t, s, patched[1])
	awaitDone(t, 20*time.Second, s.apis[0].api, patched[0], patched[2])
	var shared struct {
		Version   int64
		Text      string
		Completed bool
	}
	mustCall(t, http.MethodGet, s.url("/api/todos/shared"), "").want(t, http.StatusOK).decode(t, &shared)
	if shared.Version != 2 || shared.Text != "a" || !shared.Completed {
		t.Errorf("the shared record is %+v, want the two good writes of three", shared)
	}
	rc := connectRedis(t, s.redisURL)
	testenv.Eventually(t, 20*time.Second, "the queue is empty", func() error {
		return checkQueueEmpty(t.Context(), rc)
	})
}

// checkPoisoned checks that an operation failed, and says which rule it broke.
func checkPoisoned(t *testing.T, s *system, id string) {
	t.Helper()
	o := mustCall(t, http.MethodGet, s.url("/api/operations/"+id+"?wait=20"), "").want(t, http.StatusOK).operation(t)
	if o.Status != "failed" || o.Error == nil || o.Error.Code != "conflict" || !strings.Contains(o.Error.Detail, "no_poison") {
		t.Errorf("the poisoned operation ended %s, want failed conflict, naming no_poison", o.outcome())
	}
}
