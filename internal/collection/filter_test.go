package collection

import (
	"slices"
	"strings"
	"testing"
)

func TestFilter(t *testing.T) {
	t.Parallel()
	c := parse(t, flow(`{$ref: "#/$defs/base", type: object, properties: {
		text: {type: string}, flag: {type: boolean}, count: {type: integer}, sum: {type: number}, any: {},
		maybe: {type: [boolean, "null"]}, mixed: {type: [integer, boolean]}, list: {type: array}, object: {type: [object, "null"]},
		both: {type: [number, string], allOf: [{type: [integer, "null"]}]}, limit: {type: string}, "a.b": {type: integer}},
		$defs: {base: {properties: {deep: {$ref: "#/$defs/flag"}}}, flag: {type: boolean}}}`))
	cases := []struct{ field, value, want string }{
		{"text", "", ""},
		{"text", "anything & all", ""},
		{"text", "a\x00b", "query.text: must be UTF-8 without NUL"},
		{"text", "\xff", "query.text: must be UTF-8 without NUL"},
		{"flag", "true", ""},
		{"flag", "false", ""},
		{"flag", "True", "query.flag: must be a boolean"},
		{"flag", "", "query.flag: must be a boolean"},
		{"count", "-12", ""},
		{"count", "1e2", ""},
		{"count", "123456789012345678901234567890", ""},
		{"count", "01", "query.count: must be an integer"},
		{"count", "+1", "query.count: must be an integer"},
		{"count", " 1", "query.count: must be an integer"},
		{"count", "1 2", "query.count: must be an integer"},
		{"count", "", "query.count: must be an integer"},
		{"count", "1e400000000", "query.count: must be an integer"},
		{"sum", "1.50", ""},
		{"sum", "NaN", "query.sum: must be a number"},
		{"any", "x", ""},
		{"maybe", "true", ""},
		{"maybe", "null", "query.maybe: must be a boolean"},
		{"mixed", "1", ""},
		{"mixed", "false", ""},
		{"mixed", "x", "query.mixed: must be a boolean or an integer"},
		{"both", "7", ""},
		{"both", "x", "query.both: must be an integer"},
		{"deep", "true", ""},
		{"deep", "1", "query.deep: must be a boolean"},
		{"a.b", "x", `query["a.b"]: must be an integer`},
		{"list", "[]", "query.list: cannot be filtered on"},
		{"object", "null", "query.object: cannot be filtered on"},
		{"limit", "5", "query.limit: cannot be filtered on"},
		{"id", "5", "query.id: is not a field of c"},
		{"nothing", "5", "query.nothing: is not a field of c"},
	}
	for _, tc := range cases {
		err := c.Filter(tc.field, tc.value)
		switch {
		case tc.want == "" && err != nil:
			t.Errorf("%s=%s: %v", tc.field, tc.value, err)
		case tc.want != "" && (err == nil || problem(t, err) != "invalid_parameter\n"+tc.want):
			t.Errorf("%s=%s: got %v, want %s", tc.field, tc.value, err, tc.want)
		}
	}
	if got := len(c.Filter(strings.Repeat("x", 10_000), "1").Error()); got > 300 {
		t.Errorf("a long name gives an error of %d bytes", got)
	}
	for _, name := range c.FilterFields() {
		if err := c.Filter(name, "1"); err != nil && strings.Contains(err.Error(), "cannot be filtered") {
			t.Errorf("FilterFields lists %s", name)
		}
	}
	if slices.Contains(c.FilterFields(), "limit") || !slices.IsSorted(c.FilterFields()) {
		t.Errorf("FilterFields: %v", c.FilterFields())
	}
}
