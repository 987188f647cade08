package collection

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// one wraps a schema, from line 4 on and indented, into a file.
func one(schema string) string {
	return "collections:\n  c:\n    schema:\n      " + strings.ReplaceAll(strings.TrimSpace(schema), "\n", "\n      ") + "\n"
}

const good = "collections:\n  c:\n    schema: {type: object, properties: {a: {type: string}, limit: {type: string}, o: {type: object}}}\n"

func TestParse_Mistakes(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		text string
		want []string // "LINE: part of the reason", all of them
	}{
		"empty":                 {"", []string{"1: the file is empty"}},
		"comments only":         {"# nothing\n", []string{"1: the file is empty"}},
		"null":                  {"---\n~\n", []string{"1: the file is empty"}},
		"not a mapping":         {"- a\n", []string{"1: must be a mapping with collections"}},
		"no collections":        {"collections: {}\n", []string{"1: collections: declares none"}},
		"collections null":      {"collections:\n", []string{"1: collections: declares none"}},
		"collections a list":    {"collections: [a]\n", []string{"1: collections: must be a mapping"}},
		"unknown key at root":   {good + "colections: {}\n", []string{`4: unknown key "colections"`}},
		"unknown key below":     {good + "    idx: []\n", []string{`4: collections.c: unknown key "idx"`}},
		"unknown key in access": {good + "    access: {raed: public}\n", []string{`4: collections.c.access: unknown key "raed"`}},
		"unknown key in limit":  {good + "    rate_limit:\n      reads: 5/s\n", []string{`5: collections.c.rate_limit: unknown key "reads"`}},
		"duplicate key":         {good + "    access: {}\n    access: {}\n", []string{`5: collections.c: the key "access" appears twice`}},
		"duplicate collection":  {good + "  c: {schema: {type: object}}\n", []string{`4: collections: the key "c" appears twice`}},
		"duplicate in schema":   {one("type: object\nproperties: {a: {}}\nproperties: {b: {}}"), []string{`6: collections.c.schema: the key "properties" appears twice`}},
		"secret no boolean":     {one("type: object\nproperties:\n  a: {secret: \"yes\"}"), []string{"6: collections.c.schema.properties.a.secret: must be true or false"}},
		"two documents":         {good + "---\na: 1\n", []string{"4: there is a second YAML document"}},
		"bad second document":   {good + "---\na: @\n", []string{"5: not valid YAML"}},
		"tab":                   {"collections:\n  c:\n\t  schema: {}\n", []string{"3: not valid YAML"}},
		"flow not closed":       {"collections:\n  c: {schema: [}\n", []string{"2: not valid YAML"}},
		"wrong indent":          {"collections:\n  c:\n    schema: {}\n   access: {}\n", []string{"4: not valid YAML"}},
		"unknown anchor":        {"collections:\n\n  c: *x\n", []string{"3: not valid YAML"}},
		"invalid UTF-8":         {"a: 1\nb: 2\nc: \xff\n", []string{"3: not valid YAML"}},
		"control character":     {"a: 1\nb: \x01\n", []string{"2: not valid YAML"}},
		"merge key":             {"x: &x {}\ncollections:\n  <<: *x\n", []string{`1: unknown key "x"`, "3: collections: merge keys"}},
		"key is a list":         {"collections:\n  ? [a]\n  : {}\n", []string{"2: collections: a key must be a plain text"}},

		"bad names": {"collections:\n  Big: {schema: {type: object}}\n  1st: {schema: {type: object}}\n  a.b: {schema: {type: object}}\n  " +
			strings.Repeat("x", 64) + ": {schema: {type: object}}\n", []string{"2: collections.Big: a name must be", "3: ", "4: ", "5: "}},
		"schema missing":       {"collections:\n  c: {access: {read: public}}\n", []string{"2: collections.c: schema is missing"}},
		"collection null":      {"collections:\n  c:\n", []string{"2: collections.c: schema is missing"}},
		"collection a text":    {"collections:\n  c: x\n", []string{"2: collections.c: must be a mapping", "2: collections.c: schema is missing"}},
		"bad access":           {good + "    access:\n      read: everyone\n      write: Public\n", []string{"5: collections.c.access.read: must be public", "6: collections.c.access.write"}},
		"access a list":        {good + "    access: [public]\n", []string{"4: collections.c.access: must be a mapping"}},
		"access read a list":   {good + "    access: {read: [public]}\n", []string{"4: collections.c.access.read: must be a single value"}},
		"retention no unit":    {good + "    retention: 30\n", []string{"4: collections.c.retention: must be 0"}},
		"retention below zero": {good + "    retention: -1h\n", []string{"4: collections.c.retention: must be 0"}},
		"retention null":       {good + "    retention:\n", []string{"4: collections.c.retention: must be 0"}},
		"retention too long":   {good + "    retention: 100000d\n", []string{"4: collections.c.retention: must be 0"}},
		"rate of nothing":      {good + "    rate_limit: {writes: 0/s}\n", []string{"4: collections.c.rate_limit.writes: must be a number above 0"}},
		"rate a day":           {good + "    rate_limit: {writes: 5/d}\n", []string{"4: collections.c.rate_limit.writes"}},
		"rate no unit":         {good + "    rate_limit: {writes: 5}\n", []string{"4: collections.c.rate_limit.writes"}},
		"index unknown":        {good + "    indexes:\n    - a\n    - b\n", []string{`6: collections.c.indexes: "b" is not a top-level property`}},
		"index reserved":       {good + "    indexes: [limit]\n", []string{`4: collections.c.indexes: "limit" cannot be filtered on`}},
		"index of an object":   {good + "    indexes: [o]\n", []string{`4: collections.c.indexes: "o" cannot be filtered on`}},
		"index twice":          {good + "    indexes: [a, a]\n", []string{`4: collections.c.indexes: "a" appears twice`}},
		"index a mapping":      {good + "    indexes: {a: 1}\n", []string{"4: collections.c.indexes: must be a list"}},

		"schema a text":         {one("object"), []string{"3: collections.c.schema: must be a JSON Schema"}},
		"schema of a string":    {one("type: string"), []string{"3: collections.c.schema: must be an object schema"}},
		"schema of anything":    {one("properties: {a: {type: string}}"), []string{"3: collections.c.schema: must be an object schema"}},
		"schema object or null": {one("type: [object, 'null']"), []string{"3: collections.c.schema: must be an object schema"}},
		"oneOf not all objects": {one("oneOf: [{type: object}, {type: string}]"), []string{"3: collections.c.schema: must be an object schema"}},
		"metaschema, all":       {one("type: objekt\nrequired: a\nproperties:\n  a:\n    type: string\n    minLength: -1"), []string{`4: collections.c.schema.type: is not JSON Schema 2020-12: must be one of "array"`, "5: collections.c.schema.required: is not JSON Schema 2020-12: must be an array", "9: collections.c.schema.properties.a.minLength: is not JSON Schema 2020-12: must be at least 0"}},
		"draft-07":              {one("$schema: http://json-schema.org/draft-07/schema#\ntype: object"), []string{"4: collections.c.schema.$schema: only JSON Schema 2020-12"}},
		"$ref to the network":   {one("type: object\nproperties:\n  a: {$ref: 'https://example.com/x.json'}"), []string{`6: collections.c.schema.properties.a.$ref: "https://example.com/x.json" is nothing in this schema`}},
		"$ref to a file":        {one("type: object\nproperties:\n  a: {$ref: 'other.json#/a'}"), []string{"6: collections.c.schema.properties.a.$ref"}},
		"$ref to a metaschema":  {one("type: object\nproperties:\n  a: {$ref: '" + draft + "'}"), []string{"6: collections.c.schema.properties.a.$ref"}},
		"$refs to nothing":      {one("type: object\nproperties:\n  a: {$ref: '#/$defs/a'}\n  b: {$ref: '#b'}"), []string{"6: collections.c.schema.properties.a.$ref", "7: collections.c.schema.properties.b.$ref"}},
		"$id below the root":    {one("type: object\nproperties:\n  a: {$id: x, type: string}"), []string{"6: collections.c.schema.properties.a.$id"}},
		"circle":                {one("type: object\nproperties:\n  a: {$ref: '#/$defs/a'}\n$defs:\n  a: {allOf: [{$ref: '#/$defs/b'}]}\n  b: {$ref: '#/$defs/a'}"), []string{"8: collections.c.schema.$defs.a: refers to itself"}},
		"patterns":              {one("type: object\nproperties:\n  a: {type: string, pattern: '(?=a)'}\npatternProperties:\n  '[': {}"), []string{"6: collections.c.schema.properties.a.pattern: is not a regular expression", `8: collections.c.schema.patternProperties["["]: is not a regular expression`}},
		"reserved fields":       {one("type: object\nrequired: [version]\nproperties:\n  id: {}\n  updated_at: {type: string}\n  nested: {properties: {id: {}}}"), []string{"5: collections.c.schema.required: version is the server's", "7: collections.c.schema.properties.id: the field is the server's", "8: collections.c.schema.properties.updated_at"}},
		"reserved in allOf":     {one("type: object\nallOf:\n- $ref: '#/$defs/x'\n$defs:\n  x: {properties: {created_at: {}}}"), []string{"8: collections.c.schema.$defs.x.properties.created_at: the field is the server's"}},
		"number too large":      {one("type: object\nproperties:\n  a: {maximum: 1e400000000}"), []string{"6: collections.c.schema: 1e400000000 has more than"}},
		"count too large":       {one("type: object\nproperties:\n  a: {maxLength: 18446744073709551615}"), []string{"6: collections.c.schema.properties.a.maxLength: is too large"}},
		"no number":             {one("type: object\nproperties:\n  a: {maximum: .inf}"), []string{"6: collections.c.schema: JSON has no number .inf"}},
		"tag":                   {one("type: object\nproperties:\n  a: {default: !!binary aGk=}\n  b: !foo {}"), []string{"6: collections.c.schema: the tag !!binary", "7: collections.c.schema: the tag !foo"}},
		"NUL":                   {one("type: object\nproperties:\n  a: {default: \"\\0\"}"), []string{"6: collections.c.schema: has a text that JSON records cannot hold"}},
		"alias in itself":       {one("type: object\nproperties: &p\n  a: {properties: *p}"), []string{"6: collections.c.schema: has more than"}},
		"alias bomb":            {bomb(), []string{": has more than"}},

		"default of wrong type":    {one("type: object\nproperties:\n  a: {type: string, default: no}\n  b:\n    type: boolean\n    default: no"), []string{"9: collections.c.schema.properties.b.default: the default breaks its schema: it must be a boolean"}},
		"default breaks $ref":      {one("type: object\nproperties:\n  a: {$ref: '#/$defs/a', default: x}\n$defs:\n  a: {type: integer}"), []string{"6: collections.c.schema.properties.a.default"}},
		"default in $ref":          {one("type: object\nproperties:\n  a: {$ref: '#/$defs/a'}\n$defs:\n  a:\n    type: integer\n    default: x"), []string{"10: collections.c.schema.$defs.a.default"}},
		"default below":            {one("type: object\nproperties:\n  a: {default: {}, type: object, required: [b], properties: {b: {type: string}}}"), []string{"6: collections.c.schema.properties.a.default: the default breaks its schema: it.b is required"}},
		"default in anyOf":         {one("type: object\nanyOf:\n- {properties: {a: {type: integer, default: x}}}"), []string{"6: collections.c.schema.anyOf[\"0\"].properties.a.default"}},
		"default in two schemas":   {one("type: object\nproperties: {a: {default: 5}}\nallOf: [{properties: {a: {type: string}}}]"), []string{"5: collections.c.schema.properties.a.default: the default breaks its schema: it must be a string"}},
		"default without an end":   {one("type: object\nproperties:\n  a: {$ref: '#/$defs/a'}\n$defs:\n  a: {type: object, default: {}, properties: {b: {$ref: '#/$defs/a'}}}"), []string{"8: collections.c.schema.$defs.a.default: the default holds itself"}},
		"defaults that multiply":   {one(multiplying()), []string{"is longer than"}},
		"everything at once":       {"colls: 1\ncollections:\n  auth: {schema: {type: objekt}, retention: x}\n", []string{`1: unknown key "colls"`, "3: collections.auth.retention", "3: collections.auth.schema.type", "3: collections.auth: the name is reserved"}},
		"indexes, schema is wrong": {"collections:\n  c:\n    schema: {type: objekt}\n    indexes: [a]\n", []string{"3: collections.c.schema.type"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse("waybill.yaml", []byte(c.text))
			var mistakes Mistakes
			if !errors.As(err, &mistakes) {
				t.Fatalf("got %v, want Mistakes", err)
			}
			if len(mistakes) != len(c.want) {
				t.Errorf("got %d mistakes, want %d", len(mistakes), len(c.want))
			}
			for i, m := range mistakes {
				if text := m.Error(); i < len(c.want) && !strings.Contains(text, c.want[i]) {
					t.Errorf("mistake %d\n got %s\nwant %s", i, text, c.want[i])
				}
			}
			if t.Failed() {
				t.Logf("all:\n%v", err)
			}
		})
	}
}

