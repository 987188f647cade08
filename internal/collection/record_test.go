package collection

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/waybill-dev/waybill/internal/fault"
)

// order is a schema with most of what schemas are made of.
const order = `
{type: object, required: [customer, items], additionalProperties: false,
 patternProperties: {"^x-": {type: string}},
 properties: {
   customer: {type: string, format: email},
   when: {type: string, format: date-time},
   state: {enum: [open, paid, "R&D", 7, null]},
   note: {type: [string, "null"], maxLength: 5, pattern: "^[a-zé😀]*$"},
   total: {type: number, minimum: 0, exclusiveMaximum: 1000.5, multipleOf: 0.01},
   count: {type: integer, maximum: 12345678901234567890},
   tags: {type: array, maxItems: 3, uniqueItems: true, items: {type: string}},
   items: {type: array, minItems: 1, items: {$ref: "#/$defs/item"}},
   ship: {type: object, properties: {a.b: {type: string}}, propertyNames: {maxLength: 4}, dependentRequired: {zip: [city]}},
   either: {anyOf: [{type: string, maxLength: 2}, {type: integer, minimum: 5}]},
   pay: {oneOf: [{type: object, required: [card]}, {type: object, required: [iban]}]},
   never: false,
   fixed: {const: {a: 1}}},
 $defs: {item: {type: object, required: [name], properties: {name: {type: string, minLength: 1}}, unevaluatedProperties: false}}}`

func flow(schema string) string { return strings.Join(strings.Fields(schema), " ") }

func TestRecord_Violations(t *testing.T) {
	t.Parallel()
	c := parse(t, flow(order))
	const rest = `,"customer":"a@b.de","items":[{"name":"x"}]}`
	cases := map[string]struct {
		body string
		want []string
	}{
		"fine":            {`{"note":null` + rest, nil},
		"missing":         {`{}`, []string{"body.customer: is required", "body.items: is required"}},
		"unknown fields":  {`{"z":1,"a b":2,"x-1":"ok"` + rest, []string{`body["a b"]: is not a known field`, "body.z: is not a known field"}},
		"reserved":        {`{"id":1,"version":2,"created_at":3,"updated_at":4` + rest, []string{"body.created_at: is set by the server", "body.id: is set by the server", "body.updated_at: is set by the server", "body.version: is set by the server"}},
		"reserved escape": {`{"\u0069d":1` + rest, []string{"body.id: is set by the server"}},
		"pattern name":    {`{"x-1":1` + rest, []string{`body["x-1"]: must be a string`}},
		"all at once":     {`{"id":1,"customer":1,"items":[],"what":{}}`, []string{"body.customer: must be a string", "body.id: is set by the server", "body.items: must have at least 1 item", "body.what: is not a known field"}},
		"nested":          {`{"customer":"a@b.de","items":[{"name":"x"},{},{"name":"","n":1},{"name":7}]}`, []string{"body.items[1].name: is required", "body.items[2].n: is not a known field", "body.items[2].name: must have at least 1 character", "body.items[3].name: must be a string"}},
		"ten items":       {`{"customer":"a@b.de","items":[` + strings.Repeat(`{"name":"x"},`, 2) + `1,` + strings.Repeat(`{"name":"x"},`, 7) + `1]}`, []string{"body.items[2]: must be an object", "body.items[10]: must be an object"}},
		"email":           {`{"customer":"ab.de","items":[{"name":"x"}]}`, []string{"body.customer: must be a valid email"}},
		"date-time":       {`{"when":"yesterday"` + rest, []string{"body.when: must be a valid date-time"}},
		"enum":            {`{"state":"closed"` + rest, []string{`body.state: must be one of "open", "paid", "R&D", 7, null`}},
		"enum by value":   {`{"state":7.0` + rest, nil},
		"types":           {`{"note":[]` + rest, []string{"body.note: must be a string or null"}},
		"code points":     {`{"note":"éé😀😀a"` + rest, nil},
		"too long":        {`{"note":"éé😀😀ab"` + rest, []string{"body.note: must have at most 5 characters"}},
		"two at a place":  {`{"note":"ABCDEF"` + rest, []string{"body.note: must have at most 5 characters", "body.note: must match the pattern ^[a-zé😀]*$"}},
		"bounds":          {`{"total":-0.005,"count":12345678901234567891` + rest, []string{"body.count: must be at most 12345678901234567890", "body.total: must be a multiple of 0.01", "body.total: must be at least 0"}},
		"1e400":           {`{"total":1e400,"count":1e400` + rest, []string{"body.count: must be at most 12345678901234567890", "body.total: must be less than 1000.5"}},
		"integer":         {`{"count":1.5` + rest, []string{"body.count: must be an integer"}},
		"whole number":    {`{"count":1.0e1` + rest, nil},
		"unique":          {`{"tags":["a","b","a"]` + rest, []string{"body.tags: has equal items at 0 and 2"}},
		"names":           {`{"ship":{"longer":1}` + rest, []string{"body.ship.longer: is not an allowed name"}},
		"quoted name":     {`{"ship":{"a.b":1}` + rest, []string{`body.ship["a.b"]: must be a string`}},
		"dependent":       {`{"ship":{"zip":1}` + rest, []string{"body.ship.city: is required when zip is present"}},
		"anyOf, one fits": {`{"either":3` + rest, []string{"body.either: must be at least 5"}},
		"anyOf, no type":  {`{"either":{}` + rest, []string{"body.either: must be an integer or a string"}},
		"oneOf, none":     {`{"pay":{}` + rest, []string{"body.pay: does not match any of the allowed forms"}},
		"oneOf, two":      {`{"pay":{"card":1,"iban":2}` + rest, []string{"body.pay: matches more than one of the allowed forms"}},
		"false":           {`{"never":1` + rest, []string{"body.never: is not allowed"}},
		"const":           {`{"fixed":{}` + rest, []string{`body.fixed: must be {"a":1}`}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := c.Record("body", []byte(tc.body))
			if tc.want == nil {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			if got, want := problem(t, err), "invalid_record\n"+strings.Join(tc.want, "\n"); got != want {
				t.Errorf("\n got %s\nwant %s", got, want)
			}
		})
	}
}

