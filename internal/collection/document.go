package collection

import (
	"encoding/json"
	"fmt"
	"math/big"
	"regexp"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"go.yaml.in/yaml/v4"
)

// Bounds of one schema, after its aliases are written out.
const (
	maxSchemaDepth = 64
	maxSchemaNodes = 20_000
	maxSchemaBytes = 1 << 20
)

// document is a JSON document made from YAML: its text, its value, and where
// each place in it came from. It is YAML 1.2: `no` and 2020-01-01 are strings,
// and a number keeps the digits it was written with.
type document struct {
	text   []byte
	value  any
	places map[string]place // by JSON pointer
}

type place struct {
	line       int      // in the file
	start, end int      // in text
	names      []string // of an object's members, in order
}

// line returns the line of the place that pointer names, or of the nearest
// place around it.
func (d *document) line(pointer string) int {
	for {
		if p, ok := d.places[pointer]; ok || pointer == "" {
			return p.line
		}
		pointer = pointer[:max(strings.LastIndexByte(pointer, '/'), 0)]
	}
}

// raw returns the text at pointer; it must exist.
func (d *document) raw(pointer string) []byte {
	p := d.places[pointer]
	return d.text[p.start:p.end]
}

// pointer joins path to a JSON pointer (RFC 6901).
func pointer(path ...string) string {
	var b strings.Builder
	for _, step := range path {
		b.WriteByte('/')
		b.WriteString(pointerEscape.Replace(step))
	}
	return b.String()
}

var (
	pointerEscape   = strings.NewReplacer("~", "~0", "/", "~1")
	pointerUnescape = strings.NewReplacer("~1", "/", "~0", "~")
)

// converter turns one YAML node into a document.
type converter struct {
	p     *parser
	what  string // what is converted, for mistakes
	doc   *document
	nodes int
	full  bool // a bound was passed, and said so
}

// convert returns the document that node stands for; nil if there were mistakes.
func (p *parser) convert(what string, line int, node *yaml.Node) *document {
	before := len(p.mistakes)
	c := &converter{p: p, what: what, doc: &document{places: map[string]place{}}}
	c.doc.value = c.value(node, "", line, 1)
	if len(p.mistakes) > before {
		return nil
	}
	return c.doc
}

func (c *converter) mistake(line int, format string, args ...any) {
	c.p.mistake(line, c.what, format, args...)
}

func (c *converter) value(n *yaml.Node, at string, line, depth int) any {
	n = dealias(n)
	c.nodes++
	if c.full {
		return nil
	}
	if c.nodes > maxSchemaNodes || depth > maxSchemaDepth || len(c.doc.text) > maxSchemaBytes {
		c.mistake(line, "has more than %d values, %d levels or %d bytes, aliases written out", maxSchemaNodes, maxSchemaDepth, maxSchemaBytes)
		c.full = true
		return nil
	}
	var value any
	var names []string
	start := len(c.doc.text)
	switch {
	case n.Kind == yaml.MappingNode && untagged(n, "!!map"):
		value, names = c.object(n, at, depth)
	case n.Kind == yaml.SequenceNode && untagged(n, "!!seq"):
		value = c.array(n, at, depth)
	case n.Kind == yaml.ScalarNode:
		value = c.scalar(n)
	default:
		c.mistake(n.Line, "the tag %s is not supported", clip(n.Tag, maxEcho))
	}
	c.doc.places[at] = place{line, start, len(c.doc.text), names}
	return value
}

func (c *converter) object(n *yaml.Node, at string, depth int) (map[string]any, []string) {
	object := make(map[string]any, len(n.Content)/2)
	var names []string
	c.write("{")
	for _, e := range c.p.entries(n, c.what) {
		if len(object) > 0 {
			c.write(",")
		}
		c.quote(e.key, e.line)
		c.write(":")
		object[e.key] = c.value(e.value, at+pointer(e.key), e.line, depth+1)
		names = append(names, e.key)
	}
	c.write("}")
	return object, names
}

func (c *converter) array(n *yaml.Node, at string, depth int) []any {
	array := make([]any, len(n.Content))
	c.write("[")
	for i, item := range n.Content {
		if i > 0 {
			c.write(",")
		}
		array[i] = c.value(item, at+pointer(strconv.Itoa(i)), item.Line, depth+1)
	}
	c.write("]")
	return array
}

func (c *converter) scalar(n *yaml.Node) any {
	value, err := scalar(n)
	if err != nil {
		c.mistake(n.Line, "%v", err)
		return nil
	}
	switch v := value.(type) {
	case string:
		c.quote(v, n.Line)
	case json.Number:
		if !exact([]byte(v)) {
			c.mistake(n.Line, "%s has more than %d digits or an exponent beyond ±%d", clip(string(v), maxEcho), maxDigits, maxExponent)
		}
		c.write(string(v))
	case bool:
		c.write(strconv.FormatBool(v))
	case nil:
		c.write("null")
	}
	return value
}

func (c *converter) write(s string) { c.doc.text = append(c.doc.text, s...) }

func (c *converter) quote(s string, line int) {
	text, err := jsontext.AppendQuote(c.doc.text, s)
	if err != nil || strings.ContainsRune(s, 0) {
		c.mistake(line, "has a text that JSON records cannot hold (invalid UTF-8 or \\u0000)")
		return
	}
	c.doc.text = text
}

// dealias follows an alias to what it stands for.
func dealias(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// untagged reports whether n has no tag of its own, or one that says what n is
// anyway.
func untagged(n *yaml.Node, tag string) bool {
	return n.Style&yaml.TaggedStyle == 0 || n.Tag == tag
}

var (
	yamlDecimal  = regexp.MustCompile(`^([-+]?)(\d*)(?:\.(\d*))?([eE][-+]?\d+)?$`)
	yamlRadix    = regexp.MustCompile(`^0(?:o[0-7]+|x[0-9a-fA-F]+)$`)
	yamlNoNumber = regexp.MustCompile(`^(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$`)
)

// scalar returns the value of a scalar in the core schema of YAML 1.2 (§10.3.2):
// nil, a bool, a json.Number in the writer's digits, or a string.
func scalar(n *yaml.Node) (any, error) {
	if n.Style&yaml.TaggedStyle != 0 && n.Tag != "!!str" {
		return nil, fmt.Errorf("the tag %s is not supported", clip(n.Tag, maxEcho))
	}
	if n.Style != 0 { // quoted, a block, or tagged as a string
		return n.Value, nil
	}
	switch n.Value {
	case "", "~", "null", "Null", "NULL":
		return nil, nil
	case "true", "True", "TRUE":
		return true, nil
	case "false", "False", "FALSE":
		return false, nil
	}
	if yamlRadix.MatchString(n.Value) && len(n.Value) < maxDigits {
		i, _ := new(big.Int).SetString(n.Value, 0)
		return json.Number(i.String()), nil
	}
	if yamlNoNumber.MatchString(n.Value) {
		return nil, fmt.Errorf("JSON has no number %s", n.Value)
	}
	part := yamlDecimal.FindStringSubmatch(n.Value)
	if part == nil || part[2]+part[3] == "" {
		return n.Value, nil
	}
	number := strings.TrimPrefix(part[1], "+")
	if whole := strings.TrimLeft(part[2], "0"); whole != "" {
		number += whole
	} else {
		number += "0"
	}
	if part[3] != "" {
		number += "." + part[3]
	}
	return json.Number(number + part[4]), nil
}
