package collection

import (
	"bytes"
	"errors"
	"io"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

const (
	// secretWord marks a schema whose values people who look after Waybill must
	// not see. It is ours: the validator knows nothing of it.
	secretWord = "secret"
	// secretExtension is what the word is called in Schema, where only JSON
	// Schema and extensions have a place.
	secretExtension = "x-waybill-secret"
)

// redacted stands for a secret, or for all that it could be in.
const redacted = `"***"`

// secrets says which members' values are secret.
type secrets struct {
	all      bool // everything: the record itself, or members that have no names of their own
	names    map[string]bool
	patterns []jsonschema.Regexp
}

// Redact returns body, a JSON object, with "***" in place of the value of each
// member, at any depth, that has the name of a property marked secret, and
// everything else byte for byte. What is no JSON object becomes "***" (with its
// quotes) as a whole. The result shares no memory with body.
func (c *Collection) Redact(body []byte) []byte {
	s := &c.rules.secrets
	out := make([]byte, 0, len(body))
	dec := jsontext.NewDecoder(bytes.NewReader(body), jsontext.AllowDuplicateNames(true))
	if s.all || dec.PeekKind() != '{' {
		return []byte(redacted)
	}
	kept := int64(0) // how much of body is in out
	for {
		cut, span, err := s.next(dec)
		if errors.Is(err, io.EOF) && dec.StackDepth() == 0 && oneValue(dec) {
			return append(out, body[kept:]...)
		}
		if err != nil {
			return []byte(redacted)
		}
		if cut {
			out = append(append(out, body[kept:span[0]]...), redacted...)
			kept = span[1]
		}
	}
}

// next reads one token, and if it is a secret member's name its value too: then
// cut is true, and span is where in the text the value begins and ends.
func (s *secrets) next(dec *jsontext.Decoder) (cut bool, span [2]int64, err error) {
	kind, read := dec.StackIndex(dec.StackDepth())
	token, err := dec.ReadToken()
	if err != nil || kind != '{' || read%2 != 0 || token.Kind() != '"' || !s.secret(token.String()) {
		return false, span, err
	}
	value, err := dec.ReadValue()
	end := dec.InputOffset()
	return true, [2]int64{end - int64(len(value)), end}, err
}

// oneValue reports whether what was read at the top is one value.
func oneValue(dec *jsontext.Decoder) bool {
	_, read := dec.StackIndex(0)
	return read == 1
}

func (s *secrets) secret(name string) bool {
	return s.names[name] || slices.ContainsFunc(s.patterns, func(p jsonschema.Regexp) bool { return p.MatchString(name) })
}

// secrets finds out which members a schema makes secret. all are the schemas
// that it may use.
func (s *schemaReader) secrets(root *jsonschema.Schema, all []*jsonschema.Schema) secrets {
	found := secrets{all: s.hides(root), names: map[string]bool{}}
	for _, schema := range all {
		for name, sub := range schema.Properties {
			if s.hides(sub) {
				found.names[name] = true
			}
		}
		for pattern, sub := range schema.PatternProperties {
			if s.hides(sub) {
				found.patterns = append(found.patterns, pattern)
			}
		}
	}
	return found
}

// hides reports whether a value of the schema is secret: if the schema is, or one
// that it may apply to the same value, or to a part of it that has no declared
// name, such as an item.
func (s *schemaReader) hides(schema *jsonschema.Schema) bool {
	parts := closure([]*jsonschema.Schema{schema}, func(sub *jsonschema.Schema) []*jsonschema.Schema {
		return append(inPlace(sub), nameless(sub)...)
	})
	return slices.ContainsFunc(parts, func(sub *jsonschema.Schema) bool {
		return s.marked[locationOf(sub)]
	})
}

// collectSecrets notes which schemas are marked, and checks how.
func (s *schemaReader) collectSecrets(schema map[string]any, at string) {
	value, ok := schema[secretWord]
	if !ok {
		return
	}
	secret, ok := value.(bool)
	if !ok {
		s.mistake(at+pointer(secretWord), "must be true or false")
	}
	s.marked[at] = secret
}

// published returns the schema's text with our word made an extension.
func (s *schemaReader) published() []byte {
	var starts []int // of the word's values
	for at := range s.marked {
		starts = append(starts, s.doc.places[at+pointer(secretWord)].start)
	}
	slices.Sort(starts)
	var text []byte
	kept := 0
	for _, start := range starts {
		text = append(text, s.doc.text[kept:start-len(`"`+secretWord+`":`)]...)
		text = append(text, `"`+secretExtension+`":`...)
		kept = start
	}
	return append(text, s.doc.text[kept:]...)
}
