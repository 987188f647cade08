package collection

import (
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// maxShapes bounds how many combinations of schemas are told apart.
const maxShapes = 10_000

// shaper builds shapes; one for each list of schemas that apply to one place.
type shaper struct {
	doc    *document
	shapes map[string]*shape
	order  []*shape
}

// build returns the shape of a place to which all of the schemas given apply.
func (b *shaper) build(schemas []*jsonschema.Schema) *shape {
	if len(schemas) == 0 || len(b.order) > maxShapes {
		return nil
	}
	var key strings.Builder
	for _, s := range schemas {
		key.WriteString(s.Location + "\n")
	}
	if s, ok := b.shapes[key.String()]; ok {
		return s
	}
	sh := &shape{fields: map[string]*shape{}}
	b.shapes[key.String()] = sh
	b.order = append(b.order, sh)
	var rest []*jsonschema.Schema
	for _, s := range schemas {
		for _, name := range b.doc.places[locationOf(s)+"/properties"].names {
			b.declare(sh, schemas, name)
		}
		if more := additional(s); more != nil {
			rest = append(rest, more)
		}
		for pattern, under := range s.PatternProperties {
			sh.patterns = append(sh.patterns, patternShape{pattern, b.build(always(under))})
		}
	}
	slices.SortFunc(sh.patterns, func(a, b patternShape) int {
		return strings.Compare(a.pattern.String(), b.pattern.String())
	})
	sh.rest = b.build(always(rest...))
	b.items(sh, schemas)
	return sh
}

// declare adds the member name to sh, of which a schema declares it.
func (b *shaper) declare(sh *shape, schemas []*jsonschema.Schema, name string) {
	if _, ok := sh.fields[name]; ok {
		return
	}
	var own, other []*jsonschema.Schema
	for _, s := range schemas {
		matched := false
		if property, ok := s.Properties[name]; ok {
			own, matched = append(own, property), true
		}
		for pattern, under := range s.PatternProperties {
			if pattern.MatchString(name) {
				other, matched = append(other, under), true
			}
		}
		if more := additional(s); more != nil && !matched {
			other = append(other, more)
		}
	}
	slices.SortFunc(other, func(a, b *jsonschema.Schema) int { return strings.Compare(a.Location, b.Location) })
	sh.fields[name] = b.build(always(slices.Concat(own, other)...))
	for _, s := range always(own...) {
		if s.Default == nil {
			continue
		}
		at := locationOf(s) + "/default"
		quoted, _ := jsontext.AppendQuote(nil, name) // it is valid UTF-8, or the file would not have been read
		sh.defaults = append(sh.defaults, &filler{
			name: name, quoted: quoted, at: at, raw: b.doc.raw(at), shape: sh.fields[name], value: *s.Default,
			schema: slices.Concat(own, other),
		})
		return
	}
}

func (b *shaper) items(sh *shape, schemas []*jsonschema.Schema) {
	longest := 0
	for _, s := range schemas {
		longest = max(longest, len(s.PrefixItems))
	}
	at := func(i int) []*jsonschema.Schema {
		var list []*jsonschema.Schema
		for _, s := range schemas {
			if i < len(s.PrefixItems) {
				list = append(list, s.PrefixItems[i])
			} else if s.Items2020 != nil {
				list = append(list, s.Items2020)
			}
		}
		return always(list...)
	}
	for i := range longest {
		sh.prefix = append(sh.prefix, b.build(at(i)))
	}
	sh.items = b.build(at(longest))
}

// prune replaces shapes without defaults in or below them by nil, so that
// readers skip them, and returns those that stay.
func (b *shaper) prune() map[*shape]bool {
	useful := map[*shape]bool{}
	for changed := true; changed; {
		changed = false
		for _, sh := range b.order {
			if !useful[sh] && (len(sh.defaults) > 0 || slices.ContainsFunc(sh.children(), func(c *shape) bool { return useful[c] })) {
				useful[sh], changed = true, true
			}
		}
	}
	keep := func(sh **shape) {
		if !useful[*sh] {
			*sh = nil
		}
	}
	for _, sh := range b.order {
		for name, f := range sh.fields {
			keep(&f)
			sh.fields[name] = f // nil too: a declared member is not one of the rest
		}
		for i := range sh.patterns {
			keep(&sh.patterns[i].shape)
		}
		for i := range sh.prefix {
			keep(&sh.prefix[i])
		}
		keep(&sh.rest)
		keep(&sh.items)
		for _, d := range sh.defaults {
			keep(&d.shape)
		}
	}
	return useful
}

func (s *shape) children() []*shape {
	list := slices.Concat(s.prefix, []*shape{s.rest, s.items})
	for _, f := range s.fields {
		list = append(list, f)
	}
	for _, p := range s.patterns {
		list = append(list, p.shape)
	}
	return list
}
