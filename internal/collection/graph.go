package collection

import (
	"slices"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// inPlace returns the schemas that schema may apply to the same value.
func inPlace(schema *jsonschema.Schema) []*jsonschema.Schema {
	list := []*jsonschema.Schema{schema.Ref, schema.RecursiveRef, schema.Not, schema.If, schema.Then, schema.Else}
	if schema.DynamicRef != nil {
		list = append(list, schema.DynamicRef.Ref)
	}
	list = slices.Concat(list, schema.AllOf, schema.AnyOf, schema.OneOf)
	for _, s := range schema.DependentSchemas {
		list = append(list, s)
	}
	for _, d := range schema.Dependencies {
		if s, ok := d.(*jsonschema.Schema); ok {
			list = append(list, s)
		}
	}
	return slices.DeleteFunc(list, isNil)
}

// below returns the schemas that schema may apply to parts of a value.
func below(schema *jsonschema.Schema) []*jsonschema.Schema {
	list := nameless(schema)
	for _, s := range schema.Properties {
		list = append(list, s)
	}
	for _, s := range schema.PatternProperties {
		list = append(list, s)
	}
	return slices.DeleteFunc(list, isNil)
}

// nameless returns those of below that are for parts which the schema has no
// name for.
func nameless(schema *jsonschema.Schema) []*jsonschema.Schema {
	list := append([]*jsonschema.Schema{
		schema.PropertyNames, schema.UnevaluatedProperties, schema.Contains, schema.Items2020,
		schema.UnevaluatedItems, schema.ContentSchema, additional(schema),
	}, schema.PrefixItems...)
	return slices.DeleteFunc(list, isNil)
}

func isNil(schema *jsonschema.Schema) bool { return schema == nil }

// additional returns the schema of undeclared members, nil if there is none.
func additional(schema *jsonschema.Schema) *jsonschema.Schema {
	s, _ := schema.AdditionalProperties.(*jsonschema.Schema)
	return s
}

// closure returns start and all that next leads to, each once, parents first.
func closure(start []*jsonschema.Schema, next func(*jsonschema.Schema) []*jsonschema.Schema) []*jsonschema.Schema {
	var list []*jsonschema.Schema
	seen := map[*jsonschema.Schema]bool{}
	var visit func(*jsonschema.Schema)
	visit = func(s *jsonschema.Schema) {
		if seen[s] {
			return
		}
		seen[s] = true
		list = append(list, s)
		for _, n := range next(s) {
			visit(n)
		}
	}
	for _, s := range start {
		visit(s)
	}
	return list
}

// reachable returns every schema that validating with root may use.
func reachable(root *jsonschema.Schema) []*jsonschema.Schema {
	return closure([]*jsonschema.Schema{root}, func(s *jsonschema.Schema) []*jsonschema.Schema {
		return append(inPlace(s), below(s)...)
	})
}

// inPlaceAll returns every schema that root may apply to the record itself.
func inPlaceAll(root *jsonschema.Schema) []*jsonschema.Schema {
	return closure([]*jsonschema.Schema{root}, inPlace)
}

// always returns what must hold wherever all of the schemas given must: they,
// and what their $ref and allOf lead to.
func always(schemas ...*jsonschema.Schema) []*jsonschema.Schema {
	return closure(schemas, func(s *jsonschema.Schema) []*jsonschema.Schema {
		if s.Ref == nil {
			return s.AllOf
		}
		return append([]*jsonschema.Schema{s.Ref}, s.AllOf...)
	})
}

// circular returns the schemas that apply themselves to the same value again,
// which no value can pass; one for each circle.
func circular(schemas []*jsonschema.Schema) []*jsonschema.Schema {
	const entered, left = 1, 2
	var circles []*jsonschema.Schema
	state := map[*jsonschema.Schema]int{}
	var visit func(*jsonschema.Schema)
	visit = func(s *jsonschema.Schema) {
		switch state[s] {
		case entered:
			circles = append(circles, s)
		case 0:
			state[s] = entered
			for _, next := range inPlace(s) {
				visit(next)
			}
			state[s] = left
		}
	}
	for _, s := range schemas {
		visit(s)
	}
	return circles
}

// wantsObject reports whether only objects pass a schema.
func wantsObject(schema *jsonschema.Schema) bool {
	if schema.Types != nil && slices.Equal(schema.Types.ToStrings(), []string{"object"}) {
		return true
	}
	every := func(list []*jsonschema.Schema) bool {
		return len(list) > 0 && !slices.ContainsFunc(list, func(s *jsonschema.Schema) bool { return !wantsObject(s) })
	}
	return schema.Ref != nil && wantsObject(schema.Ref) || slices.ContainsFunc(schema.AllOf, wantsObject) ||
		every(schema.AnyOf) || every(schema.OneOf)
}
