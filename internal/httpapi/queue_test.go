package httpapi_test

import (
	"testing"
	"time"

	"github.com/waybill-dev/waybill/internal/testenv"
)

func TestAPI_QueueUnavailable(t *testing.T) {
	t.Parallel()
	r := testenv.NewRedis(t)
	s := newService(t, onRedis(r.URL()))
	stop := s.work()
	s.put("/api/messages/stored", `{"content":"x"}`, waited).want(201)
	stop()
	must(t, r.Kill())
	const late = 3 * time.Second // the promise is 2 s; the test machine may be busy
	for name, send := range map[string]func() *answer{
		"POST":               func() *answer { return s.post("/api/messages", `{"content":"never"}`) },
		"POST with a key":    func() *answer { return s.post("/api/messages", `{"content":"never"}`, "Idempotency-Key: k") },
		"POST with a wait":   func() *answer { return s.post("/api/messages", `{"content":"never"}`, waited) },
		"PUT":                func() *answer { return s.put("/api/messages/never", `{"content":"never"}`) },
		"PATCH":              func() *answer { return s.patch("/api/messages/stored", `{"content":"never"}`) },
		"DELETE":             func() *answer { return s.delete("/api/messages/stored") },
		"bulk":               func() *answer { return s.bulk("/api/messages", ndjson(3, 0, "")) },
		"bulk with a key":    func() *answer { return s.bulk("/api/messages", ndjson(3, 0, ""), "Idempotency-Key: b") },
		"unknown operation":  func() *answer { return s.get("/api/operations/0198c0de-0001-7abc-8def-012345670000") },
		"unknown, with wait": func() *answer { return s.get("/api/operations/0198c0de-0001-7abc-8def-012345670000?wait=2") },
	} {
		start := time.Now()
		a := send()
		a.problem(503, "queue_unavailable")
		if took := time.Since(start); took > late {
			t.Errorf("%s: the answer took %v", name, took)
		}
	}
	s.get("/api/messages/stored").want(200)
	ops := s.page("/api/operations").members(t, "id")
	s.get("/api/operations/" + ops[0]).want(200)

	must(t, r.Start(t.Context()))
	s.work()
	// The keys of refused requests are free, and nothing of what was refused comes back.
	fresh := s.post("/api/messages", `{"content":"never"}`, "Idempotency-Key: k").wantHeader("Idempotency-Replayed", "").accepted()
	if op := s.ended(fresh.ID); op.Status != "done" {
		t.Errorf("got %+v", op)
	}
	s.drained()
	if got := s.page("/api/operations"); len(got.Items) != 2 {
		t.Errorf("%d operations were stored, want the first and the last", len(got.Items))
	}
}

func TestAPI_Overloaded(t *testing.T) {
	t.Parallel()
	r := testenv.NewRedis(t)
	s := newService(t, onRedis(r.URL()))
	must(t, s.redis.ConfigSet(t.Context(), "maxmemory", "1mb").Err()) // less than it uses
	s.post("/api/messages", `{"content":"x"}`).problem(503, "overloaded")
	s.bulk("/api/messages", ndjson(3, 0, "")).problem(503, "overloaded")
	must(t, s.redis.ConfigSet(t.Context(), "maxmemory", "0").Err())
	s.post("/api/messages", `{"content":"x"}`).accepted()
}

func TestAPI_PostgresDown(t *testing.T) {
	t.Parallel()
	p := testenv.NewPostgres(t)
	s := newService(t, onDatabase(p.URL()))
	s.get("/api/me").want(200) // from now on the operator is known
	must(t, p.Kill())
	s.get("/api/messages").problem(503, "store_unavailable")
	s.get("/api/messages/a").problem(503, "store_unavailable")
	op := s.post("/api/messages", `{"content":"x"}`).accepted()
	s.get("/api/operations/" + op.ID).want(200)
	must(t, p.Start(t.Context()))
	s.work()
	if got := s.ended(op.ID); got.Status != "done" {
		t.Errorf("got %+v", got)
	}
}
