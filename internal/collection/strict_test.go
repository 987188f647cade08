package collection

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/waybill-dev/waybill/internal/fault"
)

// anything takes every object.
func anything(tb testing.TB) *Collection {
	tb.Helper()
	return parse(tb, "{type: object}")
}

// problem renders a fault for comparison: kind, then a line for each item.
func problem(tb testing.TB, err error) string {
	tb.Helper()
	var f *fault.Error
	if !errors.As(err, &f) {
		tb.Fatalf("got %v, want a fault", err)
	}
	var b strings.Builder
	b.WriteString(string(f.Kind))
	for _, item := range f.Items {
		fmt.Fprintf(&b, "\n%s: %s", item.Location, item.Message)
	}
	return b.String()
}

// nested returns an object that is nested to the given level.
func nested(levels int) string {
	return strings.Repeat(`{"a":`, levels-1) + "{}" + strings.Repeat("}", levels-1)
}

func TestRecord_RefusesWhatIsNotStrict(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ body, want string }{
		"empty":                   {"", "body: is empty"},
		"blank":                   {" \r\n\t", "body: is empty"},
		"not JSON":                {"hello", "body: is not valid JSON"},
		"BOM":                     {"\ufeff{}", "body: is not valid JSON"},
		"array":                   {"[]", "body: must be a JSON object"},
		"string":                  {`"a"`, "body: must be a JSON object"},
		"number":                  {"-1", "body: must be a JSON object"},
		"null":                    {"null", "body: must be a JSON object"},
		"ends early":              {`{"a":[1,`, "body.a[1]: is not valid JSON: it ends too early"},
		"ends in a string":        {`{"a":"b`, "body.a: is not valid JSON: it ends too early"},
		"single quotes":           {`{'a':1}`, "body: is not valid JSON"},
		"name is a number":        {`{1:1}`, "body: is not valid JSON"},
		"no comma":                {`{"a":1 "b":2}`, "body: is not valid JSON"},
		"comma at the end":        {`{"a":1,}`, "body: is not valid JSON"},
		"comma in array":          {`{"a":[1,]}`, "body.a[1]: is not valid JSON"},
		"comment":                 {`{/**/}`, "body: is not valid JSON"},
		"NaN":                     {`{"a":NaN}`, "body.a: is not valid JSON"},
		"leading zero":            {`{"a":01}`, "body: is not valid JSON"},
		"plus":                    {`{"a":+1}`, "body.a: is not valid JSON"},
		"control character":       {"{\"a\":\"\n\"}", "body.a: is not valid JSON"},
		"trailing object":         {`{}{}`, "body: has data after the JSON object"},
		"trailing brace":          {`{}}`, "body: has data after the JSON object"},
		"trailing NUL":            {"{}\x00", "body: has data after the JSON object"},
		"duplicate":               {`{"a":1,"b":2,"a":3}`, "body.a: appears twice"},
		"duplicate, escaped":      {`{"a":1,"\u0061":2}`, "body.a: appears twice"},
		"duplicate, nested":       {`{"a":[{},{"b":{"c.d":1,"c.d":1}}]}`, `body.a[1].b["c.d"]: appears twice`},
		"duplicate, surrogates":   {`{"😀":1,"\ud83d\ude00":2}`, `body["😀"]: appears twice`},
		"NUL":                     {`{"a":{"b":"x\u0000"}}`, `body.a.b: contains \u0000`},
		"NUL in a name":           {`{"a":{"x\u0000":1}}`, `body.a: contains \u0000`},
		"lone high surrogate":     {`{"a":"\ud800"}`, "body.a: is not valid JSON"},
		"lone low surrogate":      {`{"a":"\udc00"}`, "body.a: is not valid JSON"},
		"surrogates turned round": {`{"a":"\udc00\ud800"}`, "body.a: is not valid JSON"},
		"surrogate and a letter":  {`{"a":"\ud800\u0041"}`, "body.a: is not valid JSON"},
		"surrogate in a name":     {`{"\ud800":1}`, "body: is not valid JSON"},
		"invalid UTF-8":           {"{\"a\":\"\xff\"}", "body.a: is not valid JSON"},
		"overlong UTF-8":          {"{\"a\":\"\xc0\x80\"}", "body.a: is not valid JSON"},
		"surrogate in UTF-8":      {"{\"a\":\"\xed\xa0\x80\"}", "body.a: is not valid JSON"},
		"invalid UTF-8 in a name": {"{\"\xff\":1}", "body: is not valid JSON"},
		"65 levels":               {nested(65), "is nested deeper than 64 levels"},
		"65 levels of arrays":     {`{"a":` + strings.Repeat("[", 64) + strings.Repeat("]", 64) + "}", "is nested deeper than 64 levels"},
		"10,000 levels":           {strings.Repeat(`{"a":`, 10_000), "is nested deeper than 64 levels"},
		"huge exponent":           {`{"a":1e400000000}`, "body.a: is a number of more than 1000 digits or with an exponent beyond ±1000"},
		"exponent past int":       {`{"a":1E-99999999999999999999}`, "body.a: is a number of"},
		"exponent 1001":           {`{"a":1e+1001}`, "body.a: is a number of"},
		"1001 digits":             {`{"a":` + strings.Repeat("1", 1001) + `}`, "body.a: is a number of"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := anything(t).Record("body", []byte(c.body))
			if err == nil {
				t.Fatalf("accepted as %s", got)
			}
			text := problem(t, err)
			if !strings.HasPrefix(text, "invalid_json\n") || !strings.Contains(text, c.want) {
				t.Errorf("got %s\nwant %s", text, c.want)
			}
			if len(text) > 1200 {
				t.Errorf("the error repeats too much: %d bytes", len(text))
			}
			if _, err := anything(t).Patch("body", []byte(c.body)); fault.KindOf(err) != fault.InvalidJSON {
				t.Errorf("Patch: %v", err)
			}
		})
	}
}

