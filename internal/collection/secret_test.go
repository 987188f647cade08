package collection

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

// secretive has a secret in each place where one can be declared.
const secretive = `
{type: object,
$defs: {
  card: {secret: true, type: string},
  holder: {type: object, properties: {iban: {$ref: "#/$defs/card"}}}},
properties: {
  name: {type: string, secret: false},
  password: {type: string, secret: true},
  secret: {type: string},
  card: {$ref: "#/$defs/card"},
  pins: {type: array, items: {type: string, secret: true}},
  pair: {prefixItems: [{type: string}, {type: string, secret: true}]},
  vault: {type: object, additionalProperties: {secret: true}},
  either: {anyOf: [{type: string}, {type: object, secret: true}]},
  people: {type: array, items: {$ref: "#/$defs/holder"}}},
allOf: [{properties: {'a"b': {secret: true}}}],
patternProperties: {"^x_": {secret: true}}}
`

func TestCollection_Redact(t *testing.T) {
	t.Parallel()
	c := parse(t, flow(secretive))
	cases := map[string]struct{ body, want string }{
		"nothing secret":     {`{ "name" : "n", "n":1.0e2, "secret":"no" }`, `{ "name" : "n", "n":1.0e2, "secret":"no" }`},
		"top level":          {`{"z":1,"password":"p4","a":[1, 2]}`, `{"z":1,"password":"***","a":[1, 2]}`},
		"spaces":             {"{\"password\" :\n \"p4\" , \"a\":1}", "{\"password\" :\n \"***\" , \"a\":1}"},
		"escaped name":       {`{"pass\u0077ord":"p4"}`, `{"pass\u0077ord":"***"}`},
		"name with a quote":  {`{"a\"b":"p4"}`, `{"a\"b":"***"}`},
		"at any depth":       {`{"q":[[{"password":"p4"},{"r":{"password":7}}]]}`, `{"q":[[{"password":"***"},{"r":{"password":"***"}}]]}`},
		"an object":          {`{"password":{"a":["p4"]},"b":2}`, `{"password":"***","b":2}`},
		"null":               {`{"password":null}`, `{"password":"***"}`},
		"duplicate names":    {`{"password":"p4","password":"p5"}`, `{"password":"***","password":"***"}`},
		"by reference":       {`{"card":"4","people":[{"iban":"D"}]}`, `{"card":"***","people":[{"iban":"***"}]}`},
		"items":              {`{"pins":["1","2"],"pair":["a","b"]}`, `{"pins":"***","pair":"***"}`},
		"undeclared members": {`{"vault":{"a":1}}`, `{"vault":"***"}`},
		"one of two forms":   {`{"either":"x"}`, `{"either":"***"}`},
		"pattern":            {`{"x_a":"p4","y_a":1}`, `{"x_a":"***","y_a":1}`},
		"a value, no name":   {`{"list":["password","p"],"name":"password"}`, `{"list":["password","p"],"name":"password"}`},
		"empty object":       {`{}`, `{}`},
		"not JSON":           {`{"password":"p4"`, `"***"`},
		"data after it":      {`{"password":"p4"} 1`, `"***"`},
		"two objects":        {`{"a":1}{"a":2}`, `"***"`},
		"no object":          {`["p4"]`, `"***"`},
		"invalid UTF-8":      {"{\"a\":\"\xff\"}", `"***"`},
		"empty":              {``, `"***"`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := string(c.Redact([]byte(tc.body))); got != tc.want {
				t.Errorf("Redact(%s)\n got %s\nwant %s", tc.body, got, tc.want)
			}
		})
	}
}

func TestCollection_RedactAll(t *testing.T) {
	t.Parallel()
	for _, schema := range []string{
		"{type: object, secret: true}",
		"{type: object, additionalProperties: {secret: true}}",
		`{type: object, allOf: [{$ref: "#/$defs/a"}], $defs: {a: {secret: true}}}`,
		`{type: object, $id: "https://example.com/s", secret: true}`,
	} {
		if got := string(parse(t, schema).Redact([]byte(`{"a":1}`))); got != `"***"` {
			t.Errorf("%s: %s is shown", schema, got)
		}
	}
}

func TestParse_SecretIsPublishedAsAnExtension(t *testing.T) {
	t.Parallel()
	c := parse(t, `{type: object, properties: {secret: {secret: true, type: string, default: "a"}, b: {secret: false, enum: [{secret: 1}]}}}`)
	want := `{"type":"object","properties":{"secret":{"x-waybill-secret":true,"type":"string","default":"a"},` +
		`"b":{"x-waybill-secret":false,"enum":[{"secret":1}]}}}`
	if got := string(c.Schema); got != want {
		t.Errorf("Schema\n got %s\nwant %s", got, want)
	}
	if _, err := c.Record("body", []byte(`{"secret":"x"}`)); err != nil {
		t.Errorf("a secret does not validate: %v", err)
	}
}

func FuzzRedact(f *testing.F) {
	c := parse(f, flow(secretive))
	for _, seed := range append(seeds, `{"pass\u0077ord":"p","x":[{"password":1}]}`, `{"password":{"password":1},"password":2}`, `{"x_":"\u002a"}`) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		got := c.Redact([]byte(body))
		if string(got) == redacted {
			if json.Valid([]byte(body)) && strings.HasPrefix(strings.TrimSpace(body), "{") && isPlain(body) {
				t.Fatalf("%q is an object, and was hidden as a whole", body)
			}
			return
		}
		if shown := survivor(t, got); shown != "" {
			t.Fatalf("%q: the secret %s is still in %q", body, shown, got)
		}
		if again := c.Redact(got); !bytes.Equal(again, got) {
			t.Fatalf("%q: redacting %q again gives %q", body, got, again)
		}
	})
}

// isPlain leaves out texts of which the standard library's reader takes more
// than ours: invalid UTF-8 and lone surrogates.
func isPlain(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > 127 || r == '\\' })
}

// isSecret says of which names the members are secret by secretive.
func isSecret(name string) bool {
	return slices.Contains([]string{"password", "card", "iban", "pins", "pair", "vault", "either", `a"b`}, name) || strings.HasPrefix(name, "x_")
}

// survivor reads text with the standard library's reader and returns the first
// secret that is in it.
func survivor(t *testing.T, text []byte) string {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	token := func() json.Token {
		tok, err := d.Token()
		if err != nil && !errors.Is(err, io.EOF) {
			t.Fatalf("%q is not JSON: %v", text, err)
		}
		return tok
	}
	var walk func(tok json.Token) string
	walk = func(tok json.Token) string {
		delim, _ := tok.(json.Delim)
		if delim != '{' && delim != '[' {
			return ""
		}
		for d.More() {
			next := token()
			if name, ok := next.(string); ok && delim == '{' {
				if next = token(); isSecret(name) && next != json.Token("***") {
					return name
				}
			}
			if shown := walk(next); shown != "" {
				return shown
			}
		}
		token()
		return ""
	}
	return walk(token())
}