func TestRecord_LocationsBeginWhereTheyAreTold(t *testing.T) {
	t.Parallel()
	c := builtin(t, "messages")
	for body, want := range map[string]string{
		`{}`:                   "invalid_record\nline[17].content: is required",
		`[]`:                   "invalid_json\nline[17]: must be a JSON object",
		`{"content":"\u0000"}`: "invalid_json\nline[17].content: contains \\u0000",
	} {
		if _, err := c.Record("line[17]", []byte(body)); problem(t, err) != want {
			t.Errorf("%s: got %v", body, err)
		}
	}
}

func TestRecord_ErrorsAreBounded(t *testing.T) {
	t.Parallel()
	c := builtin(t, "messages")
	var b strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&b, `,"%s%d":1`, strings.Repeat("n", 1000), i)
	}
	_, err := c.Record("body", []byte(`{"content":"x"`+b.String()+"}"))
	f, ok := errors.AsType[*fault.Error](err)
	if !ok {
		t.Fatalf("got %v, want a fault", err)
	}
	if len(f.Items) != 100 {
		t.Errorf("%d items, want 100", len(f.Items))
	}
	for _, item := range f.Items {
		if len(item.Location) > 100 {
			t.Fatalf("location of %d bytes", len(item.Location))
		}
	}
	if !strings.HasSuffix(f.Detail, "(and 4999 more)") {
		t.Errorf("detail: %s", f.Detail)
	}
}

func TestRecord_SameErrorEveryTime(t *testing.T) {
	t.Parallel()
	c := parse(t, flow(order))
	body := []byte(`{"b":1,"a":1,"c":1,"note":"ABCDEF","either":{},"ship":{"longer":1,"zip":2}}`)
	_, err := c.Record("body", body)
	want := problem(t, err)
	for range 50 {
		if _, err := c.Record("body", body); problem(t, err) != want {
			t.Fatalf("got %s\nthen %s", want, problem(t, err))
		}
	}
}

