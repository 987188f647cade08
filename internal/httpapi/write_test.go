package httpapi_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waybill-dev/waybill/internal/testenv"
)

// databases runs a test on each database.
func databases(t *testing.T, test func(t *testing.T, s *service)) {
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		test(t, working(t))
	})
	t.Run("Postgres", func(t *testing.T) {
		t.Parallel()
		test(t, working(t, onDatabase(testenv.PostgresURL(t))))
	})
}

func TestAPI_AcceptedTrackedRead(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, s *service) {
		before := time.Now().Add(-time.Second)
		op := s.post("/api/todos", `{ "text" : "milk" }`).accepted()
		at, err := time.Parse(time.RFC3339Nano, op.AcceptedAt)
		if err != nil || !utc.MatchString(op.AcceptedAt) || at.Before(before) || at.After(time.Now().Add(time.Second)) {
			t.Errorf("accepted at %q", op.AcceptedAt)
		}
		want := operation{ID: op.ID, Action: "create", Collection: "todos", Record: op.ID, Status: "queued", AcceptedAt: op.AcceptedAt}
		if diff := cmp.Diff(want, op); diff != "" {
			t.Errorf("accepted (-want +got):\n%s", diff)
		}

		done := s.ended(op.ID)
		if done.StoredAt == nil || !utc.MatchString(*done.StoredAt) || *done.StoredAt < op.AcceptedAt {
			t.Errorf("stored at %v, accepted at %s", done.StoredAt, op.AcceptedAt)
		}
		want.Status, want.StoredAt, want.Version, want.Attempts = "done", done.StoredAt, new(int64(1)), 1
		if diff := cmp.Diff(want, done); diff != "" {
			t.Errorf("done (-want +got):\n%s", diff)
		}

		a := s.get("/api/todos/"+op.ID).want(200).wantHeader("ETag", `"1"`)
		text := fmt.Sprintf(`{"id":%q,"version":1,"created_at":%q,"updated_at":%q,"text":"milk","completed":false}`, op.ID, op.AcceptedAt, op.AcceptedAt)
		if got := strings.TrimSpace(string(a.body)); got != text {
			t.Errorf("read\n%s, want\n%s", got, text)
		}
	})
}

func TestAPI_Writes(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, s *service) {
		const at = "/api/todos/list.1"
		read := func(version, text, completed string) {
			t.Helper()
			got := s.get(at).want(200).wantHeader("ETag", `"`+version+`"`).fields()
			if got["version"] != version || got["text"] != text || got["completed"] != completed {
				t.Errorf("read %v", got)
			}
		}
		s.get(at).problem(404, "not_found")
		s.patch(at, `{"text":"x"}`, waited).problem(404, "not_found")
		s.delete(at, waited).problem(404, "not_found")

		created := s.put(at, `{"text":"a","completed":true}`, waited).want(201).wantHeader("Location", at).wantHeader("ETag", `"1"`).fields()
		read("1", `"a"`, "true")
		s.put(at, `{"text":"b"}`, waited).want(200).wantHeader("ETag", `"2"`)
		read("2", `"b"`, "false") // a replacement keeps nothing, defaults are applied again
		s.patch(at, `{"completed":true}`, waited).want(200).wantHeader("ETag", `"3"`)
		read("3", `"b"`, "true")
		s.send("PATCH", at, strings.NewReader(`{"completed":null}`), "Content-Type: application/json", waited).want(200)
		read("4", `"b"`, "false") // taken away, and so the default again
		s.patch(at, `{}`, waited).want(200)
		read("5", `"b"`, "false")
		s.patch(at, `{"text":null}`, waited).problem(422, "invalid_record")
		read("5", `"b"`, "false")

		after := s.get(at).fields()
		if after["created_at"] != created["created_at"] || after["updated_at"] <= created["updated_at"] {
			t.Errorf("created %s, updated %s; was created %s", after["created_at"], after["updated_at"], created["created_at"])
		}
		gone := s.delete(at, waited).want(204)
		if len(gone.body) > 0 || gone.header.Get("Content-Type") != "" {
			t.Errorf("204 with %q of type %q", gone.body, gone.header.Get("Content-Type"))
		}
		s.get(at).problem(404, "not_found")
		s.delete(at, waited).problem(404, "not_found")
		s.put(at, `{"text":"again"}`, waited).want(201).wantHeader("ETag", `"1"`)
	})
}

func TestAPI_FailedOperationSaysWhy(t *testing.T) {
	t.Parallel()
	s := working(t)
	s.put("/api/todos/a", `{"text":"x"}`, waited).want(201)
	for name, c := range map[string]struct {
		a    *answer
		code string
	}{
		"breaks the schema": {s.patch("/api/todos/a", `{"text":null}`), "invalid_record"},
		"no such record":    {s.delete("/api/todos/b"), "not_found"},
		"another version":   {s.put("/api/todos/a", `{"text":"y"}`, `If-Match: "7"`), "version_mismatch"},
		"exists already":    {s.put("/api/todos/a", `{"text":"y"}`, "If-None-Match: *"), "version_mismatch"},
	} {
		op := s.ended(c.a.accepted().ID)
		if op.Status != "failed" || op.Error == nil || op.Error.Code != c.code || op.Error.Detail == "" || op.Version != nil || op.StoredAt == nil {
			t.Errorf("%s: got %+v, error %+v", name, op, op.Error)
		}
	}
	if got := s.get("/api/todos/a").fields(); got["version"] != "1" || got["text"] != `"x"` {
		t.Errorf("a failed operation changed the record: %v", got)
	}
}

