package httpapi_test

import (
	"testing"
)

func TestAPI_GetRecordConditionally(t *testing.T) {
	t.Parallel()
	s := working(t)
	const at = "/api/messages/a"
	s.put(at, `{"content":"1"}`, waited).want(201)
	s.put(at, `{"content":"2"}`, waited).want(200)
	for tags, status := range map[string]int{
		"":                 304, // none given: see below
		`"2"`:              304,
		`W/"2"`:            304,
		`"1", "2"`:         304,
		`"1",W/"2","3"`:    304,
		`*`:                304,
		`"1"`:              200,
		`2`:                200,
		`"22"`:             200,
		`"1", "3"`:         200,
		`not a tag at all`: 200,
	} {
		headers := []string{"If-None-Match: " + tags}
		if tags == "" {
			headers, status = nil, 200
		}
		for _, method := range []string{"GET", "HEAD"} {
			a := s.send(method, at, nil, headers...).want(status).wantHeader("ETag", `"2"`)
			if (len(a.body) > 0) != (method == "GET" && status == 200) {
				t.Errorf("%s with %s: body %q", method, tags, a.body)
			}
			if status == 304 {
				a.wantHeader("Content-Type", "")
			}
		}
	}
	s.put(at, `{"content":"3"}`, waited).want(200)
	s.get(at, `If-None-Match: "2"`).want(200).wantHeader("ETag", `"3"`)
	s.get("/api/messages/none", "If-None-Match: *").problem(404, "not_found")
	s.send("HEAD", "/api/messages/none", nil).want(404).wantHeader("Content-Type", "application/problem+json")
	s.send("HEAD", "/api/messages", nil).want(200)
	s.get("/api/todos/a").problem(404, "not_found") // another collection's
}
