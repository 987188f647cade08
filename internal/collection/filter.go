package collection

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/waybill-dev/waybill/internal/fault"
)

// field is a top-level property as Filter sees it.
type field struct {
	types    []string // what the schema allows; nil: anything
	reserved bool     // the name is a query parameter of the contract
}

func (f *field) filterable() bool {
	return !f.reserved && (f.types == nil || slices.ContainsFunc(f.types, scalarType))
}

func scalarType(t string) bool {
	return t == "boolean" || t == "integer" || t == "number" || t == "string"
}

// declared returns the properties that the schemas given declare, all of which
// apply to the record.
func declared(schemas []*jsonschema.Schema) map[string]*field {
	properties := map[string][]*jsonschema.Schema{}
	for _, s := range schemas {
		for name, property := range s.Properties {
			properties[name] = append(properties[name], property)
		}
	}
	fields := make(map[string]*field, len(properties))
	for name, list := range properties {
		f := &field{reserved: slices.Contains(reservedParameters, name)}
		for _, s := range always(list...) {
			if s.Types != nil {
				f.types = common(f.types, s.Types.ToStrings())
			}
		}
		fields[name] = f
	}
	return fields
}

// common returns the types in both lists, of which a may be nil for anything. An
// integer is a number.
func common(a, b []string) []string {
	if a == nil {
		return b
	}
	both := []string{}
	for _, t := range a {
		switch {
		case slices.Contains(b, t), t == "integer" && slices.Contains(b, "number"):
			both = append(both, t)
		case t == "number" && slices.Contains(b, "integer"):
			both = append(both, "integer")
		}
	}
	return both
}

// Filter checks that records can be filtered by ?name=value: that name is a
// top-level property of the schema, that it holds single values, and that value
// is one of its types. Errors are fault.InvalidParameter at query.<name>.
func (c *Collection) Filter(name, value string) error {
	refuse := func(format string, args ...any) error {
		return fault.At(fault.InvalidParameter, "query"+segment(name), format, args...)
	}
	f := c.rules.fields[name]
	switch {
	case f == nil:
		return refuse("is not a field of %s", c.Name)
	case !f.filterable():
		return refuse("cannot be filtered on")
	case !utf8.ValidString(value) || strings.ContainsRune(value, 0):
		return refuse("must be UTF-8 without NUL")
	case f.types == nil || slices.ContainsFunc(f.types, func(t string) bool { return holds(t, value) }):
		return nil
	}
	return refuse("%s", mustBe(slices.DeleteFunc(slices.Clone(f.types), func(t string) bool { return !scalarType(t) })))
}

// holds reports whether value is how a query writes a value of type t.
func holds(t, value string) bool {
	switch t {
	case "boolean":
		return value == "true" || value == "false"
	case "integer", "number":
		number := jsontext.Value(value)
		return number.Kind() == '0' && number.IsValid() && strings.TrimSpace(value) == value && exact(number)
	}
	return t == "string"
}
