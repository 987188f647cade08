package collection_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/waybill-dev/waybill/internal/collection"
)

func TestCollection_FieldTakes(t *testing.T) {
	t.Parallel()
	set, err := collection.Parse("waybill.yaml", []byte(`collections:
  readings:
    schema:
      type: object
      properties:
        sensor: {type: string}
        count: {type: integer}
        value: {type: [number, "null"]}
        good: {type: boolean}
        place: {type: object}
        limit: {type: integer}
        anything: {}
`))
	if err != nil {
		t.Fatal(err)
	}
	c, _ := set.Get("readings")
	for _, test := range []struct{ name, value, want string }{
		{"sensor", `"a"`, ""},
		{"sensor", `1`, "must be a string"},
		{"sensor", `true`, "must be a string"},
		{"count", `1`, ""},
		{"count", `"1"`, "must be an integer"},
		{"value", `-1.5e3`, ""},
		{"value", `false`, "must be a number"},
		{"good", `true`, ""},
		{"good", `"true"`, "must be a boolean"},
		{"place", `"here"`, "no single values"},
		{"limit", `3`, ""},
		{"anything", `"x"`, ""},
		{"colour", `"red"`, "is not a field"},
	} {
		err := c.FieldTakes(test.name, json.RawMessage(test.value))
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s = %s: %v, want %q", test.name, test.value, err, test.want)
		}
		if got := c.HasField(test.name); got != (test.name != "colour") {
			t.Errorf("HasField(%s) is %v", test.name, got)
		}
	}
}
