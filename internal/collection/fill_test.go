package collection

import (
	"strings"
	"testing"

	"github.com/waybill-dev/waybill/internal/fault"
)

func TestRecord_Defaults(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ schema, body, want string }{
		"the guide's":          {`{type: object, properties: {text: {}, completed: {type: boolean, default: false}}}`, `{"text":"a"}`, `{"text":"a","completed":false}`},
		"given":                {`{type: object, properties: {a: {default: 1}}}`, `{"a":null}`, `{"a":null}`},
		"given, escaped":       {`{type: object, properties: {a: {default: 1}}}`, `{"\u0061":2}`, `{"\u0061":2}`},
		"schema order":         {`{type: object, properties: {z: {default: 1}, m: {}, a: {default: "x"}, b: {default: null}}}`, `{"m":0}`, `{"m":0,"z":1,"a":"x","b":null}`},
		"empty record":         {`{type: object, properties: {z: {default: 1.10}, a: {default: [1, {b: "é\""}]}}}`, `{}`, `{"z":1.10,"a":[1,{"b":"é\""}]}`},
		"name needs escape":    {`{type: object, properties: {"a\"b": {default: 1}}}`, `{}`, `{"a\"b":1}`},
		"fills required":       {`{type: object, required: [a], properties: {a: {default: 1}}}`, `{}`, `{"a":1}`},
		"nested, present":      {`{type: object, properties: {o: {properties: {a: {default: 1}}}}}`, `{"o":{"x":2}}`, `{"o":{"x":2,"a":1}}`},
		"nested, absent":       {`{type: object, properties: {o: {properties: {a: {default: 1}}}}}`, `{}`, `{}`},
		"nested, no object":    {`{type: object, properties: {o: {properties: {a: {default: 1}}}}}`, `{"o":[]}`, `{"o":[]}`},
		"$ref":                 {`{$ref: "#/$defs/o", $defs: {o: {type: object, properties: {a: {$ref: "#/$defs/f"}}}, f: {default: 1}}}`, `{}`, `{"a":1}`},
		"$ref beside":          {`{type: object, properties: {a: {$ref: "#/$defs/f", default: 2}}, $defs: {f: {default: 1}}}`, `{}`, `{"a":2}`},
		"allOf":                {`{type: object, properties: {a: {default: 1}}, allOf: [{properties: {b: {default: 2}, a: {default: 3}}}, {allOf: [{properties: {c: {default: 4}}}]}]}`, `{}`, `{"a":1,"b":2,"c":4}`},
		"allOf, below":         {`{type: object, properties: {o: {properties: {a: {default: 1}}}}, allOf: [{properties: {o: {properties: {b: {default: 2}}}}}]}`, `{"o":{}}`, `{"o":{"a":1,"b":2}}`},
		"not anyOf, if":        {`{type: object, anyOf: [{properties: {a: {default: 1}}}], oneOf: [{properties: {b: {default: 1}}}], if: {properties: {c: {default: 1}}}, then: {properties: {d: {default: 1}}}, not: {required: [x]}}`, `{}`, `{}`},
		"items":                {`{type: object, properties: {l: {items: {properties: {a: {default: 1}}}}}}`, `{"l":[{},1,{"a":2},[{}]]}`, `{"l":[{"a":1},1,{"a":2},[{}]]}`},
		"no items":             {`{type: object, properties: {l: {items: {properties: {a: {default: 1}}}}}}`, `{"l":[]}`, `{"l":[]}`},
		"prefixItems":          {`{type: object, properties: {l: {prefixItems: [{properties: {a: {default: 1}}}, true], items: {properties: {b: {default: 2}}}}}}`, `{"l":[{},{},{}]}`, `{"l":[{"a":1},{},{"b":2}]}`},
		"additional":           {`{type: object, properties: {x: {}}, additionalProperties: {properties: {a: {default: 1}}}}`, `{"x":{},"y":{}}`, `{"x":{},"y":{"a":1}}`},
		"patterns":             {`{type: object, patternProperties: {"^p": {properties: {a: {default: 1}}}}, additionalProperties: {properties: {b: {default: 2}}}}`, `{"p1":{},"y":{}}`, `{"p1":{"a":1},"y":{"b":2}}`},
		"pattern and declared": {`{type: object, properties: {p1: {properties: {a: {default: 1}}}}, patternProperties: {"^p": {properties: {b: {default: 2}}}}}`, `{"p1":{}}`, `{"p1":{"a":1,"b":2}}`},
		"default in default":   {`{type: object, properties: {o: {default: {x: 0}, properties: {a: {default: {}, properties: {b: {default: 1}}}}}}}`, `{}`, `{"o":{"x":0,"a":{"b":1}}}`},
		"both ways in":         {`{type: object, properties: {o: {default: {}, properties: {a: {default: 1}}}}, allOf: [{properties: {o: {properties: {b: {default: 2}}}}}]}`, `{}`, `{"o":{"a":1,"b":2}}`},
		"a tree":               {`{type: object, properties: {n: {default: 0}, below: {default: [], items: {$ref: "#"}}}}`, `{"below":[{"below":[{}]},{"n":1}]}`, `{"below":[{"below":[{"n":0,"below":[]}],"n":0},{"n":1,"below":[]}],"n":0}`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := parse(t, tc.schema)
			got, err := c.Record("body", []byte(tc.body))
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != tc.want {
				t.Errorf("\n got %s\nwant %s", got, tc.want)
			}
			if again, err := c.Record("body", got); err != nil || string(again) != string(got) {
				t.Errorf("again: %s, %v", again, err)
			}
			if merged, err := c.Merge([]byte(tc.body), []byte(`{}`)); err != nil || string(merged) != tc.want {
				t.Errorf("Merge: %s, %v", merged, err)
			}
		})
	}
}

// A record at the limit of nesting has no room for defaults that nest further.
func TestRecord_DefaultsCountAsLevels(t *testing.T) {
	t.Parallel()
	c := parse(t, `{type: object, properties: {a: {$ref: "#"}, d: {default: []}}, required: [d]}`)
	if _, err := c.Record("body", []byte(nested(63))); err != nil {
		t.Errorf("63 levels: %v", err)
	}
	_, err := c.Record("body", []byte(nested(64)))
	if fault.KindOf(err) != fault.InvalidJSON || !strings.Contains(err.Error(), "nested deeper") {
		t.Errorf("64 levels and a default: %v", err)
	}
}
