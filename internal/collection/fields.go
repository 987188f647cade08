package collection

import (
	"maps"
	"slices"
)

// FilterFields returns the names that Filter takes, sorted.
func (c *Collection) FilterFields() []string {
	names := slices.Sorted(maps.Keys(c.rules.fields))
	return slices.DeleteFunc(names, func(name string) bool { return !c.rules.fields[name].filterable() })
}
