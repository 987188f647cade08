package collection

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

var (
	collectionName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,62}$`)
	rateText       = regexp.MustCompile(`^([1-9][0-9]{0,8})/([smh])$`)
	daysText       = regexp.MustCompile(`^([0-9]{1,5})d$`)
)

// Names that mean something else in the HTTP contract.
var (
	reservedCollections = []string{"operations", "subscriptions", "deliveries", "auth", "keys", "users", "me", "changes", "tenants", "audit"}
	reservedFields      = []string{"id", "version", "created_at", "updated_at"}
	reservedParameters  = []string{"limit", "cursor", "order", "wait", "since"}
)

// Reserved reports whether name is one of the API's own, which no collection can
// have.
func Reserved(name string) bool { return slices.Contains(reservedCollections, name) }

// Parse reads the text of a waybill.yaml; name is what mistakes call the file.
// Its errors are Mistakes: everything that is wrong, each with its line.
func Parse(name string, text []byte) (*Set, error) {
	p := &parser{file: name, text: text}
	collections := p.root()
	if len(p.mistakes) > 0 {
		p.mistakes.sort()
		return nil, p.mistakes
	}
	return newSet(collections), nil
}

// parser reads one file and gathers what is wrong with it.
type parser struct {
	file     string
	text     []byte
	mistakes Mistakes
}

// mistake notes that what (a place in the file; "" for the file itself) is wrong.
func (p *parser) mistake(line int, what, format string, args ...any) {
	reason := fmt.Sprintf(format, args...)
	if what != "" {
		reason = what + ": " + reason
	}
	p.mistakes.add(p.file, line, reason)
}

// document returns the file's only YAML document, nil if there is no such thing.
func (p *parser) document() *yaml.Node {
	loader, err := yaml.NewLoader(bytes.NewReader(p.text))
	if err != nil {
		p.mistake(1, "", "%v", err)
		return nil
	}
	var first, second yaml.Node
	err = loader.Load(&first)
	if errors.Is(err, io.EOF) || err == nil && isNull(first.Content[0]) {
		p.mistake(1, "", "the file is empty: it must declare collections")
		return nil
	}
	if err == nil {
		if err = loader.Load(&second); errors.Is(err, io.EOF) {
			return first.Content[0]
		}
	}
	if err != nil {
		p.syntax(err)
		return nil
	}
	p.mistake(second.Line, "", "there is a second YAML document: one file is one document")
	return nil
}

// syntax notes why the file is not YAML.
func (p *parser) syntax(err error) {
	var e *yaml.LoadError
	if !errors.As(err, &e) {
		p.mistake(1, "", "not valid YAML: %v", err)
		return
	}
	line := e.Mark.Line
	if line == 0 { // the reader knows bytes, not lines
		line = 1 + bytes.Count(p.text[:min(e.Mark.Index, len(p.text))], []byte("\n"))
	}
	last := 1 + bytes.Count(bytes.TrimRight(p.text, "\n"), []byte("\n"))
	p.mistake(min(line, last), "", "not valid YAML: %s", e.Message)
}

func isNull(n *yaml.Node) bool {
	value, err := scalar(n)
	return n.Kind == yaml.ScalarNode && value == nil && err == nil
}

// entry is one key of a mapping and its value, aliases followed.
type entry struct {
	key   string
	line  int
	value *yaml.Node
}

// entries returns what the mapping n holds, in order; each key once.
func (p *parser) entries(n *yaml.Node, what string) []entry {
	var list []entry
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := dealias(n.Content[i])
		line := n.Content[i].Line
		switch {
		case key.Kind != yaml.ScalarNode:
			p.mistake(line, what, "a key must be a plain text")
		case key.Tag == "!!merge":
			p.mistake(line, what, "merge keys (<<) are not supported")
		case seen[key.Value]:
			p.mistake(line, what, "the key %q appears twice", clip(key.Value, maxEcho))
		default:
			list = append(list, entry{key.Value, line, dealias(n.Content[i+1])})
		}
		seen[key.Value] = true
	}
	return list
}

// section returns the entries of a mapping that may have certain keys only, by
// key. A mapping that is null has none.
func (p *parser) section(n *yaml.Node, line int, what string, keys ...string) map[string]entry {
	section := map[string]entry{}
	if isNull(n) {
		return section
	}
	if n.Kind != yaml.MappingNode || !untagged(n, "!!map") {
		p.mistake(line, what, "must be a mapping with %s", strings.Join(keys, ", "))
		return section
	}
	for _, e := range p.entries(n, what) {
		if !slices.Contains(keys, e.key) {
			p.mistake(e.line, what, "unknown key %q (there is %s)", clip(e.key, maxEcho), strings.Join(keys, ", "))
			continue
		}
		section[e.key] = e
	}
	return section
}

func (p *parser) root() []*Collection {
	n := p.document()
	if n == nil {
		return nil
	}
	before := len(p.mistakes)
	declared, ok := p.section(n, n.Line, "", "collections")["collections"]
	if len(p.mistakes) > before && !ok {
		return nil
	}
	if !ok || isNull(declared.value) || declared.value.Kind == yaml.MappingNode && len(declared.value.Content) == 0 {
		p.mistake(max(declared.line, n.Line), "collections", "declares none")
		return nil
	}
	if declared.value.Kind != yaml.MappingNode {
		p.mistake(declared.line, "collections", "must be a mapping from names to collections")
		return nil
	}
	var collections []*Collection
	for _, e := range p.entries(declared.value, "collections") {
		collections = append(collections, p.collection(e))
	}
	return collections
}

func (p *parser) collection(e entry) *Collection {
	what := "collections." + clip(e.key, maxEcho)
	switch {
	case !collectionName.MatchString(e.key):
		p.mistake(e.line, what, "a name must be 1 to 63 of a-z, 0-9, _ and -, beginning with a letter")
	case Reserved(e.key):
		p.mistake(e.line, what, "the name is reserved")
	}
	c := &Collection{Name: e.key}
	section := p.section(e.value, e.line, what, "schema", "access", "indexes", "retention", "rate_limit")
	c.Access = p.access(section["access"], what+".access")
	if r, ok := section["retention"]; ok {
		c.Retention = p.retention(r, what+".retention")
	}
	if r, ok := section["rate_limit"]; ok {
		c.RateLimit.Writes = p.rateLimit(r, what+".rate_limit")
	}
	schema, ok := section["schema"]
	if !ok {
		p.mistake(e.line, what, "schema is missing")
		return c
	}
	if c.rules = p.rules(schema, what+".schema"); c.rules != nil {
		c.Schema = c.rules.text
		c.Indexes = p.indexes(section["indexes"], what+".indexes", c.rules)
	}
	return c
}

func (p *parser) access(e entry, what string) Access {
	access := Access{Read: Member, Write: Member}
	if e.value == nil {
		return access
	}
	section := p.section(e.value, e.line, what, "read", "write")
	p.role(section["read"], what+".read", &access.Read)
	p.role(section["write"], what+".write", &access.Write)
	return access
}

func (p *parser) role(e entry, what string, role *Role) {
	if e.value == nil {
		return
	}
	value, ok := p.scalar(e, what)
	text, _ := value.(string)
	if *role = Role(text); ok && !slices.Contains([]Role{Public, Member, Owner, Admin}, *role) {
		p.mistake(e.line, what, "must be public, member, owner or admin")
	}
}

// scalar returns the value of an entry that may be neither a mapping nor a list.
func (p *parser) scalar(e entry, what string) (any, bool) {
	if e.value.Kind != yaml.ScalarNode {
		p.mistake(e.line, what, "must be a single value")
		return nil, false
	}
	value, err := scalar(e.value)
	if err != nil {
		p.mistake(e.line, what, "%v", err)
		return nil, false
	}
	return value, true
}

func (p *parser) retention(e entry, what string) time.Duration {
	value, ok := p.scalar(e, what)
	if !ok {
		return 0
	}
	text, _ := value.(string)
	if n, ok := value.(json.Number); ok {
		text = string(n)
	}
	if days := daysText.FindStringSubmatch(text); days != nil {
		n, _ := strconv.Atoi(days[1])
		return time.Duration(n) * 24 * time.Hour
	}
	d, err := time.ParseDuration(text) // which takes a bare 0
	if err != nil || d < 0 {
		p.mistake(e.line, what, "must be 0 (for ever), a number of days such as 30d, or a duration such as 12h")
	}
	return d
}

func (p *parser) rateLimit(e entry, what string) *Rate {
	writes, ok := p.section(e.value, e.line, what, "writes")["writes"]
	if !ok {
		return nil
	}
	value, ok := p.scalar(writes, what+".writes")
	text, _ := value.(string)
	rate, err := ParseRate(text)
	if err != nil {
		if ok {
			p.mistake(writes.line, what+".writes", "%s", err)
		}
		return nil
	}
	return &rate
}

// ParseRate reads a rate such as 100/s, 5/m or 10/h.
func ParseRate(text string) (Rate, error) {
	part := rateText.FindStringSubmatch(text)
	if part == nil {
		return Rate{}, errors.New("must be a number above 0 per second, minute or hour, such as 100/s, 5/m or 10/h")
	}
	n, err := strconv.Atoi(part[1])
	return Rate{N: n, Per: map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour}[part[2]]}, err
}

// indexes reads the list of fields to filter on quickly: fields that Filter takes.
func (p *parser) indexes(e entry, what string, r *rules) []string {
	if e.value == nil || isNull(e.value) {
		return nil
	}
	if e.value.Kind != yaml.SequenceNode {
		p.mistake(e.line, what, "must be a list of fields")
		return nil
	}
	var fields []string
	for _, item := range e.value.Content {
		value, ok := p.scalar(entry{line: item.Line, value: dealias(item)}, what)
		if !ok {
			continue
		}
		field, _ := value.(string)
		shown := clip(field, maxEcho)
		switch {
		case slices.Contains(fields, field):
			p.mistake(item.Line, what, "%q appears twice", shown)
		case r.fields[field] == nil:
			p.mistake(item.Line, what, "%q is not a top-level property of the schema", shown)
		case !r.fields[field].filterable():
			p.mistake(item.Line, what, "%q cannot be filtered on", shown)
		default:
			fields = append(fields, field)
		}
	}
	return fields
}
