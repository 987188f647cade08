package collection

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	jsonpatch "github.com/evanphx/json-patch/v5"

	"github.com/waybill-dev/waybill/internal/fault"
)

// fuzzed are the schemas that bodies are tried against.
var fuzzed = []string{
	"{type: object}",
	flow(order),
	`{type: object, required: [text], additionalProperties: false, properties: {text: {type: string, minLength: 1, maxLength: 500}, completed: {type: boolean, default: false}}}`,
	`{type: object, properties: {n: {type: integer, default: 0}, below: {default: [], items: {$ref: "#"}}, o: {type: object, default: {}, properties: {"a b": {default: 1.10}}}}}`,
	`{type: object, patternProperties: {"^a": {properties: {b: {default: {c: 1}}}}}, additionalProperties: {type: [integer, array, object], items: {properties: {d: {default: "x"}}}}}`,
}

func fuzzSchemas(f *testing.F) []*Collection {
	collections := make([]*Collection, len(fuzzed))
	for i := range fuzzed {
		collections[i] = parse(f, fuzzed[i])
	}
	return collections
}

var seeds = []string{
	`{}`, `{"text":"a"}`, `{"text":"a","completed":null}`, `{"a":{"b":[1,{"c":null}]}}`, `{"n":1e400,"below":[{"n":-0},{}]}`,
	`{"\u0061":"\ud83d\ude00","a":"\u0000"}`, ` {"o" : {"a b":1} , "a1":{}, "z":[{}]} `, `{"customer":"a@b.de","items":[{"name":"x"}],"x-1":"y"}`,
	`{"a":1,"a":2}`, `[1]`, `{"a":"\ud800"}`, nested(64), nested(65), "{\"a\":\"\xff\"}", `{"id":1}`,
}

// decoded returns the value of a JSON text, as encoding/json sees it.
func decoded(tb testing.TB, text []byte) any {
	tb.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var value any
	if err := d.Decode(&value); err != nil {
		tb.Fatalf("%s: %v", text, err)
	}
	return value
}

func compacted(tb testing.TB, text []byte) string {
	tb.Helper()
	var b bytes.Buffer
	if err := json.Compact(&b, text); err != nil {
		tb.Fatalf("accepted what encoding/json does not: %s: %v", text, err)
	}
	return b.String()
}

// harmless reports whether a text is an object without anything that only
// Waybill refuses. It errs to the side of false.
func harmless(text []byte) bool {
	if !json.Valid(text) || !utf8.Valid(text) || bytes.ContainsRune(text, '\\') {
		return false
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return false
	}
	names := []map[string]bool{{}} // of each open object; nil for an array
	for isName := true; len(names) > 0 && len(names) < maxDepth; {
		t, err := d.Token()
		if err != nil {
			return false
		}
		switch t := t.(type) {
		case json.Delim:
			switch t {
			case '{':
				names = append(names, map[string]bool{})
			case '[':
				names = append(names, nil)
			default:
				names = names[:len(names)-1]
			}
			isName = len(names) > 0 && names[len(names)-1] != nil
			continue
		case json.Number:
			if len(t) > 100 || strings.ContainsAny(string(t), "eE") {
				return false
			}
		case string:
			if isName {
				if names[len(names)-1][t] {
					return false
				}
				names[len(names)-1][t], isName = true, false
				continue
			}
		}
		isName = names[len(names)-1] != nil
	}
	return len(names) == 0
}