// bomb is a schema whose aliases stand for 10^6 values.
func bomb() string {
	var b strings.Builder
	b.WriteString("type: object\nx-0: &a0 [1,1,1,1,1,1,1,1,1,1]\n")
	for i := 1; i < 6; i++ {
		fmt.Fprintf(&b, "x-%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i-1), 10), ","))
	}
	return one(b.String())
}

// multiplying is a schema whose default doubles with each level.
func multiplying() string {
	var b strings.Builder
	b.WriteString("type: object\nproperties: {a: {$ref: '#/$defs/d0'}}\n$defs:\n")
	for i := range 40 {
		fmt.Fprintf(&b, "  d%d: {type: object, default: {}, properties: {a: {$ref: '#/$defs/d%d'}, b: {$ref: '#/$defs/d%d'}}}\n", i, i+1, i+1)
	}
	b.WriteString("  d40: {type: string, default: x}\n")
	return b.String()
}

func TestParse_ReservedCollectionNames(t *testing.T) {
	t.Parallel()
	for _, name := range reservedCollections {
		_, err := Parse("waybill.yaml", []byte("collections: {"+name+": {schema: {type: object}}}"))
		if err == nil || !strings.Contains(err.Error(), "reserved") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestParse_Schemas(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ schema, want string }{
		"key order":          {`{type: object, properties: {z: {}, a: {}}, $defs: {b: true}}`, `{"type":"object","properties":{"z":{},"a":{}},"$defs":{"b":true}}`},
		"YAML 1.2":           {`{type: object, enum: [{a: no}, {a: yes}, {a: on}, {a: 2020-01-01}, {a: 12:30:45}, {a: 1_000}, {a: True}, {a: ~}, {a: !!str 1}, {a: '1'}]}`, `{"type":"object","enum":[{"a":"no"},{"a":"yes"},{"a":"on"},{"a":"2020-01-01"},{"a":"12:30:45"},{"a":"1_000"},{"a":true},{"a":null},{"a":"1"},{"a":"1"}]}`},
		"keys":               {`{type: object, properties: {no: {}, 1: {}, "": {}, '<<': {}, null: {}}}`, `{"type":"object","properties":{"no":{},"1":{},"":{},"<<":{},"null":{}}}`},
		"numbers as written": {`{type: object, properties: {a: {maximum: 12345678901234567890123, minimum: -1e400, multipleOf: 1.10}}}`, `{"type":"object","properties":{"a":{"maximum":12345678901234567890123,"minimum":-1e400,"multipleOf":1.10}}}`},
		"numbers JSON lacks": {`{type: object, enum: [{a: [0x1F, 0o17, 017, +1, .5, 1., -.5e3, 00.0]}]}`, `{"type":"object","enum":[{"a":[31,15,17,1,0.5,1,-0.5e3,0.0]}]}`},
		"texts":              {`{type: object, title: "<a & \"b\"> \u00e9\n"}`, `{"type":"object","title":"<a & \"b\"> é\n"}`},
		"aliases":            {`{type: object, properties: {a: &a {type: string}, b: *a}}`, `{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"string"}}}`},
		"object by $ref":     {`{$ref: '#/$defs/o', $defs: {o: {allOf: [{type: object}]}}}`, `{"$ref":"#/$defs/o","$defs":{"o":{"allOf":[{"type":"object"}]}}}`},
		"object by oneOf":    {`{oneOf: [{type: object}, {type: object}]}`, `{"oneOf":[{"type":"object"},{"type":"object"}]}`},
		"$id at the root":    {`{$id: 'https://example.com/a', $ref: '#/$defs/o', $defs: {o: {type: object}}}`, `{"$id":"https://example.com/a","$ref":"#/$defs/o","$defs":{"o":{"type":"object"}}}`},
		"anchors":            {`{type: object, properties: {a: {$ref: '#x'}}, $defs: {o: {$anchor: x, type: string}}}`, `{"type":"object","properties":{"a":{"$ref":"#x"}},"$defs":{"o":{"$anchor":"x","type":"string"}}}`},
		"a tree":             {`{type: object, properties: {below: {type: array, default: [], items: {$ref: '#'}}}}`, `{"type":"object","properties":{"below":{"type":"array","default":[],"items":{"$ref":"#"}}}}`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := string(parse(t, c.schema).Schema); got != c.want {
				t.Errorf("\n got %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestParse_Limits(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		text string
		want Collection
	}{
		"nothing":         {"", Collection{Access: Access{Member, Member}}},
		"access in part":  {"    access: {read: public}\n", Collection{Access: Access{Public, Member}}},
		"access null":     {"    access:\n", Collection{Access: Access{Member, Member}}},
		"for ever":        {"    retention: 0\n", Collection{Access: Access{Member, Member}}},
		"days":            {"    retention: 30d\n", Collection{Access: Access{Member, Member}, Retention: 720 * time.Hour}},
		"duration":        {"    retention: 1h30m\n", Collection{Access: Access{Member, Member}, Retention: 90 * time.Minute}},
		"a minute":        {"    rate_limit: {writes: 5/m}\n", Collection{Access: Access{Member, Member}, RateLimit: RateLimit{&Rate{5, time.Minute}}}},
		"an hour":         {"    rate_limit: {writes: '10/h'}\n", Collection{Access: Access{Member, Member}, RateLimit: RateLimit{&Rate{10, time.Hour}}}},
		"no limit":        {"    rate_limit: {}\n", Collection{Access: Access{Member, Member}}},
		"no indexes":      {"    indexes: []\n", Collection{Access: Access{Member, Member}}},
		"carriage return": {"    retention: 1d\r\n", Collection{Access: Access{Member, Member}, Retention: 24 * time.Hour}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set, err := Parse("waybill.yaml", []byte(good+c.text))
			if err != nil {
				t.Fatal(err)
			}
			got, _ := set.Get("c")
			c.want.Name = "c"
			if diff := cmp.Diff(c.want, *got, cmp.FilterPath(func(p cmp.Path) bool {
				return p.Last().String() == ".Schema" || p.Last().String() == ".rules"
			}, cmp.Ignore())); diff != "" {
				t.Error(diff)
			}
		})
	}
}
