package collection

import (
	"encoding/json"
	"errors"
	"slices"
)

// errNoField is why a collection's records cannot be told apart by a field.
var errNoField = errors.New("is not a field")

// HasField reports whether name is a top-level property of the schema.
func (c *Collection) HasField(name string) bool { return c.rules.fields[name] != nil }

// FieldTakes says why a top-level field can never hold value: a string, number
// or boolean as JSON. Unlike Filter it asks of every field, whatever its name.
func (c *Collection) FieldTakes(name string, value json.RawMessage) error {
	f := c.rules.fields[name]
	if f == nil {
		return errNoField
	}
	if f.types == nil {
		return nil
	}
	may := []string{"integer", "number"}
	switch value[0] {
	case '"':
		may = []string{"string"}
	case 't', 'f':
		may = []string{"boolean"}
	}
	if slices.ContainsFunc(f.types, func(t string) bool { return slices.Contains(may, t) }) {
		return nil
	}
	scalars := slices.DeleteFunc(slices.Clone(f.types), func(t string) bool { return !scalarType(t) })
	if len(scalars) == 0 {
		return errors.New("cannot be filtered on: it holds no single values")
	}
	return errors.New(mustBe(scalars))
}

// Locate returns the location of the member name of the object at a location:
// at.name, or at["na me"].
func Locate(at, name string) string { return at + segment(name) }
