package httpapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/waybill-dev/waybill/internal/collection"
	"github.com/waybill-dev/waybill/internal/fault"
)

// schemas are the references to the three schemas of a collection.
type schemas struct {
	input, patch, record *huma.Schema
}

// routeCollection adds the routes of one collection, with its own schemas.
func (a *API) routeCollection(c *collection.Collection) error {
	s, err := a.collectionSchemas(c)
	if err != nil {
		return fmt.Errorf("openapi of collection %s: %w", c.Name, err)
	}
	many, one := "/api/"+c.Name, "/api/"+c.Name+"/{id}"
	operation := func(method, path, verb, summary string) *huma.Operation {
		op := &huma.Operation{Method: method, Path: path, OperationID: verb + "-" + c.Name, Tags: []string{c.Name}, Summary: summary}
		if path == one {
			op.Parameters = []*huma.Param{idParam("The record's ID: 1 to 128 of A-Z a-z 0-9 . _ ~ -")}
		}
		return op
	}
	reads := []fault.Kind{fault.InvalidParameter, fault.StoreUnavailable}

	list := operation(http.MethodGet, many, "list", "Records, by creation")
	list.Parameters = listParams(c)
	list.Responses = a.answers(http.StatusOK, jsonAnswer("A page of records", listSchema(s.record)), reads...)
	a.route(list, toRead(c), a.listRecords(c))

	get := operation(http.MethodGet, one, "get", "A record")
	get.Parameters = append(get.Parameters, headerParam("If-None-Match", `An ETag seen before: 304 if the record still has it`))
	get.Responses = a.answers(http.StatusOK, withHeader(jsonAnswer("The record", s.record), "ETag", `The record's version in quotes`), append(reads, fault.NotFound)...)
	get.Responses["304"] = &huma.Response{Description: "The record still has that ETag"}
	a.route(get, toRead(c), a.getRecord(c))

	create := operation(http.MethodPost, many, "create", "Create a record, or with NDJSON many")
	create.Parameters = append(create.Parameters, headerParam("If-None-Match", "*, which a create fulfils by itself"))
	create.RequestBody = body(map[string]*huma.Schema{typeJSON: s.input, typeLines: {
		Type: huma.TypeString, Description: fmt.Sprintf("A record a line, at most %d lines or %d bytes; a bad line refuses all", maxLines, maxBulkBytes),
	}})
	a.writeRoute(create, c, s, http.StatusCreated, a.create(c))

	replace := operation(http.MethodPut, one, "replace", "Create or replace a record under an ID of the client's")
	replace.Parameters = append(replace.Parameters, headerParam("If-None-Match", "*: create only"))
	replace.RequestBody = body(map[string]*huma.Schema{typeJSON: s.input})
	a.writeRoute(replace, c, s, http.StatusOK, a.replace(c))
	replace.Responses["201"] = jsonAnswer("With Prefer: wait: the record, which the write created", s.record)

	patch := operation(http.MethodPatch, one, "patch", "Change a record by an RFC 7396 merge patch")
	patch.RequestBody = body(map[string]*huma.Schema{typePatch: s.patch, typeJSON: s.patch})
	a.writeRoute(patch, c, s, http.StatusOK, a.patch(c))

	remove := operation(http.MethodDelete, one, "delete", "Delete a record")
	a.writeRoute(remove, c, s, http.StatusNoContent, a.remove(c))
	return nil
}

func body(content map[string]*huma.Schema) *huma.RequestBody {
	b := &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{}}
	for media, schema := range content {
		b.Content[media] = &huma.MediaType{Schema: schema}
	}
	return b
}

