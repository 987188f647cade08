package collection

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
)

// Limits of what is read. A number within them can be turned into an exact
// fraction in about a microsecond; one outside could take all memory to do so.
const (
	maxDepth    = 64   // levels of objects and arrays, the record itself is the first
	maxDigits   = 1000 // of a number's mantissa
	maxExponent = 1000 // of a number, either sign
)

// keptBuffer bounds what a pooled reader may hold on to.
const keptBuffer = 64 << 10

// flaw is why a text is not strict JSON: where, as path segments that follow
// the root ("" for the root itself), and what.
type flaw struct{ path, message string }

func (f *flaw) within(segment string) *flaw {
	f.path = segment + f.path
	return f
}

// reader makes one strict pass over a JSON text: it refuses what API.md refuses,
// writes the text compacted and with defaults to out, and builds the value that
// the validator wants. It is not for concurrent use.
type reader struct {
	src     bytes.Buffer
	dec     jsontext.Decoder
	out     []byte
	scratch []byte
	names   map[string]string // names worth sharing instead of allocating; may be nil
}

var readers = sync.Pool{New: func() any { return new(reader) }}

// open returns a reader at the start of text; text must not change until close.
func open(text []byte, names map[string]string) *reader {
	r := readers.Get().(*reader)
	r.src = *bytes.NewBuffer(text)
	r.dec.Reset(&r.src)
	r.out, r.names = r.out[:0], names
	return r
}

func (r *reader) close() {
	if cap(r.out) > keptBuffer || cap(r.scratch) > keptBuffer {
		return
	}
	r.src = bytes.Buffer{} // let go of the caller's text
	r.dec.Reset(&r.src)
	readers.Put(r)
}

// record reads a text that must be one object and nothing else.
func (r *reader) record(s *shape) (map[string]any, *flaw) {
	switch r.dec.PeekKind() {
	case '{':
	case 'n', 't', 'f', '"', '0', '[':
		return nil, &flaw{message: "must be a JSON object"}
	default:
		_, err := r.dec.ReadToken()
		return nil, syntax(err)
	}
	object, f := r.object(s, 1)
	if f != nil {
		return nil, f
	}
	if _, err := r.dec.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, &flaw{message: "has data after the JSON object"}
	}
	return object, nil
}

// value reads the next value; depth is the level that it has if it is an object
// or an array.
func (r *reader) value(s *shape, depth int) (any, *flaw) {
	kind := r.dec.PeekKind()
	switch kind {
	case '{':
		return r.object(s, depth)
	case '[':
		return r.array(s, depth)
	}
	raw, err := r.dec.ReadValue()
	if err != nil {
		return nil, syntax(err)
	}
	r.out = append(r.out, raw...)
	switch kind {
	case '"':
		return r.text(raw)
	case '0':
		if !exact(raw) {
			return nil, &flaw{message: fmt.Sprintf("is a number of more than %d digits or with an exponent beyond ±%d", maxDigits, maxExponent)}
		}
		return json.Number(raw), nil
	case 'n':
		return nil, nil
	}
	return kind == 't', nil
}

func (r *reader) object(s *shape, depth int) (map[string]any, *flaw) {
	if f := r.enter('{', depth); f != nil {
		return nil, f
	}
	object := make(map[string]any)
	for r.dec.PeekKind() != '}' {
		raw, err := r.dec.ReadValue()
		if err != nil {
			return nil, syntax(err)
		}
		if len(object) > 0 {
			r.out = append(r.out, ',')
		}
		r.out = append(append(r.out, raw...), ':')
		name, f := r.name(raw)
		if f != nil {
			return nil, f
		}
		value, f := r.value(s.field(name), depth+1)
		if f != nil {
			return nil, f.within(segment(name))
		}
		object[name] = value
	}
	if _, err := r.dec.ReadToken(); err != nil {
		return nil, syntax(err)
	}
	if f := r.fill(s, object, depth); f != nil {
		return nil, f
	}
	r.out = append(r.out, '}')
	return object, nil
}

