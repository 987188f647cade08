package httpapi_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/waybill-dev/waybill/internal/collection"
	"github.com/waybill-dev/waybill/internal/httpapi"
	"github.com/waybill-dev/waybill/internal/subscription"
)

const goldenDocument = "../../docs/openapi.yaml"

func TestOpenAPI_IsTheGoldenDocument(t *testing.T) {
	t.Parallel()
	api, err := httpapi.New(httpapi.Options{Collections: collection.Default(), Version: "dev"})
	must(t, err)
	got, err := api.OpenAPI()
	must(t, err)
	if *update {
		must(t, os.WriteFile(filepath.FromSlash(goldenDocument), got, 0o644))
	}
	want, err := os.ReadFile(filepath.FromSlash(goldenDocument))
	must(t, err)
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(string(got), "\n")); diff != "" {
		t.Errorf("docs/openapi.yaml is not what the code says; rewrite it with: go test ./internal/httpapi -run OpenAPI -update\n%s", diff)
	}
}

// document is /openapi.json, as far as the tests look into it.
type document struct {
	OpenAPI string
	Info    struct{ Title, Version string }
	Paths   map[string]map[string]struct {
		OperationID string
		Parameters  []struct {
			Name, In string
			Required bool
		}
		RequestBody struct{ Content map[string]any }
		Responses   map[string]struct {
			Description string
			Content     map[string]any
		}
	}
	Components struct{ Schemas map[string]any }
}

func (s *service) document() (document, any) {
	s.t.Helper()
	a := s.get("/openapi.json").want(200).wantHeader("Content-Type", plainJSON)
	var d document
	must(s.t, json.Unmarshal(a.body, &d))
	raw, err := jsonschema.UnmarshalJSON(bytes.NewReader(a.body))
	must(s.t, err)
	return d, raw
}

func TestOpenAPI_Structure(t *testing.T) {
	t.Parallel()
	s := newService(t)
	d, raw := s.document()
	if !strings.HasPrefix(d.OpenAPI, "3.1.") || d.Info.Title == "" || d.Info.Version != "test" {
		t.Errorf("openapi %q, info %+v", d.OpenAPI, d.Info)
	}
	want := map[string][]string{
		"/api": {"get"}, "/api/operations": {"get"}, "/api/operations/{id}": {"get"},
		"/api/subscriptions": {"get", "post"}, "/api/subscriptions/{id}": {"delete", "get", "patch"}, "/api/subscriptions/{id}/unsubscribe": {"get", "post"},
		"/api/deliveries": {"get"}, "/api/deliveries/{id}": {"get"}, "/api/deliveries/{id}/retry": {"post"},
	}
	maps.Copy(want, map[string][]string{
		"/api/auth/register": {"post"}, "/api/auth/login": {"post"}, "/api/auth/refresh": {"post"}, "/api/auth/logout": {"post"},
		"/api/auth/password": {"post"}, "/api/auth/session": {"delete", "post"}, "/api/me": {"get"},
		"/api/keys": {"get", "post"}, "/api/keys/{id}": {"delete", "get"}, "/api/users": {"get", "post"}, "/api/users/{id}": {"get", "patch"},
		"/api/tenants": {"get"}, "/api/audit": {"get"},
	})
	for _, action := range []string{"test", "rotate-secret", "enable", "disable", "replay"} {
		want["/api/subscriptions/{id}/"+action] = []string{"post"}
	}
	for _, c := range s.set.All() {
		want["/api/"+c.Name] = []string{"get", "post"}
		want["/api/"+c.Name+"/{id}"] = []string{"delete", "get", "patch", "put"}
		for _, name := range []string{c.Name, c.Name + ".patch", c.Name + ".record"} {
			if d.Components.Schemas[name] == nil {
				t.Errorf("no schema %s", name)
			}
		}
	}
	got := map[string][]string{}
	ids := map[string]string{}
	for path, methods := range d.Paths {
		for method, op := range methods {
			got[path] = append(got[path], method)
			where := method + " " + path
			if other := ids[op.OperationID]; op.OperationID == "" || other != "" {
				t.Errorf("%s: operationId %q, as has %q", where, op.OperationID, other)
			}
			ids[op.OperationID] = where
			inPath := false
			for _, p := range op.Parameters {
				inPath = inPath || p.In == "path" && p.Name == "id" && p.Required
			}
			if inPath != strings.Contains(path, "{id}") {
				t.Errorf("%s: path parameter declared: %v", where, inPath)
			}
			for status, response := range op.Responses {
				problem := response.Content["application/problem+json"] != nil
				if response.Description == "" || problem != (status >= "400") {
					t.Errorf("%s: response %s: %+v", where, status, response)
				}
			}
		}
		slices.Sort(got[path])
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("paths (-want +got):\n%s", diff)
	}
	resolve(t, raw, raw)
}