// writeRoute adds a write: what all writes take and answer. ended is the status
// that Prefer: wait gets in time.
func (a *API) writeRoute(op *huma.Operation, c *collection.Collection, s schemas, ended int, h handler) {
	op.Parameters = append(op.Parameters,
		headerParam("Idempotency-Key", "1 to 255 printable ASCII characters; a repeat answers with the same operation"),
		headerParam("Prefer", fmt.Sprintf("wait=N, N ≤ %d: answer with the outcome if there is one within N seconds", maxWait)))
	kinds := []fault.Kind{fault.InvalidParameter, fault.IdempotencyMismatch, fault.InvalidRecord, fault.Conflict, fault.QueueUnavailable, fault.Overloaded}
	if op.Method != http.MethodPost {
		op.Parameters = append(op.Parameters, headerParam("If-Match", `The version, in quotes, that the record must have when the write is applied`))
		kinds = append(kinds, fault.VersionMismatch, fault.NotFound)
	}
	if op.RequestBody != nil {
		kinds = append(kinds, fault.InvalidJSON, fault.TooLarge, fault.UnsupportedMediaType)
	}
	operation := a.schemaOf(operationView{})
	accepted := &huma.Schema{Ref: operation.Ref}
	if op.Method == http.MethodPost {
		accepted = &huma.Schema{OneOf: []*huma.Schema{operation, a.schemaOf(bulkView{})}}
	}
	good := jsonAnswer("Accepted: the operation (for NDJSON, one a line)", accepted)
	withHeader(good, "Location", "The operation's address")
	withHeader(good, "Idempotency-Replayed", "true: the Idempotency-Key was seen before, and this is its operation")
	op.Responses = a.answers(http.StatusAccepted, good, kinds...)
	if ended == http.StatusNoContent {
		op.Responses["204"] = &huma.Response{Description: "With Prefer: wait: the record is deleted"}
	} else {
		answer := withHeader(jsonAnswer("With Prefer: wait: the record", s.record), "Preference-Applied", "wait=N")
		op.Responses[fmt.Sprint(ended)] = withHeader(answer, "Waybill-Operation", "The operation's ID")
	}
	a.route(op, toWrite(c), h)
}

// listParams are the parameters of a list of records: the page's, and a filter
// for each field of the schema.
func listParams(c *collection.Collection) []*huma.Param {
	params := append(pageParams(), queryParam("order", "By creation", enumSchema("desc", "asc")))
	for _, name := range c.FilterFields() {
		params = append(params, queryParam(name, "Only records whose field has this value, as it was written", stringSchema()))
	}
	return params
}

// serverFields are the fields of a record that are the server's.
func serverFields() map[string]any {
	return map[string]any{
		"id":         map[string]any{"type": "string"},
		"version":    map[string]any{"type": "integer", "minimum": 1, "description": "One more with each write; also the ETag"},
		"created_at": map[string]any{"type": "string", "format": "date-time"},
		"updated_at": map[string]any{"type": "string", "format": "date-time"},
	}
}

// collectionSchemas derives from a collection's schema what a client sends, what
// it sends as a patch, and what it reads.
func (a *API) collectionSchemas(c *collection.Collection) (schemas, error) {
	var input map[string]any
	if err := json.Unmarshal(c.Schema, &input); err != nil {
		return schemas{}, err
	}
	delete(input, "$schema")
	name := c.Name
	rebase(input, schemaPrefix+name)
	fields, _ := input["properties"].(map[string]any)

	patched := map[string]any{}
	for field, schema := range fields {
		patched[field] = map[string]any{"anyOf": []any{schema, map[string]any{"type": "null"}}}
	}
	patch := map[string]any{"type": "object", "properties": patched, "description": "An RFC 7396 merge patch: null removes a field"}

	read := maps.Clone(input)
	delete(read, "$defs")
	properties := serverFields()
	maps.Copy(properties, fields)
	required := []any{"id", "version", "created_at", "updated_at"}
	if more, ok := input["required"].([]any); ok {
		required = append(required, more...)
	}
	read["type"], read["properties"], read["required"] = "object", properties, required
	return schemas{
		input: a.define(name, input), patch: a.define(name+".patch", patch), record: a.define(name+".record", read),
	}, nil
}

// rebase makes the schema's references to itself good inside the document.
func rebase(v any, base string) {
	switch v := v.(type) {
	case map[string]any:
		if ref, ok := v["$ref"].(string); ok && strings.HasPrefix(ref, "#") {
			v["$ref"] = base + strings.TrimPrefix(ref, "#")
		}
		for _, child := range v {
			rebase(child, base)
		}
	case []any:
		for _, child := range v {
			rebase(child, base)
		}
	}
}