// fill appends the defaults of members that the object at this depth lacks.
func (r *reader) fill(s *shape, object map[string]any, depth int) *flaw {
	if s == nil {
		return nil
	}
	for _, d := range s.defaults {
		if _, ok := object[d.name]; ok {
			continue
		}
		if depth+d.depth > maxDepth {
			return tooDeep()
		}
		if len(object) > 0 {
			r.out = append(r.out, ',')
		}
		r.out = append(append(append(r.out, d.quoted...), ':'), d.text...)
		object[d.name] = d.value
	}
	return nil
}

func (r *reader) array(s *shape, depth int) ([]any, *flaw) {
	if f := r.enter('[', depth); f != nil {
		return nil, f
	}
	array := []any{}
	for r.dec.PeekKind() != ']' {
		if len(array) > 0 {
			r.out = append(r.out, ',')
		}
		value, f := r.value(s.item(len(array)), depth+1)
		if f != nil {
			return nil, f.within(fmt.Sprintf("[%d]", len(array)))
		}
		array = append(array, value)
	}
	if _, err := r.dec.ReadToken(); err != nil {
		return nil, syntax(err)
	}
	r.out = append(r.out, ']')
	return array, nil
}

func (r *reader) enter(bracket byte, depth int) *flaw {
	if depth > maxDepth {
		return tooDeep()
	}
	if _, err := r.dec.ReadToken(); err != nil {
		return syntax(err)
	}
	r.out = append(r.out, bracket)
	return nil
}

func tooDeep() *flaw {
	return &flaw{message: fmt.Sprintf("is nested deeper than %d levels", maxDepth)}
}

func (r *reader) name(raw []byte) (string, *flaw) {
	if name, ok := r.names[string(raw[1:len(raw)-1])]; ok {
		return name, nil // none of them needs an escape
	}
	return r.text(raw)
}

// text returns the string that raw, a valid JSON string, stands for.
func (r *reader) text(raw []byte) (string, *flaw) {
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1]), nil
	}
	var err error
	if r.scratch, err = jsontext.AppendUnquote(r.scratch[:0], raw); err != nil {
		return "", syntax(err)
	}
	if bytes.IndexByte(r.scratch, 0) >= 0 {
		return "", &flaw{message: `contains \u0000`}
	}
	return string(r.scratch), nil
}

// exact reports whether a JSON number is within the limits.
func exact(number []byte) bool {
	mantissa, exponent := number, []byte(nil)
	if i := bytes.IndexAny(number, "eE"); i >= 0 {
		mantissa, exponent = number[:i], bytes.TrimLeft(number[i+1:], "+-0")
	}
	if len(exponent) > len("1000") {
		return false
	}
	if len(mantissa) > maxDigits && len(bytes.Trim(mantissa, "-"))-bytes.Count(mantissa, []byte(".")) > maxDigits {
		return false
	}
	n := 0
	for _, digit := range exponent {
		n = n*10 + int(digit-'0')
	}
	return n <= maxExponent
}

// syntax says what jsontext found, without its echo of long input.
func syntax(err error) *flaw {
	var s *jsontext.SyntacticError
	switch {
	case errors.Is(err, io.EOF):
		return &flaw{message: "is empty"}
	case errors.Is(err, io.ErrUnexpectedEOF):
		return &flaw{message: "is not valid JSON: it ends too early"}
	case !errors.As(err, &s):
		return &flaw{message: "is not valid JSON"}
	case errors.Is(err, jsontext.ErrDuplicateName):
		return &flaw{path: segment(s.JSONPointer.LastToken()), message: "appears twice"}
	}
	reason := strings.TrimPrefix(s.Err.Error(), "jsontext: ")
	return &flaw{message: fmt.Sprintf("is not valid JSON: %s at byte %d", clip(reason, maxEcho), s.ByteOffset)}
}
