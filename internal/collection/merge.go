package collection

import (
	"bytes"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"
)

// member is one member of an object as it is written, and what a merge patch
// says about it.
type member struct {
	name   string
	quoted jsontext.Value // the name as JSON
	value  jsontext.Value // nil: not there yet
	patch  jsontext.Value // nil: stays as it is
}

// merge appends to dst what a merge patch (RFC 7396) makes of target; nil is a
// target that is not there. It works on texts, so that what the patch leaves
// alone stays as it was written.
func merge(dst []byte, target, patch jsontext.Value) ([]byte, error) {
	if patch.Kind() != '{' {
		return append(dst, patch...), nil
	}
	list, err := patched(target, patch)
	if err != nil {
		return nil, err
	}
	dst = append(dst, '{')
	separator := ""
	for _, m := range list {
		if m.patch.Kind() == 'n' {
			continue
		}
		dst = append(append(append(dst, separator...), m.quoted...), ':')
		separator = ","
		if m.patch == nil {
			dst = append(dst, m.value...)
		} else if dst, err = merge(dst, m.value, m.patch); err != nil {
			return nil, err
		}
	}
	return append(dst, '}'), nil
}

// patched pairs the members of target with what patch says about each, and
// appends those that only patch has.
func patched(target, patch jsontext.Value) ([]member, error) {
	var list []member
	var err error
	if target.Kind() == '{' {
		if list, err = members(target); err != nil {
			return nil, fmt.Errorf("read the stored record: %w", err)
		}
	}
	changes, err := members(patch)
	if err != nil {
		return nil, fmt.Errorf("read the patch: %w", err)
	}
	index := make(map[string]int, len(list))
	for i := range list {
		index[list[i].name] = i
	}
	for _, change := range changes {
		if i, ok := index[change.name]; ok {
			list[i].patch = change.value
		} else {
			list = append(list, member{quoted: change.quoted, patch: change.value})
		}
	}
	return list, nil
}

// members returns the members of an object, in order, as parts of its text.
func members(object jsontext.Value) ([]member, error) {
	d := jsontext.NewDecoder(bytes.NewBuffer(object))
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	next := func() (jsontext.Value, error) {
		value, err := d.ReadValue()
		end := d.InputOffset()
		return object[end-int64(len(value)) : end], err
	}
	var list []member
	for d.PeekKind() != '}' {
		quoted, err := next()
		if err != nil {
			return nil, err
		}
		name, err := jsontext.AppendUnquote(nil, quoted)
		if err != nil {
			return nil, err
		}
		value, err := next()
		if err != nil {
			return nil, err
		}
		list = append(list, member{name: string(name), quoted: quoted, value: value})
	}
	return list, nil
}
