package collection

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

const draft = "https://json-schema.org/draft/2020-12/schema"

// maxCount bounds keywords such as maxLength: the validator keeps them as ints,
// and would wrap a larger one silently.
const maxCount = 1 << 53

// rules is what a schema makes of bodies: everything that Record, Patch, Merge
// and Filter need, worked out when the file is read.
type rules struct {
	doc     *document
	text    []byte // of the schema, as others may see it
	root    *jsonschema.Schema
	always  []*jsonschema.Schema // root, and what it always applies to a record
	shape   *shape               // where defaults go; nil if there are none
	names   map[string]string    // every property declared anywhere
	fields  map[string]*field    // top-level properties
	dynamic bool                 // a part of the schema may mean another thing on its own
	secrets secrets              // what Redact leaves out
}

// rules reads a schema; nil if it has mistakes.
func (p *parser) rules(e entry, what string) *rules {
	before := len(p.mistakes)
	doc := p.convert(what, e.line, e.value)
	if doc == nil {
		return nil
	}
	s := &schemaReader{p: p, what: what, doc: doc, anchors: map[string]bool{}, marked: map[string]bool{}}
	object, ok := doc.value.(map[string]any)
	if !ok {
		s.mistake("", "must be a JSON Schema: a mapping with type: object")
		return nil
	}
	s.each(object, "", s.collectAnchors)
	s.each(object, "", s.collectSecrets)
	s.each(object, "", s.keywords)
	root, err := s.compile()
	if err != nil {
		s.broken(err, len(p.mistakes) == before)
	}
	if len(p.mistakes) > before {
		return nil
	}
	r := s.derive(root)
	if len(p.mistakes) > before {
		return nil
	}
	return r
}

// schemaReader checks one schema.
type schemaReader struct {
	p       *parser
	what    string
	doc     *document
	anchors map[string]bool
	marked  map[string]bool // where secretWord stands, by JSON pointer, and its value
}

// mistake notes what is wrong at a JSON pointer into the schema.
func (s *schemaReader) mistake(pointer, format string, args ...any) {
	s.p.mistake(s.doc.line(pointer), s.what+describe(pointer), format, args...)
}

// describe renders a JSON pointer as a location: /properties/a → .properties.a.
func describe(pointer string) string {
	var b strings.Builder
	for _, step := range strings.Split(pointer, "/")[1:] {
		b.WriteString(segment(pointerUnescape.Replace(step)))
	}
	return b.String()
}

// Keywords that hold schemas: in a mapping, in a list, or one.
var (
	schemaMaps  = []string{"$defs", "definitions", "dependentSchemas", "patternProperties", "properties"}
	schemaLists = []string{"allOf", "anyOf", "oneOf", "prefixItems"}
	schemaOnes  = []string{
		"additionalProperties", "contains", "contentSchema", "else", "if", "items", "not", "propertyNames",
		"then", "unevaluatedItems", "unevaluatedProperties",
	}
	// knownWords are all, and ours: the standard lets others pass, and with them every typo.
	knownWords = slices.Concat(schemaMaps, schemaLists, schemaOnes, countWords, []string{
		"$anchor", "$comment", "$dynamicAnchor", "$dynamicRef", "$id", "$recursiveAnchor", "$recursiveRef", "$ref", "$schema",
		"$vocabulary", "const", "contentEncoding", "contentMediaType", "default", "dependencies", "dependentRequired",
		"deprecated", "description", "enum", "example", "examples", "exclusiveMaximum", "exclusiveMinimum", "externalDocs",
		"format", "maximum", "minimum", "multipleOf", "pattern", "readOnly", "required", secretWord, "title", "type", "uniqueItems", "writeOnly",
	})
	countWords = []string{
		"maxContains", "maxItems", "maxLength", "maxProperties", "minContains", "minItems", "minLength", "minProperties",
	}
)

// each calls visit for every schema that is an object in v, v included, with its
// JSON pointer.
func (s *schemaReader) each(v any, at string, visit func(schema map[string]any, at string)) {
	schema, ok := v.(map[string]any)
	if !ok {
		return
	}
	visit(schema, at)
	for _, word := range schemaMaps {
		named, _ := schema[word].(map[string]any)
		for name, sub := range named {
			s.each(sub, at+pointer(word, name), visit)
		}
	}
	for _, word := range schemaLists {
		list, _ := schema[word].([]any)
		for i, sub := range list {
			s.each(sub, at+pointer(word, fmt.Sprint(i)), visit)
		}
	}
	for _, word := range schemaOnes {
		s.each(schema[word], at+pointer(word), visit)
	}
}

func (s *schemaReader) collectAnchors(schema map[string]any, _ string) {
	for _, word := range []string{"$anchor", "$dynamicAnchor"} {
		if anchor, ok := schema[word].(string); ok {
			s.anchors[anchor] = true
		}
	}
}

