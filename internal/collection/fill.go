package collection

import (
	"fmt"
	"slices"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// maxDefault bounds a default after the defaults in it are filled in, in bytes.
const maxDefault = 64 << 10

// shapes returns the root's shape and checks every default.
func (s *schemaReader) shapes(r *rules, all []*jsonschema.Schema) *shape {
	b := &shaper{doc: s.doc, shapes: map[string]*shape{}}
	root := b.build(r.always)
	if len(b.order) > maxShapes {
		s.mistake("", "combines schemas in more than %d ways: too many to fill in defaults", maxShapes)
		return nil
	}
	useful := b.prune()
	checked := map[string]bool{}
	for _, sh := range b.order {
		for _, d := range sh.defaults {
			if f := d.complete(); f != nil {
				if f.message != "" {
					s.mistake(f.path, "%s", f.message)
				}
				continue
			}
			checked[d.at] = true
			for _, schema := range d.schema {
				s.checkDefault(d.at, schema, d.value)
			}
		}
	}
	for _, schema := range all { // defaults that are only documentation
		at := locationOf(schema) + "/default"
		if schema.Default != nil && !checked[at] && levels(*schema.Default) == 0 {
			s.checkDefault(at, schema, *schema.Default)
		}
	}
	if !useful[root] {
		return nil
	}
	return root
}

func (s *schemaReader) checkDefault(at string, schema *jsonschema.Schema, value any) {
	for _, v := range violations(schema.Validate(value)) {
		s.mistake(at, "the default breaks its schema: %s %s", locate("it", value, v.path), v.message)
	}
}

// complete fills the defaults below a default into it. The flaw, if that fails,
// has the JSON pointer of the default that is to blame as its path; its message
// is empty if it was returned before.
func (d *filler) complete() *flaw {
	switch d.state {
	case filled:
		return nil
	case filling:
		return &flaw{d.at, "the default holds itself: it would never end"}
	case broken:
		return &flaw{d.at, ""}
	}
	d.state = filling
	f := d.completeNow()
	if d.state = filled; f != nil {
		d.state = broken
	}
	return f
}

func (d *filler) completeNow() *flaw {
	if f := completeBelow(d.shape, d.value); f != nil {
		return f
	}
	r := open(d.raw, nil)
	defer r.close()
	value, f := r.value(d.shape, 1)
	if f != nil {
		return &flaw{d.at, "the default cannot be filled in: it " + f.message}
	}
	if len(r.out) > maxDefault {
		return &flaw{d.at, fmt.Sprintf("the default is longer than %d bytes once the defaults in it are filled in", maxDefault)}
	}
	d.text, d.value, d.depth = slices.Clone(r.out), value, levels(value)
	return nil
}

// completeBelow completes the defaults that filling value in takes.
func completeBelow(s *shape, value any) *flaw {
	if s == nil {
		return nil
	}
	switch v := value.(type) {
	case map[string]any:
		for name, member := range v {
			if f := completeBelow(s.field(name), member); f != nil {
				return f
			}
		}
		for _, d := range s.defaults {
			if _, ok := v[d.name]; ok {
				continue
			}
			if f := d.complete(); f != nil {
				return f
			}
		}
	case []any:
		for i, item := range v {
			if f := completeBelow(s.item(i), item); f != nil {
				return f
			}
		}
	}
	return nil
}

// levels counts how deep value nests objects and arrays.
func levels(value any) int {
	deepest := 0
	switch v := value.(type) {
	case map[string]any:
		for _, member := range v {
			deepest = max(deepest, levels(member))
		}
	case []any:
		for _, item := range v {
			deepest = max(deepest, levels(item))
		}
	default:
		return 0
	}
	return deepest + 1
}