func TestRecord_KeepsTheText(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ body, want string }{
		"compact":             {`{"b":1,"a":[true,false,null,{}],"":""}`, ""},
		"whitespace":          {" {\n\t\"a\" : [ 1 , { } ] ,\r\n \"b\" : \" x \" }\n", `{"a":[1,{}],"b":" x "}`},
		"numbers":             {`{"a":[1.0,1e400,-0,1E+2,123456789012345678901234567890,0.1000,1e1000,1e-01000]}`, ""},
		"1000 digits":         {`{"a":[-0.` + strings.Repeat("1", 999) + `]}`, ""},
		"escapes":             {`{"\u0061":"\/\u00e9\n\"\ud83d\ude00","b":"<&>\u2028"}`, ""},
		"raw separators":      {"{\"a\":\"\u2028\u2029\u007f\"}", ""},
		"64 levels":           {nested(64), ""},
		"almost NUL":          {`{"a":"\\u0000"}`, ""},
		"names differ":        {`{"a":1,"A":2,"\u00e9":3,"e\u0301":4}`, ""},
		"many members":        {members1000(), ""},
		"same name elsewhere": {`{"a":{"a":{"a":[{"a":1},{"a":1}]}}}`, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := anything(t).Record("body", []byte(c.body))
			if err != nil {
				t.Fatal(err)
			}
			if c.want == "" {
				c.want = c.body
			}
			if string(got) != c.want {
				t.Errorf("\n got %s\nwant %s", got, c.want)
			}
			if !json.Valid(got) {
				t.Error("is not JSON")
			}
			patch, err := anything(t).Patch("body", []byte(c.body))
			if err != nil || string(patch) != c.want {
				t.Errorf("Patch: %s, %v", patch, err)
			}
		})
	}
}

func members1000() string {
	parts := make([]string, 1000)
	for i := range parts {
		parts[i] = fmt.Sprintf(`"m%d":%d`, i, i)
	}
	return "{" + strings.Join(parts, ",") + "}"
}

// A result must not share memory with the next one, which pooled readers make
// easy to get wrong; nor may a body be written to.
func TestRecord_ResultsAreTheirOwn(t *testing.T) {
	t.Parallel()
	c := builtin(t, "messages")
	body := []byte(`{ "content": "first" }`)
	first, err := c.Record("body", body)
	if err != nil {
		t.Fatal(err)
	}
	if string(body) != `{ "content": "first" }` {
		t.Errorf("the body was changed: %s", body)
	}
	for range 100 {
		if _, err := c.Record("body", []byte(`{"content":"other"}`)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Record("body", []byte(`{"content":`)); err == nil {
			t.Fatal("accepted half a body")
		}
	}
	if string(first) != `{"content":"first"}` {
		t.Errorf("the result was changed: %s", first)
	}
}
