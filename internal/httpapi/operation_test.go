package httpapi_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAPI_OperationIsFoundInTheQueue(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for _, op := range append(s.bulk("/api/messages", ndjson(3, 0, "")).operations(),
		s.put("/api/todos/a", `{"text":"x"}`).accepted(),
		s.patch("/api/todos/a", `{"text":"y"}`).accepted(),
		s.delete("/api/todos/a").accepted(),
	) {
		var got operation
		s.get("/api/operations/" + op.ID).want(200).into(&got)
		if diff := cmp.Diff(op, got); diff != "" {
			t.Errorf("%s is not what was answered (-answered +found):\n%s", op.Action, diff)
		}
	}
	if got := s.page("/api/operations"); len(got.Items) != 0 {
		t.Errorf("the list has %d that are not stored", len(got.Items))
	}
}

func TestAPI_OperationWait(t *testing.T) {
	t.Parallel()
	s := newService(t)
	op := s.post("/api/messages", `{"content":"x"}`).accepted()
	path := "/api/operations/" + op.ID
	var got operation
	start := time.Now()
	s.get(path + "?wait=1").want(200).into(&got)
	if took := time.Since(start); got.Status != "queued" || took < time.Second || took > 10*time.Second {
		t.Errorf("%s after %v", got.Status, took)
	}
	start = time.Now()
	s.get(path + "?wait=0").want(200).into(&got)
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("wait=0 took %v", took)
	}
	answer := make(chan *answer, 1)
	go func() { answer <- s.get(path + "?wait=30") }()
	s.work()
	(<-answer).want(200).into(&got)
	if got.Status != "done" || got.Version == nil || *got.Version != 1 || got.StoredAt == nil {
		t.Errorf("got %+v", got)
	}
	s.get(path + "?wait=30").want(200) // at once
}

func TestAPI_OperationNotFound(t *testing.T) {
	t.Parallel()
	s := newService(t)
	op := s.post("/api/messages", `{"content":"x"}`).accepted()
	other := "0"
	if strings.HasSuffix(op.ID, "0") {
		other = "1"
	}
	for name, id := range map[string]string{
		"never accepted":          "0198c0de-0001-7abc-8def-012345670000",
		"another of its batch":    op.ID[:len(op.ID)-1] + other,
		"a UUID of another kind":  "0198c0de-0001-4abc-8def-012345670000",
		"not a UUID":              "latest",
		"a UUID with more behind": op.ID + ".1",
		"in braces":               "{" + op.ID + "}",
		"dots":                    "..",
		"invalid UTF-8":           "%ff",
		"NUL":                     "%00",
		"long":                    strings.Repeat("a", 4000),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			here := *s
			here.t = t
			here.get("/api/operations/"+id).problem(404, "not_found")
			here.get("/api/operations/"+id+"?wait=1").problem(404, "not_found") // nothing to wait for
		})
	}
}

func TestAPI_OperationsList(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, s *service) {
		create := s.post("/api/messages", `{"content":"x"}`).accepted().ID
		put := s.put("/api/todos/a", `{"text":"x"}`).accepted().ID
		bad := s.patch("/api/todos/a", `{"text":null}`).accepted().ID
		gone := s.delete("/api/messages/a").accepted().ID
		s.drained()
		for query, want := range map[string][]string{
			"":                                       {gone, bad, put, create},
			"?limit=2":                               {gone, bad},
			"?collection=todos":                      {bad, put},
			"?collection=messages":                   {gone, create},
			"?collection=readings":                   {},
			"?status=done":                           {put, create},
			"?status=failed":                         {gone, bad},
			"?status=queued":                         {},
			"?status=retrying":                       {},
			"?record=a":                              {gone, bad, put},
			"?record=" + create:                      {create},
			"?record=none":                           {},
			"?collection=todos&status=failed":        {bad},
			"?collection=messages&record=a":          {gone},
			"?status=done&record=a&collection=todos": {put},
		} {
			if got := s.page("/api/operations"+query).members(t, "id"); !cmp.Equal(got, want) {
				t.Errorf("%s: got %v, want %v", query, got, want)
			}
		}
		if got := s.walk("/api/operations?limit=1", func() {}); !cmp.Equal(got, []string{gone, bad, put, create}) {
			t.Errorf("page by page: %v", got)
		}
		if got := s.walk("/api/operations?record=a&limit=1", func() {}); !cmp.Equal(got, []string{gone, bad, put}) {
			t.Errorf("of a record, page by page: %v", got)
		}
		for i, item := range s.page("/api/operations").Items {
			id := []string{gone, bad, put, create}[i]
			if got := strings.TrimSpace(string(s.get("/api/operations/" + id).body)); got != string(item) {
				t.Errorf("in the list %s, alone %s", item, got)
			}
		}
	})
}
