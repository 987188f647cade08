// Package collection knows what a collection is: its JSON Schema, its access
// rules, its limits, and whether a body may become a record in it. It reads
// waybill.yaml, holds bodies to strict JSON, fills in the schema's defaults,
// validates, and applies merge patches. Reading that one file is its only I/O:
// no network, no clock, nothing of HTTP, Redis or SQL may enter here.
package collection

import (
	_ "embed"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/waybill-dev/waybill/internal/principal"
)

//go:embed default.yaml
var builtIn []byte

// Role is the least that somebody must be to read or write a collection.
type Role string

// The roles of `access`, from the widest to the narrowest.
const (
	Public Role = "public" // anyone, without credentials
	Member Role = "member" // any principal of the tenant
	Owner  Role = "owner"  // the principal that created the record
	Admin  Role = "admin"
)

// Access says who may read and who may write. What a file leaves out is Member.
type Access struct{ Read, Write Role }

// MayRead says whether somebody of a role may read what owner created. id is
// theirs, "" for anonymous, who owns nothing.
func (a Access) MayRead(role principal.Role, id, owner string) bool {
	return role.AtLeast(a.Read.Least()) && (a.Read != Owner || role.AtLeast(principal.Admin) || id != "" && id == owner)
}

// Least returns the role that somebody must have at least, whoever owns what.
func (r Role) Least() principal.Role {
	switch r {
	case Public:
		return principal.Nobody
	case Admin:
		return principal.Admin
	}
	return principal.Member
}

// Rate is a limit of N in every Per (a second, a minute or an hour).
type Rate struct {
	N   int
	Per time.Duration
}

// String returns the rate as ParseRate reads it; "" for the zero Rate.
func (r Rate) String() string {
	if r.N == 0 {
		return ""
	}
	return fmt.Sprintf("%d/%s", r.N, map[time.Duration]string{time.Second: "s", time.Minute: "m", time.Hour: "h"}[r.Per])
}

// UnmarshalText reads what ParseRate does.
func (r *Rate) UnmarshalText(text []byte) (err error) {
	*r, err = ParseRate(string(text))
	return err
}

// RateLimit holds the limits of a collection; nil is none.
type RateLimit struct {
	Writes *Rate // per principal, else per client address
}

// Collection is one named kind of record. It never changes after Parse and may
// be used by any number of goroutines.
type Collection struct {
	Name      string
	Schema    []byte // JSON Schema 2020-12 as declared: compact, keys in the file's order; `secret` is x-waybill-secret
	Access    Access
	Indexes   []string      // top-level fields to filter on quickly
	Retention time.Duration // how long records are kept; 0: for ever
	RateLimit RateLimit

	rules *rules
}

// Set is all collections of one configuration. It never changes.
type Set struct {
	byName  map[string]*Collection
	sorted  []*Collection
	builtIn bool
}

func newSet(collections []*Collection) *Set {
	s := &Set{byName: make(map[string]*Collection, len(collections)), sorted: collections}
	slices.SortFunc(s.sorted, func(a, b *Collection) int { return strings.Compare(a.Name, b.Name) })
	for _, c := range s.sorted {
		s.byName[c.Name] = c
	}
	return s
}

// Get returns the collection of that name.
func (s *Set) Get(name string) (*Collection, bool) {
	c, ok := s.byName[name]
	return c, ok
}

// Access returns who may read and write the collection of that name.
func (s *Set) Access(name string) (Access, bool) {
	c, ok := s.byName[name]
	if !ok {
		return Access{}, false
	}
	return c.Access, true
}

// All returns every collection, sorted by name.
func (s *Set) All() []*Collection { return slices.Clone(s.sorted) }

// BuiltIn reports whether this is the configuration of Default, which is public
// to read and write.
func (s *Set) BuiltIn() bool { return s.builtIn }

// Default returns the built-in collections, messages and todos.
func Default() *Set { return defaultSet() }

var defaultSet = sync.OnceValue(func() *Set {
	s, err := Parse("default.yaml", builtIn)
	if err != nil {
		panic(err) // part of the program: a test parses it
	}
	s.builtIn = true
	return s
})

// Load reads the waybill.yaml at path. Its errors are those of os.ReadFile,
// wrapped, and those of Parse.
func Load(path string) (*Set, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return Parse(path, text)
}