func FuzzRecord(f *testing.F) {
	for _, seed := range seeds {
		for i := range fuzzed {
			f.Add(i, []byte(seed))
		}
	}
	collections := fuzzSchemas(f)
	f.Fuzz(func(t *testing.T, which int, body []byte) {
		which = int(uint(which) % uint(len(collections)))
		c := collections[which]
		before := bytes.Clone(body)
		got, err := c.Record("body", body)
		if !bytes.Equal(before, body) {
			t.Fatal("the body was written to")
		}
		if err != nil {
			checkFault(t, err, fault.InvalidJSON, fault.InvalidRecord)
			if fault.KindOf(err) == fault.InvalidJSON && harmless(body) && c.rules.shape == nil {
				t.Errorf("refused: %v", err)
			}
			return
		}
		compact := compacted(t, body)
		if c.rules.shape == nil && string(got) != compact {
			t.Errorf("text changed:\n got %s\nwant %s", got, compact)
		}
		want := decoded(t, body)
		c.rules.shape.fill(want)
		if value := decoded(t, got); !reflect.DeepEqual(value, want) {
			t.Errorf("value changed:\n got %s\nfrom %s", got, body)
		}
		if again, err := c.Record("body", got); err != nil || !bytes.Equal(again, got) {
			t.Errorf("again: %s, %v\n was %s", again, err, got)
		}
		if merged, err := c.Merge(got, []byte("{}")); err != nil || !bytes.Equal(merged, got) {
			t.Errorf("Merge with {}: %s, %v\n was %s", merged, err, got)
		}
	})
}

func FuzzPatch(f *testing.F) {
	for i := range fuzzed {
		for _, seed := range seeds {
			f.Add(i, []byte(seeds[i%len(seeds)]), []byte(seed))
		}
	}
	collections := fuzzSchemas(f)
	free := anything(f)
	f.Fuzz(func(t *testing.T, which int, stored, patch []byte) {
		c := collections[int(uint(which)%uint(len(collections)))]
		got, err := c.Patch("body", patch)
		if err == nil {
			if want := compacted(t, patch); string(got) != want {
				t.Errorf("text changed:\n got %s\nwant %s", got, want)
			}
			return
		}
		checkFault(t, err, fault.InvalidJSON, fault.InvalidRecord)
		strict, err := free.Patch("body", patch)
		if err != nil {
			return // not strict, or reserved fields
		}
		record, err := free.Record("body", stored)
		if err != nil {
			record = []byte("{}")
		}
		merged, err := merge(nil, record, strict)
		if err != nil {
			t.Fatal(err)
		}
		if valid, err := c.Record("body", merged); err == nil {
			t.Errorf("the patch %s was refused, but makes %s of %s", patch, valid, record)
		}
	})
}

func FuzzMerge(f *testing.F) {
	for _, stored := range seeds {
		for _, patch := range seeds {
			f.Add([]byte(stored), []byte(patch))
		}
	}
	free := anything(f)
	f.Fuzz(func(t *testing.T, stored, patch []byte) {
		record, err := free.Record("body", stored)
		if err != nil {
			return
		}
		if patch, err = free.Patch("body", patch); err != nil {
			return
		}
		got, err := free.Merge(record, patch)
		if err != nil {
			t.Fatalf("%s with %s: %v", record, patch, err)
		}
		if again, err := free.Record("body", got); err != nil || !bytes.Equal(again, got) {
			t.Errorf("not a record: %s, %v", got, err)
		}
		if same, err := free.Merge(record, []byte("{}")); err != nil || !bytes.Equal(same, record) {
			t.Errorf("{} changed %s to %s, %v", record, same, err)
		}
		value := decoded(t, got)
		if want := rfc7396(decoded(t, record), decoded(t, patch)); !reflect.DeepEqual(value, want) {
			t.Errorf("%s with %s:\n got %s\nwant %v", record, patch, got, want)
		}
		theirs, err := jsonpatch.MergePatch(record, patch)
		if err != nil || nullInArray(decoded(t, patch), false) {
			return // json-patch v5 takes such nulls out, the RFC leaves arrays alone
		}
		if want := decoded(t, theirs); !reflect.DeepEqual(value, want) {
			t.Errorf("%s with %s:\n got %s\nwant %s", record, patch, got, theirs)
		}
	})
}

// rfc7396 is MergePatch of RFC 7396 §2, on values.
func rfc7396(target, patch any) any {
	changes, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	object, ok := target.(map[string]any)
	if !ok {
		object = map[string]any{}
	}
	for name, value := range changes {
		if value == nil {
			delete(object, name)
		} else {
			object[name] = rfc7396(object[name], value)
		}
	}
	return object
}

