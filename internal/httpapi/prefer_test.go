package httpapi_test

import (
	"testing"
	"time"
)

func TestAPI_PreferWait(t *testing.T) {
	t.Parallel()
	s := working(t)
	for name, c := range map[string]struct {
		headers []string
		applied string // "" for none: the usual 202
	}{
		"none":                        {nil, ""},
		"wait":                        {[]string{"Prefer: wait=20"}, "wait=20"},
		"the longest":                 {[]string{"Prefer: wait=30"}, "wait=30"},
		"zero":                        {[]string{"Prefer: wait=0"}, ""},
		"quoted":                      {[]string{`Prefer: wait="20"`}, "wait=20"},
		"in capitals":                 {[]string{"Prefer: Wait=20"}, "wait=20"},
		"with white space":            {[]string{"Prefer:   wait =  20  "}, "wait=20"},
		"with a parameter":            {[]string{"Prefer: wait=20; foo=bar"}, "wait=20"},
		"after another":               {[]string{"Prefer: respond-async, wait=20"}, "wait=20"},
		"before another":              {[]string{"Prefer: wait=20, handling=lenient"}, "wait=20"},
		"on another line":             {[]string{"Prefer: respond-async", "Prefer: wait=20"}, "wait=20"},
		"the first of two":            {[]string{"Prefer: wait=20, wait=10"}, "wait=20"},
		"others alone":                {[]string{"Prefer: respond-async, return=minimal, waiting=x, foo"}, ""},
		"after empty ones":            {[]string{"Prefer: , ,wait=20"}, "wait=20"},
		"a parameter called wait":     {[]string{"Prefer: foo; wait=abc"}, ""},
		"a comma inside a quotation":  {[]string{`Prefer: foo="a, wait=abc", wait=20`}, "wait=20"},
		"a preference in a quotation": {[]string{`Prefer: foo="a, wait=10 "`}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := *s
			at.t = t
			a := at.post("/api/todos", `{"text":"x"}`, c.headers...)
			a.wantHeader("Preference-Applied", c.applied)
			if c.applied == "" {
				a.accepted()
				return
			}
			got := a.want(201).wantHeader("ETag", `"1"`).fields()
			a.wantHeader("Location", "/api/todos/"+got["id"][1:len(got["id"])-1])
			if got["text"] != `"x"` || got["completed"] != "false" || got["version"] != "1" {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestAPI_PreferWaitAnswersEveryOutcome(t *testing.T) {
	t.Parallel()
	s := working(t)
	applied := func(a *answer) *answer { return a.wantHeader("Preference-Applied", "wait=20") }
	const at = "/api/todos/a"
	applied(s.put(at, `{"text":"x"}`, waited)).want(201)
	applied(s.put(at, `{"text":"y"}`, waited)).want(200)
	applied(s.patch(at, `{"text":"z"}`, waited)).want(200)
	applied(s.patch(at, `{"text":null}`, waited)).problem(422, "invalid_record")
	applied(s.put(at, `{"text":"y"}`, waited, `If-Match: "9"`)).problem(412, "version_mismatch")
	applied(s.delete(at, waited)).want(204)
	applied(s.delete(at, waited)).problem(404, "not_found")
	applied(s.patch(at, `{"text":"z"}`, waited)).problem(404, "not_found")
}

func TestAPI_PreferWaitEndsWithTheUsual202(t *testing.T) {
	t.Parallel()
	s := newService(t) // no worker: nothing ends
	start := time.Now()
	op := s.post("/api/todos", `{"text":"x"}`, "Prefer: wait=1").wantHeader("Preference-Applied", "").accepted()
	if took := time.Since(start); took < time.Second || took > 10*time.Second {
		t.Errorf("waited %v for one second", took)
	}
	s.work()
	if s.ended(op.ID).Status != "done" {
		t.Error("the write was lost")
	}
}

// A repeat whose record is gone again has nothing to show: the usual 202, which
// must not claim that the preference was applied.
func TestAPI_PreferWaitOnARepeatOfWhatIsGone(t *testing.T) {
	t.Parallel()
	s := working(t)
	const key = "Idempotency-Key: once"
	a := s.post("/api/todos", `{"text":"x"}`, key, waited).want(201)
	s.delete(a.header.Get("Location"), waited).want(204)
	s.post("/api/todos", `{"text":"x"}`, key, waited).wantHeader("Idempotency-Replayed", "true").wantHeader("Preference-Applied", "").accepted()
}

// The server's read timeout is about bodies; it must not cut a wait short.
func TestAPI_PreferWaitOutlivesTheReadTimeout(t *testing.T) {
	t.Parallel()
	s := newService(t, reading(300*time.Millisecond))
	for name, send := range map[string]func() *answer{
		"Prefer": func() *answer { return s.post("/api/todos", `{"text":"x"}`, "Prefer: wait=1") },
		"?wait=": func() *answer {
			return s.get("/api/operations/" + s.post("/api/todos", `{"text":"x"}`).accepted().ID + "?wait=1")
		},
	} {
		start := time.Now()
		send()
		if took := time.Since(start); took < time.Second {
			t.Errorf("%s: waited %v for one second", name, took)
		}
	}
}