// resolve checks that each $ref in v is a place in the document.
func resolve(t *testing.T, root, v any) {
	t.Helper()
	switch v := v.(type) {
	case map[string]any:
		if ref, ok := v["$ref"].(string); ok {
			at := root
			for step := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
				object, _ := at.(map[string]any)
				at = object[step]
			}
			if at == nil || !strings.HasPrefix(ref, "#/") {
				t.Errorf("%s leads nowhere", ref)
			}
		}
		for _, child := range v {
			resolve(t, root, child)
		}
	case []any:
		for _, child := range v {
			resolve(t, root, child)
		}
	}
}

// What the service answers is what its document says it answers.
func TestOpenAPI_AnswersMatchTheirSchemas(t *testing.T) {
	t.Parallel()
	s := working(t)
	_, raw := s.document()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	must(t, c.AddResource("mem:///openapi.json", raw))
	check := func(pointer string, a *answer) {
		t.Helper()
		schema, err := c.Compile("mem:///openapi.json#" + pointer)
		if err != nil {
			t.Fatalf("%s is no schema: %v", pointer, err)
		}
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(a.body))
		must(t, err)
		if err := schema.Validate(v); err != nil {
			t.Errorf("%s: %v\n%s", a.what, err, a.body)
		}
	}
	answered := func(path, method, status string) string {
		media := "application~1json"
		if status >= "400" {
			media = "application~1problem+json"
		}
		return "/paths/" + strings.ReplaceAll(path, "/", "~1") + "/" + method + "/responses/" + status + "/content/" + media + "/schema"
	}
	one := "/api/todos/{id}"
	check(answered("/api", "get", "200"), s.get("/api"))
	check(answered("/api/todos", "post", "202"), s.post("/api/todos", `{"text":"x"}`).want(202))
	check(answered("/api/todos", "post", "202"), s.bulk("/api/todos", `{"text":"x"}`).want(202))
	check(answered("/api/todos", "post", "201"), s.post("/api/todos", `{"text":"x"}`, waited).want(201))
	check(answered("/api/todos", "post", "422"), s.post("/api/todos", `{}`).want(422))
	check(answered("/api/todos", "post", "400"), s.post("/api/todos", `{`).want(400))
	check(answered("/api/todos", "post", "415"), s.send("POST", "/api/todos", strings.NewReader("{}")).want(415))
	check(answered("/api/todos", "post", "413"), s.post("/api/todos", content(257*kib)).want(413))
	check(answered(one, "put", "201"), s.put("/api/todos/a", `{"text":"x"}`, waited).want(201))
	check(answered(one, "put", "200"), s.put("/api/todos/a", `{"text":"y"}`, waited).want(200))
	check(answered(one, "put", "412"), s.put("/api/todos/a", `{"text":"y"}`, waited, `If-Match: "9"`).want(412))
	check(answered(one, "patch", "200"), s.patch("/api/todos/a", `{"text":"z"}`, waited).want(200))
	check(answered(one, "get", "200"), s.get("/api/todos/a").want(200))
	check(answered(one, "get", "404"), s.get("/api/todos/b").want(404))
	check(answered(one, "delete", "404"), s.delete("/api/todos/b", waited).want(404))
	check(answered("/api/todos", "get", "200"), s.get("/api/todos?limit=1").want(200))
	check(answered("/api/todos", "get", "200"), s.get("/api/todos").want(200))
	check(answered("/api/todos", "get", "400"), s.get("/api/todos?limit=0").want(400))
	check(answered("/api/readings", "get", "200"), s.get("/api/readings").want(200))
	check(answered("/api/operations", "get", "200"), s.get("/api/operations").want(200)) // done and failed ones
	check(answered("/api/operations/{id}", "get", "404"), s.get("/api/operations/x").want(404))
	check(answered("/api/operations", "get", "404"), s.get("/api/operations?collection=x").want(404))
	checkNotifying(s, check, answered)
	check("/components/schemas/todos", &answer{t: t, what: "a body", body: []byte(`{"text":"x"}`)})
	check("/components/schemas/todos.patch", &answer{t: t, what: "a patch", body: []byte(`{"text":"x","completed":null}`)})
}