// nullInArray reports whether there is a null anywhere below an array.
func nullInArray(value any, inside bool) bool {
	switch v := value.(type) {
	case nil:
		return inside
	case map[string]any:
		for _, member := range v {
			if nullInArray(member, inside) {
				return true
			}
		}
	case []any:
		for _, item := range v {
			if nullInArray(item, true) {
				return true
			}
		}
	}
	return false
}

func FuzzParseConfig(f *testing.F) {
	for _, name := range []string{"waybill.yaml", "broken.yaml"} {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add(builtIn)
	for _, schema := range fuzzed {
		f.Add([]byte(one(schema)))
	}
	f.Add([]byte(one("type: object\nproperties: &p\n  a: {properties: *p}")))
	f.Add([]byte(one("type: object\nproperties:\n  a: {$ref: '#/$defs/a'}\n$defs:\n  a: {allOf: [{$ref: '#/$defs/a'}]}")))
	f.Fuzz(func(t *testing.T, text []byte) {
		set, err := Parse("f.yaml", text)
		if err != nil {
			var mistakes Mistakes
			if !errors.As(err, &mistakes) || len(mistakes) == 0 {
				t.Fatalf("not Mistakes: %v", err)
			}
			for i, m := range mistakes {
				if m.File != "f.yaml" || m.Line < 1 || m.Line > 1+bytes.Count(text, []byte("\n"))+bytes.Count(text, []byte("\r"))+unicodeBreaks(text) || m.Reason == "" {
					t.Errorf("mistake %+v", m)
				}
				if i > 0 && m.Line < mistakes[i-1].Line {
					t.Error("not sorted")
				}
			}
			return
		}
		for _, c := range set.All() {
			checkSchema(t, c)
			got, err := c.Record("body", []byte("{}"))
			if err != nil {
				checkFault(t, err, fault.InvalidRecord)
				continue
			}
			if again, err := c.Record("body", got); err != nil || !bytes.Equal(again, got) {
				t.Errorf("{} became %s, then %s, %v", got, again, err)
			}
		}
	})
}

// unicodeBreaks counts the line breaks that YAML 1.1 knows beyond ASCII.
func unicodeBreaks(text []byte) int {
	return strings.Count(string(text), "\u0085") + strings.Count(string(text), "\u2028") + strings.Count(string(text), "\u2029")
}

// checkSchema reads the JSON of a schema as YAML again, which must change
// nothing: JSON is YAML.
func checkSchema(t *testing.T, c *Collection) {
	t.Helper()
	if !json.Valid(c.Schema) {
		t.Fatalf("not JSON: %s", c.Schema)
	}
	if len(c.Schema) > 1000 { // YAML has short keys
		return
	}
	var ascii strings.Builder
	for _, r := range string(c.Schema) {
		if r < 0x7f {
			ascii.WriteRune(r)
		} else {
			fmt.Fprintf(&ascii, `\U%08x`, r)
		}
	}
	set, err := Parse("again.yaml", []byte("collections:\n  c:\n    schema: "+ascii.String()+"\n"))
	if err != nil {
		t.Fatalf("%s: %v", c.Schema, err)
	}
	if again, _ := set.Get("c"); !bytes.Equal(again.Schema, c.Schema) {
		t.Errorf("\n got %s\nfrom %s", again.Schema, c.Schema)
	}
}

func checkFault(t *testing.T, err error, kinds ...fault.Kind) {
	t.Helper()
	var f *fault.Error
	if !errors.As(err, &f) {
		t.Fatalf("not a fault: %v", err)
	}
	ok := false
	for _, kind := range kinds {
		ok = ok || f.Kind == kind
	}
	if !ok || f.Detail == "" || len(f.Items) == 0 || len(f.Items) > maxItems {
		t.Errorf("fault %+v", f)
	}
	for _, item := range f.Items {
		if !strings.HasPrefix(item.Location, "body") || item.Message == "" || len(item.Message) > 1000 || !utf8.ValidString(item.Location+item.Message) {
			t.Errorf("item %+v", item)
		}
	}
}
