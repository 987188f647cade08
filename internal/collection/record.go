package collection

import (
	"bytes"
	"slices"

	"github.com/waybill-dev/waybill/internal/fault"
)

// root is where locations begin for what has no request of its own.
const root = "body"

// Record checks a whole record for a create or a replace and returns the bytes to
// store: compact, every member, string and number as given and in the order
// given, missing defaults appended in the schema's order. at is the root of
// locations: "body" or "line[17]". Errors are fault.InvalidJSON for what is not
// one strict JSON object, and fault.InvalidRecord, with all its places, for what
// breaks the schema.
func (c *Collection) Record(at string, body []byte) ([]byte, error) {
	r := open(body, c.rules.names)
	defer r.close()
	record, f := r.record(c.rules.shape)
	if f != nil {
		return nil, f.invalidJSON(at)
	}
	found := reserved(record)
	if err := c.rules.root.Validate(record); err != nil {
		found = append(found, violations(err)...)
	}
	if len(found) > 0 {
		return nil, invalid(at, record, found)
	}
	return bytes.Clone(r.out), nil
}

// Patch checks an RFC 7396 merge patch and returns its compact bytes. It refuses
// only what no record could make valid: a reserved field, an undeclared field
// where those are forbidden, and a final value (neither null nor an object) that
// breaks its property's schema. The rest is for Merge to say. Errors are those of
// Record.
func (c *Collection) Patch(at string, body []byte) ([]byte, error) {
	r := open(body, c.rules.names)
	defer r.close()
	patch, f := r.record(nil)
	if f != nil {
		return nil, f.invalidJSON(at)
	}
	found := reserved(patch)
	for name, value := range patch {
		if value == nil {
			continue
		}
		if c.rules.unknown(name) {
			found = append(found, violation{[]string{name}, unknownField})
			continue
		}
		found = append(found, c.rules.property(name, value)...)
	}
	if len(found) > 0 {
		return nil, invalid(at, patch, found)
	}
	return bytes.Clone(r.out), nil
}

// Merge applies a merge patch (from Patch) to a stored record (from Record or
// Merge) and returns the record to store: members keep their order and their
// text, new ones follow, missing defaults are appended. Errors are
// fault.InvalidRecord with locations under "body".
func (c *Collection) Merge(stored, patch []byte) ([]byte, error) {
	merged, err := merge(nil, stored, patch)
	if err != nil {
		return nil, fault.Wrap(fault.InvalidRecord, err, "the patch cannot be applied")
	}
	return c.stored(merged)
}

// stored validates what was accepted before: reserved fields are not its matter,
// and every error is fault.InvalidRecord.
func (c *Collection) stored(data []byte) ([]byte, error) {
	r := open(data, c.rules.names)
	defer r.close()
	record, f := r.record(c.rules.shape)
	if f != nil {
		return nil, fault.At(fault.InvalidRecord, root+f.path, "%s", f.message)
	}
	if err := c.rules.root.Validate(record); err != nil {
		return nil, invalid(root, record, violations(err))
	}
	return bytes.Clone(r.out), nil
}

func (f *flaw) invalidJSON(at string) error {
	return fault.At(fault.InvalidJSON, at+f.path, "%s", f.message)
}

// reserved finds the server's own fields in a body and takes them out, so that
// the schema does not speak of them too.
func reserved(body map[string]any) []violation {
	var found []violation
	for _, name := range reservedFields {
		if _, ok := body[name]; ok {
			found = append(found, violation{[]string{name}, "is set by the server"})
			delete(body, name)
		}
	}
	return found
}

// unknown reports whether no record may have a member of that name.
func (r *rules) unknown(name string) bool {
	for _, s := range r.always {
		if allowed, ok := s.AdditionalProperties.(bool); !ok || allowed {
			continue
		}
		declared := false
		if _, ok := s.Properties[name]; ok {
			declared = true
		}
		for pattern := range s.PatternProperties {
			declared = declared || pattern.MatchString(name)
		}
		if !declared {
			return true
		}
	}
	return false
}

// property finds what is wrong with a member that a patch sets, as far as that
// does not depend on the record.
func (r *rules) property(name string, value any) []violation {
	if _, ok := value.(map[string]any); ok || r.dynamic {
		return nil
	}
	r.shape.field(name).fill(value)
	var found []violation
	for _, s := range r.always {
		if property, ok := s.Properties[name]; ok {
			found = append(found, violations(property.Validate(value), name)...)
		}
	}
	return slices.Clip(found)
}