func TestRecord_NamesDeepBelowAreLocated(t *testing.T) {
	t.Parallel()
	c := parse(t, `{type: object, properties: {list: {items: {propertyNames: {maxLength: 2}, properties: {a: {}}}}}}`)
	_, err := c.Record("body", []byte(`{"list":[{"a":1},{"long":1},{"a":1},{"a":1}],"z":{"y":1}}`))
	if got, want := problem(t, err), "invalid_record\nbody.list[1].long: is not an allowed name"; got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

func TestPatch_RefusesOnlyWhatIsHopeless(t *testing.T) {
	t.Parallel()
	c := parse(t, flow(order))
	cases := map[string]struct {
		body string
		want []string
	}{
		"empty":               {`{}`, nil},
		"null for required":   {`{"customer":null}`, nil},
		"null for unknown":    {`{"nothing":null}`, nil},
		"object":              {`{"ship":{"zip":1,"longer":2}}`, nil},
		"object for a text":   {`{"customer":{}}`, nil},
		"forms are for then":  {`{"pay":{}}`, nil},
		"defaults not added":  {`{ "count" : 5 }`, nil},
		"values":              {`{"customer":"x","count":"y","tags":["a","a"],"never":1}`, []string{"body.count: must be an integer", "body.customer: must be a valid email", "body.never: is not allowed", "body.tags: has equal items at 0 and 1"}},
		"items":               {`{"items":[{"name":""}]}`, []string{"body.items[0].name: must have at least 1 character"}},
		"unknown":             {`{"nothing":1,"more":{},"x-ok":"y"}`, []string{"body.more: is not a known field", "body.nothing: is not a known field"}},
		"reserved, even null": {`{"id":null,"version":{}}`, []string{"body.id: is set by the server", "body.version: is set by the server"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := c.Patch("body", []byte(tc.body))
			if tc.want == nil {
				if err != nil || string(got) != strings.ReplaceAll(tc.body, " ", "") {
					t.Errorf("got %s, %v", got, err)
				}
				return
			}
			if got, want := problem(t, err), "invalid_record\n"+strings.Join(tc.want, "\n"); got != want {
				t.Errorf("\n got %s\nwant %s", got, want)
			}
		})
	}
}

func TestPatch_KnowsThatDefaultsHelp(t *testing.T) {
	t.Parallel()
	c := parse(t, `{type: object, properties: {l: {type: array, items: {type: object, required: [n], properties: {n: {type: integer, default: 1}}}}}}`)
	got, err := c.Patch("body", []byte(`{"l":[{}]}`))
	if err != nil || string(got) != `{"l":[{}]}` {
		t.Fatalf("got %s, %v", got, err)
	}
	if got, err = c.Merge([]byte(`{}`), got); err != nil || string(got) != `{"l":[{"n":1}]}` {
		t.Errorf("merged %s, %v", got, err)
	}
}

func TestPatch_LeavesDynamicSchemasToMerge(t *testing.T) {
	t.Parallel()
	c := parse(t, `{$dynamicAnchor: n, type: object, properties: {l: {items: {$dynamicRef: "#n"}}}}`)
	if _, err := c.Patch("body", []byte(`{"l":[1]}`)); err != nil {
		t.Error(err)
	}
	if _, err := c.Merge([]byte(`{}`), []byte(`{"l":[1]}`)); fault.KindOf(err) != fault.InvalidRecord {
		t.Errorf("Merge: %v", err)
	}
}

func TestPatch_SeesThroughRefAndAllOf(t *testing.T) {
	t.Parallel()
	c := parse(t, `{$ref: "#/$defs/o", allOf: [{properties: {b: {type: string}}}], $defs: {o: {type: object, additionalProperties: false, properties: {a: {type: integer}, b: true}}}}`)
	_, err := c.Patch("body", []byte(`{"a":"x","b":1,"c":2}`))
	want := "invalid_record\nbody.a: must be an integer\nbody.b: must be a string\nbody.c: is not a known field"
	if got := problem(t, err); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

func TestMerge(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ stored, patch, want string }{
		"nothing":         {`{"b":1.0,"a":"\u00e9"}`, `{}`, `{"b":1.0,"a":"\u00e9"}`},
		"replace":         {`{"b":1.0,"a":2e0}`, `{"b":1.00}`, `{"b":1.00,"a":2e0}`},
		"add at the end":  {`{"b":1}`, `{"d":1,"a":2}`, `{"b":1,"d":1,"a":2}`},
		"remove":          {`{"a":1,"b":2,"c":3}`, `{"b":null,"x":null}`, `{"a":1,"c":3}`},
		"remove all":      {`{"a":1}`, `{"a":null}`, `{}`},
		"deep":            {`{"a":{"b":{"c":1.0,"d":2}},"e":0}`, `{"a":{"b":{"d":null,"x":[1]}}}`, `{"a":{"b":{"c":1.0,"x":[1]}},"e":0}`},
		"over a value":    {`{"a":1}`, `{"a":{"b":{"c":null,"d":1}}}`, `{"a":{"b":{"d":1}}}`},
		"value over":      {`{"a":{"b":1}}`, `{"a":[null,{"c":null}]}`, `{"a":[null,{"c":null}]}`},
		"array over":      {`{"a":[1,2,3]}`, `{"a":[4]}`, `{"a":[4]}`},
		"names escaped":   {`{"\u0061":1,"b":2}`, `{"a":3,"\u0062":null}`, `{"\u0061":3}`},
		"nulls that stay": {`{"a":[null]}`, `{"b":1}`, `{"a":[null],"b":1}`},
		"stored null":     {`{"a":null}`, `{"a":{"b":1}}`, `{"a":{"b":1}}`},
		"new object":      {`{}`, `{"a":{"b":null}}`, `{"a":{}}`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := anything(t).Merge([]byte(c.stored), []byte(c.patch))
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != c.want {
				t.Errorf("\n got %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestMerge_HoldsToTheSchema(t *testing.T) {
	t.Parallel()
	todos := builtin(t, "todos")
	cases := map[string]struct{ stored, patch, want string }{
		"required removed": {`{"text":"a","completed":true}`, `{"text":null}`, "invalid_record\nbody.text: is required"},
		"broken":           {`{"text":"a"}`, `{"text":{"a":1}}`, "invalid_record\nbody.text: must be a string"},
		"stored broken":    {`{"text":`, `{}`, "invalid_record"},
		"schema changed":   {`{"text":"a","gone":1}`, `{"completed":true}`, "invalid_record\nbody.gone: is not a known field"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := todos.Merge([]byte(c.stored), []byte(c.patch)); problem(t, err) != c.want {
				t.Errorf("got %v", err)
			}
		})
	}
	got, err := todos.Merge([]byte(`{"completed":true,"text":"a"}`), []byte(`{"completed":null}`))
	if want := `{"text":"a","completed":false}`; err != nil || string(got) != want {
		t.Errorf("default after removal: got %s, %v, want %s", got, err, want)
	}
}
