package httpapi

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/waybill-dev/waybill/internal/collection"
	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/principal"
	"github.com/waybill-dev/waybill/internal/subscription"
)

//go:embed subscription.yaml
var bodySchemas []byte

// bodyOf returns a schema of subscription.yaml or identity.yaml, with all that a collection does
// for bodies.
func bodyOf(name string) *collection.Collection {
	for _, set := range parsedBodies() {
		if c, ok := set.Get(name); ok {
			return c
		}
	}
	panic("no schema of the API's is called " + name) // part of the program: every test parses them
}

var parsedBodies = sync.OnceValue(func() (sets []*collection.Set) {
	for name, text := range map[string][]byte{"subscription.yaml": bodySchemas, "identity.yaml": identitySchemas} {
		s, err := collection.Parse(name, text)
		if err != nil {
			panic(err)
		}
		sets = append(sets, s)
	}
	return sets
})

// writable is what clients write of a subscription.
type writable struct {
	Name        string          `json:"name"`
	Events      []string        `json:"events"`
	Filter      json.RawMessage `json:"filter"`
	Channel     json.RawMessage `json:"channel"`
	RateLimit   *string         `json:"rate_limit"`
	MaxInFlight float64         `json:"max_in_flight"` // an integer, which JSON may write as 1e1
}

// fill checks the whole body of a new subscription and fills s with it.
func (a *API) fill(ctx context.Context, who *principal.Principal, s *subscription.Subscription, body []byte) error {
	var m mistakes
	text, err := bodyOf("subscription").Record("body", body)
	if err != nil {
		if err := m.take(err); err != nil {
			return err
		}
		text = body // strict JSON; its good parts are looked at all the same
	}
	if err := a.mayHear(who, text); err != nil {
		return err
	}
	return a.take(ctx, s, nil, text, &m, true)
}

// change applies a merge patch that bodyOf("subscription").Patch let through.
// What it leaves alone is held to today's rules too, but for the channel: its
// secrets are not here to be checked again.
func (a *API) change(ctx context.Context, who *principal.Principal, s *subscription.Subscription, patch []byte) error {
	shown, err := a.o.Channels.Show(s)
	if err != nil {
		return err
	}
	var changed struct {
		Channel *struct{ Type subscription.Channel }
	}
	_ = json.Unmarshal(patch, &changed) // another shape is for the schema to refuse
	old := *s
	standing := &old
	if c := changed.Channel; c != nil && c.Type != "" && c.Type != s.Channel {
		shown, standing = nil, nil // another channel begins anew: nothing of the old one's means anything there
	}
	current, err := json.Marshal(writable{
		Name: s.Name, Events: s.Events, Filter: s.Filter, Channel: shown, RateLimit: rateText(s.Rate), MaxInFlight: float64(s.MaxInFlight),
	})
	if err != nil {
		return fmt.Errorf("encode the subscription: %w", err)
	}
	merged, err := bodyOf("subscription").Merge(current, patch)
	if err != nil {
		return err
	}
	if err := a.mayHear(who, merged); err != nil {
		return err
	}
	return a.take(ctx, s, standing, merged, &mistakes{}, changed.Channel != nil)
}