func checkNotifying(s *service, check func(string, *answer), answered func(path, method, status string) string) {
	s.t.Helper()
	const many, one, deliveries = "/api/subscriptions", "/api/subscriptions/{id}", "/api/deliveries"
	at := many + "/" + s.subscribed(hook("x"), `"filter":{"completed":true},"rate_limit":"5/m"`).ID
	check("/components/schemas/SubscriptionInput", &answer{t: s.t, what: "a body", body: []byte(subscribe(hook("x"), `"max_in_flight":3`))})
	check("/components/schemas/SubscriptionPatch", &answer{t: s.t, what: "a patch", body: []byte(`{"filter":null,"channel":{"url":"https://example.com"}}`)})
	check(answered(many, "post", "201"), s.post(many, subscribe(hook("y"))).want(201))
	check(answered(many, "post", "201"), s.post(many, subscribe(mail("a@example.com"))).want(201))
	check(answered(many, "post", "422"), s.post(many, `{}`).want(422))
	check(answered(many, "get", "200"), s.get(many).want(200))
	check(answered(one, "get", "200"), s.get(at).want(200))
	check(answered(one, "patch", "200"), s.patch(at, `{"name":"z"}`).want(200))
	check(answered(one, "get", "404"), s.get(many+"/x").want(404))
	check(answered(one+"/test", "post", "202"), s.act(at+"/test").want(202))
	check(answered(one+"/rotate-secret", "post", "200"), s.act(at+"/rotate-secret").want(200))
	check(answered(one+"/replay", "post", "202"), s.post(at+"/replay", `{"since":"2026-11-01T00:00:00Z","until":"2026-11-02T00:00:00Z"}`).want(202))
	check(answered(one+"/disable", "post", "200"), s.act(at+"/disable").want(200))
	check(answered(one+"/test", "post", "409"), s.act(at+"/test").want(409))
	check(answered(one+"/enable", "post", "200"), s.act(at+"/enable").want(200))
	check(answered(deliveries, "get", "200"), s.get(deliveries).want(200))
	id := s.act(at + "/test").delivering().ID
	s.notify.attempted(s.t, id, subscription.Pending, subscription.Attempt{At: time.Now(), Status: 500, Reply: []byte("no\x00\xff"), Error: "500"})
	s.notify.attempted(s.t, id, subscription.Dead, subscription.Attempt{At: time.Now(), Error: "no answer"})
	check(answered(deliveries+"/{id}", "get", "200"), s.get(deliveries+"/"+id).want(200))
	check(answered(deliveries+"/{id}/retry", "post", "202"), s.act(deliveries+"/"+id+"/retry").want(202))
}

// The document is one for all requests; under the race detector this finds who writes to it.
func TestOpenAPI_IsServedToManyAtOnce(t *testing.T) {
	t.Parallel()
	s := newService(t)
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/openapi.json", http.NoBody)
			if err != nil {
				t.Error(err)
				return
			}
			answer, err := s.client.Do(request)
			if err != nil {
				t.Error(err)
				return
			}
			if err := answer.Body.Close(); err != nil || answer.StatusCode != http.StatusOK {
				t.Errorf("%d, %v", answer.StatusCode, err)
			}
		})
	}
	all.Wait()
}
