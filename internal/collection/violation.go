package collection

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"github.com/waybill-dev/waybill/internal/fault"
)

// maxItems is how many violations one answer lists.
const maxItems = 100

// violation is one way in which a value breaks a schema: the path to the place,
// and what is wrong there.
type violation struct {
	path    []string
	message string
}

// violations returns everything that validating a value found, each path
// beginning with prefix. err is what jsonschema's Validate returned.
func violations(err error, prefix ...string) []violation {
	var e *jsonschema.ValidationError
	if !errors.As(err, &e) {
		return nil
	}
	found := leaves(e)
	if len(prefix) > 0 {
		for i := range found {
			found[i].path = slices.Concat(prefix, found[i].path)
		}
	}
	return found
}

// leaves turns the validator's tree of errors into the flat list that people
// can act on.
func leaves(e *jsonschema.ValidationError) []violation {
	at := func(message string, more ...string) violation {
		return violation{slices.Concat(e.InstanceLocation, more), message}
	}
	each := func(names []string, message string) []violation {
		list := make([]violation, len(names))
		for i, name := range names {
			list[i] = at(message, name)
		}
		return list
	}
	switch k := e.ErrorKind.(type) {
	case *kind.Schema, *kind.Group, *kind.Reference, *kind.AllOf:
		var list []violation
		for _, cause := range e.Causes {
			list = append(list, leaves(cause)...)
		}
		return list
	case *kind.AnyOf:
		return alternatives(e)
	case *kind.OneOf:
		if len(k.Subschemas) == 0 {
			return alternatives(e)
		}
		return []violation{at("matches more than one of the allowed forms")}
	case *kind.Required:
		return each(k.Missing, "is required")
	case *kind.AdditionalProperties:
		return each(k.Properties, unknownField)
	case *kind.DependentRequired:
		return each(k.Missing, "is required when "+clip(k.Prop, maxEcho)+" is present")
	case *kind.Dependency:
		return each(k.Missing, "is required when "+clip(k.Prop, maxEcho)+" is present")
	case *kind.PropertyNames:
		return []violation{at(forbiddenName, k.Property)}
	case *kind.FalseSchema:
		if strings.HasSuffix(e.SchemaURL, "/unevaluatedProperties") {
			return []violation{at(unknownField)}
		}
	}
	return []violation{at(message(e.ErrorKind))}
}

const (
	unknownField  = "is not a known field"
	forbiddenName = "is not an allowed name"
)

// alternatives explains an anyOf or oneOf of which no branch matched: by the one
// branch that has the right type, if there is just one; by the types, if all
// have the wrong one.
func alternatives(e *jsonschema.ValidationError) []violation {
	var wanted []string
	var best []violation
	right := 0
	for _, branch := range e.Causes {
		if t, ok := branch.ErrorKind.(*kind.Type); ok && slices.Equal(branch.InstanceLocation, e.InstanceLocation) {
			wanted = append(wanted, t.Want...)
			continue
		}
		right, best = right+1, leaves(branch)
	}
	switch right {
	case 0:
		slices.Sort(wanted)
		return []violation{{e.InstanceLocation, mustBe(slices.Compact(wanted))}}
	case 1:
		return best
	}
	return []violation{{e.InstanceLocation, "does not match any of the allowed forms"}}
}

