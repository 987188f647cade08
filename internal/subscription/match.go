package subscription

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/waybill-dev/waybill/internal/record"
)

// all is the pattern of every event, but for those of failed writes.
const all = "*"

// CheckPattern says why pattern is not one of
//
//   - every event but <collection>.failed
//     messages.*        messages.created, .updated and .deleted
//     messages.created  (or updated, deleted, failed) that alone
//     subscription.*    subscription.disabled, which may be named, too
//
// known says whether there is a collection of that name.
func CheckPattern(pattern string, known func(collection string) bool) error {
	if pattern == all || pattern == TypeDisabled || pattern == "subscription.*" {
		return nil
	}
	i := strings.LastIndexByte(pattern, '.')
	if i < 0 {
		return errors.New("is not an event pattern: use *, <collection>.* or <collection>.created, .updated, .deleted or .failed")
	}
	name, last := pattern[:i], pattern[i+1:]
	if !slices.Contains([]string{all, Created, Updated, Deleted, Failed}, last) {
		return errors.New("is not an event pattern: after the dot comes *, created, updated, deleted or failed")
	}
	if !known(name) {
		return fmt.Errorf("names the collection %q, which does not exist", name)
	}
	return nil
}

// Collections returns those of names that patterns have events of.
func Collections(patterns, names []string) []string {
	var found []string
	for _, name := range names {
		if slices.ContainsFunc(patterns, func(p string) bool { return p == all || strings.HasPrefix(p, name+".") }) {
			found = append(found, name)
		}
	}
	return found
}

// wants says whether one of patterns has events of a type. None has tests: they
// are for one subscription alone, also in a replay.
func wants(patterns []string, eventType string) bool {
	if eventType == TypeTest {
		return false
	}
	i := strings.LastIndexByte(eventType, '.')
	for _, p := range patterns {
		if p == eventType || eventType[i+1:] != Failed && (p == all || p == eventType[:i+1]+all) {
			return true
		}
	}
	return false
}

// Index finds the subscriptions that want an event, and may be told of it. It
// never changes.
type Index struct {
	byTenant map[string][]*matcher
	rules    Rules
}

type matcher struct {
	*Subscription
	filter map[string]string // canonical values by field
}

// NewIndex returns an Index of subscriptions, disabled ones too, under rules (nil:
// everybody may read everything).
func NewIndex(subscriptions []Subscription, rules Rules) *Index {
	x := &Index{byTenant: map[string][]*matcher{}, rules: rules}
	for i := range subscriptions {
		m := newMatcher(&subscriptions[i])
		x.byTenant[m.Tenant] = append(x.byTenant[m.Tenant], m)
	}
	return x
}

func newMatcher(s *Subscription) *matcher {
	m := &matcher{Subscription: s}
	if len(s.Filter) > 0 {
		m.filter = canonicalFields(s.Filter)
	}
	return m
}

// Empty says whether nobody can want an event of the tenant.
func (x *Index) Empty(tenant string) bool { return len(x.byTenant[tenant]) == 0 }

// Match returns the subscriptions that want an event of that type about what
// owner has; their filter is applied to data: a JSON object.
func (x *Index) Match(tenant, eventType, owner string, data []byte) []*Subscription {
	var found []*Subscription
	var fields map[string]string
	for _, m := range x.byTenant[tenant] {
		if !wants(m.Events, eventType) || !m.Reach.covers(eventType, owner, x.rules) {
			continue
		}
		if m.filter != nil {
			if fields == nil {
				fields = canonicalFields(data)
			}
			if !m.passes(fields) {
				continue
			}
		}
		found = append(found, m.Subscription)
	}
	return found
}

// MatchOutcome returns the subscriptions that want an outcome's event. Of a write
// that failed, the filter sees what it asked for.
func (x *Index) MatchOutcome(o *record.Outcome) []*Subscription {
	if x.Empty(o.Operation.Tenant) {
		return nil
	}
	data := o.Operation.Body
	if o.Record != nil {
		data = o.Record.Data
	}
	return x.Match(o.Operation.Tenant, TypeOf(o), ownerOf(o), data)
}

// Wants says whether the subscription wants an event that was announced before,
// and may be told of it by rules (nil: everybody may read everything).
func (s *Subscription) Wants(e *Event, rules Rules) bool {
	if !wants(s.Events, e.Type) || !s.Reach.covers(e.Type, e.Owner, rules) {
		return false
	}
	m := newMatcher(s)
	if m.filter == nil {
		return true
	}
	var body struct {
		Data json.RawMessage `json:"data"`
	}
	return json.Unmarshal(e.Body, &body) == nil && m.passes(canonicalFields(body.Data))
}

func (m *matcher) passes(fields map[string]string) bool {
	for name, want := range m.filter {
		if got, ok := fields[name]; !ok || got != want {
			return false
		}
	}
	return true
}

// canonicalFields returns the scalars among an object's members, such that equal
// values are equal texts: strings decoded after a quote, numbers by their value.
func canonicalFields(object []byte) map[string]string {
	var members map[string]json.RawMessage
	if json.Unmarshal(object, &members) != nil {
		return map[string]string{}
	}
	fields := make(map[string]string, len(members))
	for name, value := range members {
		switch value = bytes.TrimSpace(value); value[0] {
		case '{', '[':
		case '"':
			var text string
			if json.Unmarshal(value, &text) == nil {
				fields[name] = `"` + text
			}
		case 't', 'f', 'n':
			fields[name] = string(value)
		default:
			fields[name] = canonicalNumber(string(value))
		}
	}
	return fields
}

// canonicalNumber returns a JSON number as its digits without outer zeros and
// the power of ten of the last: 100, 1e2 and 100.0 are all 1e2.
func canonicalNumber(text string) string {
	mantissa, exponent, _ := strings.Cut(strings.ToLower(text), "e")
	power := new(big.Int)
	if exponent != "" {
		power.SetString(strings.TrimPrefix(exponent, "+"), 10)
	}
	sign := ""
	if rest, negative := strings.CutPrefix(mantissa, "-"); negative {
		sign, mantissa = "-", rest
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	power.Sub(power, big.NewInt(int64(len(fraction))))
	digits := strings.TrimLeft(whole+fraction, "0")
	if digits == "" {
		return "0"
	}
	short := strings.TrimRight(digits, "0")
	power.Add(power, big.NewInt(int64(len(digits)-len(short))))
	return sign + short + "e" + power.String()
}