func TestAPI_RefusalOfTheDatabaseIsAConflict(t *testing.T) {
	t.Parallel()
	s := working(t)
	_, err := s.store.DB().ExecContext(t.Context(), `CREATE TRIGGER refuse BEFORE INSERT ON records WHEN NEW.data LIKE '%poison%'
		BEGIN SELECT RAISE(ABORT, 'no poison here'); END`)
	must(t, err)
	s.post("/api/messages", `{"content":"poison"}`, waited).wantHeader("Preference-Applied", "wait=20").problem(409, "conflict")
	s.post("/api/messages", `{"content":"water"}`, waited).want(201)
}

func TestAPI_IfMatch(t *testing.T) {
	t.Parallel()
	s := working(t)
	const at = "/api/messages/a"
	for _, c := range []struct {
		name   string
		answer func() *answer
		status int
		code   string
	}{
		{"PUT of nothing", func() *answer { return s.put(at, `{"content":"x"}`, waited, `If-Match: "1"`) }, 412, "version_mismatch"},
		{"PUT that creates only", func() *answer { return s.put(at, `{"content":"1"}`, waited, "If-None-Match: *") }, 201, ""},
		{"PUT that creates only, again", func() *answer { return s.put(at, `{"content":"x"}`, waited, "If-None-Match: *") }, 412, "version_mismatch"},
		{"PUT of an older version", func() *answer { return s.put(at, `{"content":"x"}`, waited, `If-Match: "2"`) }, 412, "version_mismatch"},
		{"PUT", func() *answer { return s.put(at, `{"content":"2"}`, waited, `If-Match: "1"`) }, 200, ""},
		{"PATCH of an older version", func() *answer { return s.patch(at, `{"content":"x"}`, waited, `If-Match: "1"`) }, 412, "version_mismatch"},
		{"PATCH", func() *answer { return s.patch(at, `{"content":"3"}`, waited, `If-Match: "2"`) }, 200, ""},
		{"DELETE of an older version", func() *answer { return s.delete(at, waited, `If-Match: "2"`) }, 412, "version_mismatch"},
		{"DELETE", func() *answer { return s.delete(at, waited, `If-Match: "3"`) }, 204, ""},
	} {
		a := c.answer()
		if c.code != "" {
			a.problem(c.status, c.code)
		}
		if a.status != c.status {
			t.Fatalf("%s: %d, want %d: %s", c.name, a.status, c.status, a.body)
		}
	}
}

// Preconditions are checked when the write is applied: several writes in a row
// may name versions that only the ones before them will make.
func TestAPI_IfMatchIsCheckedInOrder(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.put("/api/messages/a", `{"content":"1"}`).accepted()
	second := s.put("/api/messages/a", `{"content":"2"}`, `If-Match: "1"`).accepted()
	third := s.patch("/api/messages/a", `{"content":"x"}`, `If-Match: "1"`).accepted()
	s.work()
	if op := s.ended(second.ID); op.Status != "done" || *op.Version != 2 {
		t.Errorf("second: %+v", op)
	}
	if op := s.ended(third.ID); op.Status != "failed" || op.Error.Code != "version_mismatch" {
		t.Errorf("third: %+v", op)
	}
}

// What is stored is what was sent: no number rounded, no escape rewritten, no
// member moved.
func TestAPI_KeepsTextExactly(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, s *service) {
		for _, body := range []string{
			`{"value":123456789012345678901234567890}`,
			`{"value":-0.1234567890123456789012345678901234567890}`,
			`{"value":1e400}`,
			`{"value":1.10}`,
			`{"value":-0}`,
			`{"value":1E+2}`,
			`{"count":99999999999999999999999999}`,
			`{"anything":[1.0,1e-400,0.1e1,{"n":18446744073709551617}]}`,
			`{"z":1,"a":2,"m":{"z":1,"a":2}}`,
			`{"anything":"<script>&\u003c\/\u2028\n"}`,
			"{\"anything\":\"\u2028é漢😀\u0301\"}",
			`{"漢":1,"\u00e9":2,"":3}`,
			`{"anything":"\ud83d\ude00"}`,
			`{}`,
		} {
			a := s.post("/api/readings", body, waited).want(201)
			if body == "{}" {
				continue
			}
			for _, got := range []*answer{a, s.get(a.header.Get("Location")).want(200)} {
				if !strings.HasSuffix(strings.TrimSpace(string(got.body)), ","+body[1:]) {
					t.Errorf("%s: sent %s, got %s", got.what, body, got.body)
				}
			}
		}
	})
}
