package collection

import "github.com/santhosh-tekuri/jsonschema/v6"

// shape says which defaults belong into the objects at one place of a record,
// and the shapes of what is below. It follows `properties`, `items`,
// `prefixItems`, `additionalProperties` and `patternProperties`, through $ref
// and allOf; never anyOf, oneOf or if, where what applies depends on the value.
// A nil shape has no defaults in or below it.
type shape struct {
	defaults []*filler
	fields   map[string]*shape // declared members
	patterns []patternShape    // the first that matches an undeclared member
	rest     *shape            // the other members
	prefix   []*shape
	items    *shape // items after prefix
}

type patternShape struct {
	pattern jsonschema.Regexp
	shape   *shape
}

// filler is one member that is appended where it is missing.
type filler struct {
	name   string
	quoted []byte // name as JSON
	text   []byte // the default, compact, with the defaults in it filled in
	value  any    // the same for the validator
	depth  int    // levels of objects and arrays in it

	at     string // JSON pointer to `default`
	raw    []byte // as declared
	shape  *shape // of the value
	schema []*jsonschema.Schema
	state  fillState
}

type fillState int

const (
	unfilled fillState = iota
	filling
	filled
	broken
)

// field returns the shape of the member of that name.
func (s *shape) field(name string) *shape {
	if s == nil {
		return nil
	}
	if f, ok := s.fields[name]; ok {
		return f
	}
	for _, p := range s.patterns {
		if p.pattern.MatchString(name) {
			return p.shape
		}
	}
	return s.rest
}

// item returns the shape of the i-th item.
func (s *shape) item(i int) *shape {
	if s == nil {
		return nil
	}
	if i < len(s.prefix) {
		return s.prefix[i]
	}
	return s.items
}

// fill adds the defaults to the objects in value. (A reader does the same to a
// text while it reads it.)
func (s *shape) fill(value any) {
	if s == nil {
		return
	}
	switch v := value.(type) {
	case map[string]any:
		for name, member := range v {
			s.field(name).fill(member)
		}
		for _, d := range s.defaults {
			if _, ok := v[d.name]; !ok {
				v[d.name] = d.value
			}
		}
	case []any:
		for i, item := range v {
			s.item(i).fill(item)
		}
	}
}