// take checks what no schema can say of text, a subscription as clients write
// it, and sets s to it if nothing was wrong. m has what was found before.
func (a *API) take(ctx context.Context, s, standing *subscription.Subscription, text []byte, m *mistakes, channel bool) error {
	var parts map[string]json.RawMessage
	if err := json.Unmarshal(text, &parts); err != nil {
		return fmt.Errorf("read a body that was checked: %w", err)
	}
	var events []string
	if m.clean("body.events") && json.Unmarshal(parts["events"], &events) == nil {
		a.checkEvents(events, m)
	}
	if m.clean("body.events") && m.clean("body.filter") {
		a.checkFilter(events, parts["filter"], m)
	}
	var rate collection.Rate
	if m.clean("body.rate_limit") {
		rate = checkRate(parts["rate_limit"], m)
	}
	kind, target := s.Channel, s.Target
	if channel && m.clean("body.channel") {
		var err error
		if kind, target, err = a.o.Channels.Check(ctx, s.Key, parts["channel"], standing); err != nil {
			if err := m.take(err); err != nil {
				return err
			}
		}
	}
	if err := m.fault(); err != nil {
		return err
	}
	var w writable
	if err := json.Unmarshal(text, &w); err != nil {
		return fmt.Errorf("read a body that was checked: %w", err)
	}
	s.Name, s.Events, s.Filter, s.Rate, s.MaxInFlight = w.Name, w.Events, w.Filter, rate, int(w.MaxInFlight)
	if string(w.Filter) == "null" {
		s.Filter = nil
	}
	s.Channel, s.Target = kind, target
	return nil
}

// mayHear refuses patterns that name a collection which who may not read: nothing
// of it would ever come. * is what they may read.
func (a *API) mayHear(who *principal.Principal, text []byte) error {
	var body struct{ Events []string }
	_ = json.Unmarshal(text, &body) // another shape is for the schema to refuse
	for i, pattern := range body.Events {
		name, _, _ := strings.Cut(pattern, ".")
		c, known := a.o.Collections.Get(name)
		if known && !mayRead(who, c) {
			return fault.At(fault.Forbidden, fmt.Sprintf("body.events[%d]", i), "you may not read the collection %s", name)
		}
	}
	return nil
}

// mayRead says whether who may read a collection at all.
func mayRead(who *principal.Principal, c *collection.Collection) bool {
	role := who.Role
	if !who.Has(principal.RecordsRead) {
		role = principal.Nobody
	}
	return who.Reaches(c.Name) && role.AtLeast(c.Access.Read.Least())
}

func (a *API) checkEvents(events []string, m *mistakes) {
	known := func(name string) bool { _, ok := a.o.Collections.Get(name); return ok }
	for i, pattern := range events {
		if err := subscription.CheckPattern(pattern, known); err != nil {
			m.add(fmt.Sprintf("body.events[%d]", i), "%s", clipped(err))
		}
	}
}

// checkFilter holds each field of a filter against the schemas of the
// collections that events has events of. One of them must have it: the others'
// events never pass.
func (a *API) checkFilter(events []string, filter json.RawMessage, m *mistakes) {
	var fields map[string]json.RawMessage
	if len(filter) == 0 || json.Unmarshal(filter, &fields) != nil || fields == nil {
		return
	}
	var names []string
	for _, c := range a.o.Collections.All() {
		names = append(names, c.Name)
	}
	names = subscription.Collections(events, names)
	if len(names) == 0 {
		m.add("body.filter", "must be null: none of the events is a collection's")
		return
	}
	for _, field := range slices.Sorted(maps.Keys(fields)) {
		if reason := a.filterFlaw(names, field, fields[field]); reason != "" {
			m.add(collection.Locate("body.filter", field), "%s", reason)
		}
	}
}

// filterFlaw says why no record of the collections can have that value; "" if
// one can.
func (a *API) filterFlaw(names []string, field string, value json.RawMessage) string {
	reason := "is not a field of " + clip(strings.Join(names, ", "))
	for _, name := range names {
		c, _ := a.o.Collections.Get(name)
		err := c.FieldTakes(field, value)
		if err == nil {
			return ""
		}
		if c.HasField(field) {
			reason = err.Error()
		}
	}
	return reason
}

func checkRate(value json.RawMessage, m *mistakes) collection.Rate {
	var text *string
	if json.Unmarshal(value, &text) != nil || text == nil {
		return collection.Rate{}
	}
	rate, err := collection.ParseRate(*text)
	if err != nil {
		m.add("body.rate_limit", "%s", err)
	}
	return rate
}

// clipped is an error's text without a long echo of input.
func clipped(err error) string {
	const most = 200
	if text := err.Error(); len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(err.Error()[:most], "") + "…"
}
