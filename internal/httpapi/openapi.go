package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/waybill-dev/waybill/internal/fault"
)

const schemaPrefix = "#/components/schemas/"

func newOpenAPI(version string) *huma.OpenAPI {
	name := func(t reflect.Type, hint string) string {
		return strings.TrimSuffix(huma.DefaultSchemaNamer(t, hint), "View")
	}
	return &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info: &huma.Info{
			Title: "Waybill", Version: version,
			Description: "Accept now, store once, notify everyone. A write is answered with 202 and an operation that tracks it.",
			License:     &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"},
		},
		Components: &huma.Components{Schemas: huma.NewMapRegistry(schemaPrefix, name), SecuritySchemes: map[string]*huma.SecurityScheme{
			"bearer":  {Type: "http", Scheme: "bearer", Description: "An access token, or a key: wb_…"},
			"session": {Type: "apiKey", In: "cookie", Name: sessionCookie, Description: "The cookie of pages"},
		}},
	}
}

// finishOpenAPI makes the document that is served.
func (a *API) finishOpenAPI() error {
	text, err := json.Marshal(a.openAPI)
	if err != nil {
		return fmt.Errorf("openapi: %w", err)
	}
	a.spec = slices.Clip(text) // what is appended to it for an answer must not be shared
	return nil
}

// OpenAPI returns the document as YAML; /openapi.json serves the same as JSON.
func (a *API) OpenAPI() ([]byte, error) { return a.openAPI.YAML() }

// Schema implements huma.SchemaProvider.
func (timestamp) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Format: "date-time"}
}

// Schema implements huma.SchemaProvider: huma has no null for a struct.
func (operationErr) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Type: huma.TypeObject, Nullable: true, Description: "Why it failed; null unless it did",
		Required:   []string{"code", "detail"},
		Properties: map[string]*huma.Schema{"code": stringSchema(), "detail": stringSchema()},
	}
}

// schemaOf returns a reference to the schema of v's type, made from its fields.
func (a *API) schemaOf(v any) *huma.Schema {
	return a.openAPI.Components.Schemas.Schema(reflect.TypeOf(v), true, "")
}

// embedding is schemaOf(whole), a struct that embeds one of part's type: huma
// passes over what is embedded under an unexported name.
func (a *API) embedding(whole, part any) *huma.Schema {
	ref := a.schemaOf(whole)
	schemas := a.openAPI.Components.Schemas
	s, embedded := schemas.SchemaFromRef(ref.Ref), schemas.SchemaFromRef(a.schemaOf(part).Ref)
	for name, property := range embedded.Properties {
		if s.Properties[name] == nil {
			s.Properties[name] = property
		}
	}
	s.Required = slices.Compact(slices.Sorted(slices.Values(slices.Concat(embedded.Required, s.Required))))
	return ref
}

// raw returns a schema given as JSON Schema keywords.
func raw(keywords map[string]any) *huma.Schema { return &huma.Schema{Extensions: keywords} }

// define puts a schema given as JSON Schema keywords among the components, and
// returns a reference to it.
func (a *API) define(name string, keywords map[string]any) *huma.Schema {
	a.openAPI.Components.Schemas.Map()[name] = raw(keywords)
	return &huma.Schema{Ref: schemaPrefix + name}
}

func stringSchema() *huma.Schema { return &huma.Schema{Type: huma.TypeString} }

func intSchema(low, high float64) *huma.Schema {
	return &huma.Schema{Type: huma.TypeInteger, Minimum: &low, Maximum: &high}
}

func enumSchema(values ...any) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Enum: values}
}

func listSchema(item *huma.Schema) *huma.Schema {
	return &huma.Schema{
		Type: huma.TypeObject, Required: []string{"items", "next_cursor"},
		Properties: map[string]*huma.Schema{
			"items":       {Type: huma.TypeArray, Items: item},
			"next_cursor": {Type: huma.TypeString, Nullable: true, Description: "For ?cursor=; null on the last page"},
		},
	}
}

func idParam(description string) *huma.Param {
	return &huma.Param{Name: "id", In: "path", Required: true, Description: description, Schema: stringSchema()}
}

func queryParam(name, description string, s *huma.Schema) *huma.Param {
	return &huma.Param{Name: name, In: "query", Description: description, Schema: s}
}

func headerParam(name, description string) *huma.Param {
	return &huma.Param{Name: name, In: "header", Description: description, Schema: stringSchema()}
}

// pageParams are the parameters of every list.
func pageParams() []*huma.Param {
	limit := intSchema(1, 500)
	limit.Default = 50
	return []*huma.Param{
		queryParam("limit", "How many items", limit),
		queryParam("cursor", "The next_cursor of the page before, under the same other parameters", stringSchema()),
	}
}

// answers returns the responses of a route: the good one, and a problem for
// each kind of failure that it can end with.
func (a *API) answers(status int, good *huma.Response, kinds ...fault.Kind) map[string]*huma.Response {
	responses := map[string]*huma.Response{strconv.Itoa(status): good}
	problem := a.schemaOf(problem{})
	codes := map[int][]string{}
	for _, kind := range append(kinds, fault.Internal) {
		codes[statusOf[kind]] = append(codes[statusOf[kind]], string(kind))
	}
	for status, names := range codes {
		slices.Sort(names)
		response := &huma.Response{
			Description: "code: " + strings.Join(names, ", "),
			Content:     map[string]*huma.MediaType{"application/problem+json": {Schema: problem}},
		}
		if status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests {
			response.Headers = map[string]*huma.Header{"Retry-After": {Description: "Seconds", Schema: &huma.Schema{Type: huma.TypeInteger}}}
		}
		responses[strconv.Itoa(status)] = response
	}
	return responses
}

func jsonAnswer(description string, s *huma.Schema) *huma.Response {
	return &huma.Response{Description: description, Content: map[string]*huma.MediaType{typeJSON: {Schema: s}}}
}

func withHeader(r *huma.Response, name, description string) *huma.Response {
	if r.Headers == nil {
		r.Headers = map[string]*huma.Header{}
	}
	r.Headers[name] = &huma.Header{Description: description, Schema: stringSchema()}
	return r
}
