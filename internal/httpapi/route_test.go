package httpapi_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAPI_MethodNotAllowed(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for path, allow := range map[string]string{
		"/api":              "GET, HEAD",
		"/openapi.json":     "GET, HEAD",
		"/api/operations":   "GET, HEAD",
		"/api/operations/x": "GET, HEAD",
		"/api/messages":     "GET, HEAD, POST",

		"/api/subscriptions":               "GET, HEAD, POST",
		"/api/subscriptions/x":             "GET, HEAD, PATCH, DELETE",
		"/api/subscriptions/x/test":        "POST",
		"/api/subscriptions/x/replay":      "POST",
		"/api/subscriptions/x/unsubscribe": "GET, HEAD, POST",
		"/api/deliveries":                  "GET, HEAD",
		"/api/deliveries/x":                "GET, HEAD",
		"/api/deliveries/x/retry":          "POST",
		"/api/messages/a":                  "GET, HEAD, PUT, PATCH, DELETE",
		"/api/messages/%7E":                "GET, HEAD, PUT, PATCH, DELETE",
	} {
		for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"} {
			if !slices.Contains(splitList(allow), method) {
				s.send(method, path, nil).wantHeader("Allow", allow).problem(405, "method_not_allowed")
			}
		}
	}
}

func splitList(list string) []string {
	var items []string
	start := 0
	for i := range len(list) {
		if list[i] == ',' {
			items, start = append(items, list[start:i]), i+2
		}
	}
	return append(items, list[start:])
}

func TestAPI_NotFound(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for path, code := range map[string]string{
		"/":                   "not_found",
		"/nothing":            "not_found",
		"/api/":               "not_found",
		"/apis":               "not_found",
		"/API":                "not_found",
		"/openapi.json/":      "not_found",
		"/api/nothing":        "unknown_collection",
		"/api/nothing/a":      "unknown_collection",
		"/api/nothing/a/b":    "unknown_collection",
		"/api/%ff":            "unknown_collection",
		"/api/messages/a":     "not_found",
		"/api/messages/a/b":   "not_found",
		"/api/messages/a/":    "not_found",
		"/api/operations/a/b": "not_found",

		"/api/subscriptions/":        "not_found",
		"/api/subscriptions/x":       "not_found",
		"/api/subscriptions/x/y":     "not_found",
		"/api/subscriptions/x/y/z":   "not_found",
		"/api/deliveries/":           "not_found",
		"/api/deliveries/x":          "not_found",
		"/api/deliveries/x/attempts": "not_found",

		"/api/changes/a":         "not_found", // a name that no collection can have
		"//api/messages":         "not_found",
		"/api/nothing?limit=abc": "unknown_collection",
	} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			here := *s
			here.t = t
			here.get(path).problem(404, code)
		})
	}
	for _, method := range []string{"BREW", "OPTIONS", "TRACE"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			here := *s
			here.t = t
			here.send(method, "/nowhere", nil).problem(404, "not_found")
		})
	}
}

func TestAPI_Root(t *testing.T) {
	t.Parallel()
	s := newService(t)
	var got struct {
		Message, Name, Version string
		Collections            []string
		Queue                  struct{ Durability string }
	}
	s.get("/api").want(200).into(&got)
	want := got
	want.Message, want.Name, want.Version, want.Collections, want.Queue.Durability =
		"Hello, Backend!", "waybill", "test", []string{"messages", "readings", "todos"}, "fsync-always"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if a := s.send("HEAD", "/api", nil).want(200); len(a.body) > 0 {
		t.Errorf("HEAD has a body: %s", a.body)
	}
}