// message says what a single broken keyword asks for. It repeats the schema,
// never the value.
func message(k jsonschema.ErrorKind) string {
	switch k := k.(type) {
	case *kind.Type:
		return mustBe(k.Want)
	case *kind.Enum:
		return "must be one of " + values(k.Want)
	case *kind.Const:
		return "must be " + values([]any{k.Want})
	case *kind.Format:
		return "must be a valid " + clip(k.Want, maxEcho)
	case *kind.Pattern:
		return "must match the pattern " + clip(k.Want, maxEcho)
	case *kind.MinLength:
		return "must have at least " + count(k.Want, "character")
	case *kind.MaxLength:
		return "must have at most " + count(k.Want, "character")
	case *kind.MinItems:
		return "must have at least " + count(k.Want, "item")
	case *kind.MaxItems:
		return "must have at most " + count(k.Want, "item")
	case *kind.MinProperties:
		return "must have at least " + count(k.Want, "field")
	case *kind.MaxProperties:
		return "must have at most " + count(k.Want, "field")
	case *kind.UniqueItems:
		return fmt.Sprintf("has equal items at %d and %d", k.Duplicates[0], k.Duplicates[1])
	case *kind.Contains:
		return "must contain at least one matching item"
	case *kind.MinContains:
		return "must contain at least " + count(k.Want, "matching item")
	case *kind.MaxContains:
		return "must contain at most " + count(k.Want, "matching item")
	case *kind.Minimum:
		return "must be at least " + decimal(k.Want)
	case *kind.Maximum:
		return "must be at most " + decimal(k.Want)
	case *kind.ExclusiveMinimum:
		return "must be more than " + decimal(k.Want)
	case *kind.ExclusiveMaximum:
		return "must be less than " + decimal(k.Want)
	case *kind.MultipleOf:
		return "must be a multiple of " + decimal(k.Want)
	case *kind.FalseSchema, *kind.Not:
		return "is not allowed"
	}
	return "is not valid"
}

// mustBe names the types that a schema wants: "must be a string or null".
func mustBe(types []string) string {
	var named []string
	for _, t := range types {
		switch t {
		case "null":
		case "array", "integer", "object":
			named = append(named, "an "+t)
		default:
			named = append(named, "a "+t)
		}
	}
	if slices.Contains(types, "null") {
		named = append(named, "null")
	}
	return "must be " + strings.Join(named, " or ")
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

// values lists what a schema allows, as JSON, shortened.
func values(list []any) string {
	texts := make([]string, len(list))
	for i, v := range list {
		var text strings.Builder
		e := json.NewEncoder(&text)
		e.SetEscapeHTML(false) // people read this
		if err := e.Encode(v); err != nil {
			return "the values that the schema lists"
		}
		texts[i] = clip(strings.TrimSpace(text.String()), maxEcho)
	}
	return clip(strings.Join(texts, ", "), 4*maxEcho)
}

// decimal writes a bound of a schema as people write numbers.
func decimal(r *big.Rat) string {
	digits, exact := r.FloatPrec()
	if !exact {
		return clip(r.RatString(), maxEcho)
	}
	return clip(r.FloatString(digits), maxEcho)
}

// invalid is the fault of a value that broke its schema: violations in the order
// of their places, each once, and no more than maxItems.
func invalid(at string, value any, found []violation) *fault.Error {
	for i, v := range found {
		if v.message == forbiddenName {
			found[i].path = relocate(value, v.path)
		}
	}
	slices.SortStableFunc(found, func(a, b violation) int {
		if c := slices.CompareFunc(a.path, b.path, compareSteps); c != 0 {
			return c
		}
		return strings.Compare(a.message, b.message)
	})
	found = slices.CompactFunc(found, func(a, b violation) bool {
		return a.message == b.message && slices.Equal(a.path, b.path)
	})
	e := &fault.Error{Kind: fault.InvalidRecord}
	for _, v := range found[:min(len(found), maxItems)] {
		e.Items = append(e.Items, fault.Item{Location: locate(at, value, v.path), Message: v.message})
	}
	e.Detail = e.Items[0].Location + ": " + e.Items[0].Message
	if more := len(found) - 1; more > 0 {
		e.Detail += fmt.Sprintf(" (and %d more)", more)
	}
	return e
}

// compareSteps orders indexes by their number, before names by their text.
func compareSteps(a, b string) int {
	i, errA := strconv.Atoi(a)
	j, errB := strconv.Atoi(b)
	switch {
	case errA == nil && errB == nil && i != j:
		return i - j
	case errA == nil && errB != nil:
		return -1
	case errA != nil && errB == nil:
		return 1
	}
	return strings.Compare(a, b)
}
