package httpapi_test

import (
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestAPI_IdempotencyKeyRepeats(t *testing.T) {
	t.Parallel()
	s := working(t)
	s.put("/api/todos/a", `{"text":"x"}`, waited).want(201)
	for name, send := range map[string]func(key string) *answer{
		"POST":   func(key string) *answer { return s.post("/api/todos", `{"text":"x"}`, key) },
		"PUT":    func(key string) *answer { return s.put("/api/todos/b", `{"text":"x"}`, key) },
		"PATCH":  func(key string) *answer { return s.patch("/api/todos/a", `{"completed":true}`, key) },
		"DELETE": func(key string) *answer { return s.delete("/api/todos/c", key) },
	} {
		key := "Idempotency-Key: " + name
		first := send(key).wantHeader("Idempotency-Replayed", "").accepted()
		queued := send(key).wantHeader("Idempotency-Replayed", "true").accepted()
		done := s.ended(first.ID)
		again := send(key).wantHeader("Idempotency-Replayed", "true").accepted()
		if queued.ID != first.ID || again.ID != first.ID || again.Record != first.Record || again.AcceptedAt != first.AcceptedAt {
			t.Errorf("%s: operations %s, %s, %s", name, first.ID, queued.ID, again.ID)
		}
		s.drained()
		if now := s.ended(first.ID); now.Status != done.Status || *now.StoredAt != *done.StoredAt {
			t.Errorf("%s: was %+v, is %+v", name, done, now)
		}
	}
	if got := s.page("/api/todos").members(t, "id"); len(got) != 3 {
		t.Errorf("records %v: a repeat was stored again", got)
	}
	if got := s.get("/api/todos/a").fields()["version"]; got != "2" {
		t.Errorf("version %s after one PATCH sent three times", got)
	}
}

func TestAPI_IdempotencyKeyOfAnotherRequest(t *testing.T) {
	t.Parallel()
	s := newService(t)
	const key, body = "Idempotency-Key: k", `{"content":"x"}`
	first := s.post("/api/messages", body, key).accepted()
	for name, a := range map[string]*answer{
		"another body":       s.post("/api/messages", `{"content":"y"}`, key),
		"another collection": s.post("/api/readings", body, key),
		"another method":     s.put("/api/messages/k", body, key),
		"no body":            s.delete("/api/messages/k", key),
		"bulk":               s.bulk("/api/messages", body, key),
		"bulk, several":      s.bulk("/api/messages", body+"\n"+body, key),
		"with a wait":        s.post("/api/messages", `{"content":"y"}`, key, waited),
	} {
		t.Log(name)
		a.problem(422, "idempotency_mismatch")
		a.wantHeader("Idempotency-Replayed", "")
	}
	// A refused request takes no key: it may be put right and sent again.
	s.post("/api/messages", `{"content":""}`, "Idempotency-Key: refused").problem(422, "invalid_record", "body.content")
	s.post("/api/messages", body, "Idempotency-Key: refused").wantHeader("Idempotency-Replayed", "").accepted()

	s.work()
	s.drained()
	if got := s.page("/api/operations").members(t, "id"); len(got) != 2 || got[1] != first.ID {
		t.Errorf("operations %v, want the first and the corrected", got)
	}
}

func TestAPI_IdempotencyKeyWithWait(t *testing.T) {
	t.Parallel()
	s := working(t)
	const key = "Idempotency-Key: k"
	first := s.post("/api/messages", `{"content":"x"}`, key, waited).want(201).wantHeader("Idempotency-Replayed", "")
	again := s.post("/api/messages", `{"content":"x"}`, key, waited).want(201).wantHeader("Idempotency-Replayed", "true")
	if string(first.body) != string(again.body) {
		t.Errorf("%s, then %s", first.body, again.body)
	}
	s.delete("/api/messages/none", "Idempotency-Key: d", waited).problem(404, "not_found")
	s.delete("/api/messages/none", "Idempotency-Key: d", waited).wantHeader("Idempotency-Replayed", "true").problem(404, "not_found")
}

// However many clients repeat at once, there is one operation, and all but one
// of them are told that it is a repeat.
func TestAPI_IdempotencyKeyConcurrently(t *testing.T) {
	t.Parallel()
	s := working(t)
	const clients = 24
	for name, send := range map[string]func() *answer{
		"single": func() *answer { return s.post("/api/todos", `{"text":"x"}`, "Idempotency-Key: single") },
		"bulk":   func() *answer { return s.bulk("/api/messages", ndjson(3, 0, ""), "Idempotency-Key: bulk") },
	} {
		answers := make([]*answer, clients)
		var all sync.WaitGroup
		for i := range answers {
			all.Go(func() { answers[i] = send() })
		}
		all.Wait()
		fresh := 0
		for _, a := range answers {
			if a.want(202); !slices.Equal(idsIn(a.body), idsIn(answers[0].body)) {
				t.Errorf("%s: different operations:\n%s\n%s", name, a.body, answers[0].body)
			}
			if a.header.Get("Idempotency-Replayed") == "" {
				fresh++
			}
		}
		if fresh != 1 {
			t.Errorf("%s: %d answers are no repeats", name, fresh)
		}
	}
	s.drained()
	if todos, messages := len(s.page("/api/todos").Items), len(s.page("/api/messages").Items); todos != 1 || messages != 3 {
		t.Errorf("%d todos and %d messages were stored", todos, messages)
	}
}

func TestAPI_IdempotencyKeyOfABulk(t *testing.T) {
	t.Parallel()
	s := newService(t)
	const key = "Idempotency-Key: k"
	body := ndjson(1200, 0, "") // in three batches
	first := s.bulk("/api/messages", body, key).want(202).wantHeader("Idempotency-Replayed", "")
	s.bulk("/api/messages", body+`{"content":"more"}`, key).problem(422, "idempotency_mismatch")
	s.bulk("/api/messages", strings.Replace(body, "line 600", "line 6OO", 1), key).problem(422, "idempotency_mismatch")
	s.post("/api/messages", `{"content":"line 1"}`, key).problem(422, "idempotency_mismatch")
	queued := s.bulk("/api/messages", body, key).want(202).wantHeader("Idempotency-Replayed", "true")
	s.work()
	s.drained()
	stored := s.bulk("/api/messages", body, key).want(202).wantHeader("Idempotency-Replayed", "true")
	s.drained()
	for _, again := range []*answer{queued, stored} {
		if !slices.Equal(idsIn(again.body), idsIn(first.body)) {
			t.Errorf("a repeat names other operations: %.200s, was %.200s", again.body, first.body)
		}
	}
	if got := s.count("/api/messages"); got != 1200 {
		t.Errorf("%d records, want 1200", got)
	}
}

// count returns the length of a list, page after page.
func (s *service) count(path string) int {
	s.t.Helper()
	n := 0
	for next := path + "?limit=500"; ; {
		p := s.page(next)
		n += len(p.Items)
		if p.NextCursor == nil {
			return n
		}
		next = path + "?limit=500&cursor=" + *p.NextCursor
	}
}

// idsIn returns the IDs of the operations in an answer: their statuses may have
// changed between two answers.
func idsIn(body []byte) []string {
	return regexp.MustCompile(`"id":"[^"]+"`).FindAllString(string(body), -1)
}