// keywords checks what the metaschema does not.
func (s *schemaReader) keywords(schema map[string]any, at string) {
	if uri, ok := schema["$schema"].(string); ok && strings.TrimSuffix(uri, "#") != draft {
		s.mistake(at+"/$schema", "only JSON Schema 2020-12 is supported (%s)", draft)
	}
	for word := range schema {
		if !slices.Contains(knownWords, word) && !strings.HasPrefix(word, "x-") {
			s.mistake(at+pointer(word), "is not a keyword of JSON Schema 2020-12 (a name of your own begins with x-)")
		}
	}
	if _, ok := schema["$id"]; ok && at != "" {
		s.mistake(at+"/$id", "is supported at the root only")
	}
	for _, word := range []string{"$ref", "$dynamicRef", "$recursiveRef"} {
		if ref, ok := schema[word].(string); ok && !s.resolves(ref) {
			s.mistake(at+pointer(word), "%q is nothing in this schema: a reference must be # or begin with #/ or #anchor, nothing else is read", clip(ref, maxEcho))
		}
	}
	if text, ok := schema["pattern"].(string); ok {
		s.pattern(text, at+"/pattern")
	}
	patterns, _ := schema["patternProperties"].(map[string]any)
	for text := range patterns {
		s.pattern(text, at+pointer("patternProperties", text))
	}
	for _, word := range countWords {
		number, ok := schema[word].(json.Number)
		if !ok {
			continue
		}
		if n, ok := new(big.Rat).SetString(string(number)); ok && n.Cmp(new(big.Rat).SetInt64(maxCount)) > 0 {
			s.mistake(at+pointer(word), "is too large")
		}
	}
}

func (s *schemaReader) pattern(text, at string) {
	if _, err := regexp.Compile(text); err != nil {
		reason := strings.TrimPrefix(err.Error(), "error parsing regexp: ")
		s.mistake(at, "is not a regular expression that Go knows (RE2): %s", clip(reason, 2*maxEcho))
	}
}

// resolves reports whether ref names a place in this schema.
func (s *schemaReader) resolves(ref string) bool {
	fragment, ok := strings.CutPrefix(ref, "#")
	if !ok {
		return false
	}
	fragment, err := url.PathUnescape(fragment)
	if err != nil {
		return false
	}
	if fragment != "" && fragment[0] != '/' {
		return s.anchors[fragment]
	}
	_, ok = s.doc.places[fragment]
	return ok
}

// sealed is the validator's loader: it loads nothing, from nowhere.
type sealed struct{}

var errSealed = errors.New("nothing outside the schema is read")

func (sealed) Load(string) (any, error) { return nil, errSealed }

const schemaURL = "waybill:///schema"

// compile holds the schema against the metaschema and compiles it.
func (s *schemaReader) compile() (*jsonschema.Schema, error) {
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	c.UseLoader(sealed{})
	if err := c.AddResource(schemaURL, s.doc.value); err != nil {
		return nil, err
	}
	return c.Compile(schemaURL)
}

// broken notes why compile failed. What keywords finds too, and says better, it
// leaves out: invalid patterns always, other errors unless they are the first.
func (s *schemaReader) broken(err error, first bool) {
	if invalid, ok := errors.AsType[*jsonschema.SchemaValidationError](err); ok {
		_, base, _ := strings.Cut(invalid.URL, "#")
		for _, v := range violations(invalid.Err) {
			if v.message != message(&kind.Format{Want: "regex"}) && v.message != forbiddenName {
				s.mistake(base+pointer(v.path...), "is not JSON Schema 2020-12: %s", v.message)
			}
		}
	} else if first {
		s.mistake("", "%s", clip(strings.ReplaceAll(err.Error(), schemaURL, ""), 4*maxEcho))
	}
}

// locationOf returns the JSON pointer to a compiled schema.
func locationOf(schema *jsonschema.Schema) string {
	_, fragment, _ := strings.Cut(schema.Location, "#")
	pointer, err := url.PathUnescape(fragment)
	if err != nil {
		return fragment
	}
	return pointer
}

// derive works out the rules of a compiled schema and checks what only they can
// tell.
func (s *schemaReader) derive(root *jsonschema.Schema) *rules {
	all := reachable(root)
	circles := circular(all)
	for _, schema := range circles {
		s.mistake(locationOf(schema), "refers to itself without going deeper into the record")
	}
	if circles != nil {
		return nil
	}
	r := &rules{doc: s.doc, root: root, always: always(root), names: map[string]string{}}
	for _, schema := range all {
		r.dynamic = r.dynamic || schema.DynamicRef != nil || schema.RecursiveRef != nil
		for name := range schema.Properties {
			if plain(name) {
				r.names[name] = name
			}
		}
	}
	s.objects(r)
	r.fields = declared(r.always)
	r.shape = s.shapes(r, all)
	r.secrets = s.secrets(root, all)
	r.text = s.published()
	return r
}

// plain reports whether JSON writes name without an escape.
func plain(name string) bool {
	return !strings.ContainsFunc(name, func(c rune) bool { return c < ' ' || c == '"' || c == '\\' })
}

// objects checks that records, and only what a record may be, can pass the root.
func (s *schemaReader) objects(r *rules) {
	if !wantsObject(r.root) {
		s.mistake("", "must be an object schema: type: object")
	}
	for _, schema := range inPlaceAll(r.root) {
		at := locationOf(schema)
		for _, name := range reservedFields {
			if _, ok := schema.Properties[name]; ok {
				s.mistake(at+pointer("properties", name), "the field is the server's own")
			}
			if slices.Contains(schema.Required, name) {
				s.mistake(at+pointer("required"), "%s is the server's own field, no body may have it", name)
			}
		}
	}
}
