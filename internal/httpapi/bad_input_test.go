package httpapi_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// badInput is a request that must be refused and change nothing.
type badInput struct {
	name          string
	method, path  string // POST /api/messages
	body          string
	headers       []string // Content-Type: application/json, unless bare
	bare, chunked bool
	status        int
	code          string
	at            []string
}

func nested(depth int) string {
	return `{"anything":` + strings.Repeat("[", depth-1) + strings.Repeat("]", depth-1) + `}`
}

// content returns a message whose body has n bytes.
func content(n int) string {
	const frame = len(`{"content":""}`)
	return `{"content":"` + strings.Repeat("x", n-frame) + `"}`
}

// ndjson returns n good messages, of which number bad (from 1; 0 for none) is
// another line.
func ndjson(n, bad int, line string) string {
	var b strings.Builder
	for i := 1; i <= n; i++ {
		if i == bad {
			b.WriteString(line + "\n")
		} else {
			fmt.Fprintf(&b, "{\"content\":\"line %d\"}\n", i)
		}
	}
	return b.String()
}

const kib = 1 << 10

var badBodies = []badInput{
	{name: "empty", body: "", status: 400, code: "invalid_json", at: []string{"body"}},
	{name: "white space", body: " \r\n", status: 400, code: "invalid_json", at: []string{"body"}},
	{name: "not JSON", body: "content=hello", status: 400, code: "invalid_json", at: []string{"body"}},
	{name: "cut off", body: `{"content":"hel`, status: 400, code: "invalid_json", at: []string{"body.content"}},
	{name: "a comment", body: `{"content":"hello"/* */}`, status: 400, code: "invalid_json", at: []string{"body"}},
	{name: "a trailing comma", body: `{"content":"hello",}`, status: 400, code: "invalid_json", at: []string{"body"}},
	{name: "a byte order mark", body: "\ufeff" + `{"content":"hello"}`, status: 400, code: "invalid_json", at: []string{"body"}},
	{name: "an array", body: `[{"content":"hello"}]`, status: 400, code: "invalid_json", at: []string{"body"}},
	{name: "a string", body: `"hello"`, status: 400, code: "invalid_json", at: []string{"body"}},
	{name: "null", body: `null`, status: 400, code: "invalid_json", at: []string{"body"}},
	{name: "a number", body: `1`, status: 400, code: "invalid_json", at: []string{"body"}},
	{name: "duplicate names", body: `{"content":"a","content":"b"}`, status: 400, code: "invalid_json", at: []string{"body.content"}},
	{name: "duplicate names, one escaped", body: `{"content":"a","\u0063ontent":"b"}`, status: 400, code: "invalid_json", at: []string{"body.content"}},
	{name: "duplicate names inside", path: "/api/readings", body: `{"place":{"a":1,"a":1}}`, status: 400, code: "invalid_json", at: []string{"body.place.a"}},
	{name: "NUL in a value", body: `{"content":"a\u0000b"}`, status: 400, code: "invalid_json", at: []string{"body.content"}},
	{name: "NUL in a name", path: "/api/readings", body: `{"a\u0000b":1}`, status: 400, code: "invalid_json", at: []string{"body"}},
	{name: "a raw NUL", body: "{\"content\":\"a\x00b\"}", status: 400, code: "invalid_json", at: []string{"body.content"}},
	{name: "a lone high surrogate", body: `{"content":"\ud800"}`, status: 400, code: "invalid_json", at: []string{"body.content"}},
	{name: "a lone low surrogate", body: `{"content":"\udc00\ud800"}`, status: 400, code: "invalid_json", at: []string{"body.content"}},
	{name: "invalid UTF-8", body: "{\"content\":\"\xff\"}", status: 400, code: "invalid_json", at: []string{"body.content"}},
	{name: "overlong UTF-8", body: "{\"content\":\"\xc0\xaf\"}", status: 400, code: "invalid_json", at: []string{"body.content"}},
	{name: "a surrogate in UTF-8", body: "{\"content\":\"\xed\xa0\x80\"}", status: 400, code: "invalid_json", at: []string{"body.content"}},
	{name: "nesting of 65", path: "/api/readings", body: nested(65), status: 400, code: "invalid_json"},
	{name: "nesting of 100,000", path: "/api/readings", body: nested(100_000), status: 400, code: "invalid_json"},
	{name: "257 KiB", body: content(257 * kib), status: 413, code: "too_large", at: []string{"body"}},
	{name: "257 KiB in chunks", body: content(257 * kib), chunked: true, status: 413, code: "too_large", at: []string{"body"}},
	{name: "a byte too many", path: "/api/readings", body: `{"sensor":"` + strings.Repeat("x", 256*kib-12) + `"}`, status: 413, code: "too_large", at: []string{"body"}},
	{name: "data after the object", body: `{"content":"a"}{"content":"b"}`, status: 400, code: "invalid_json", at: []string{"body"}},
	{name: "a word after the object", body: `{"content":"a"} x`, status: 400, code: "invalid_json", at: []string{"body"}},
	{name: "a number with a leading zero", path: "/api/readings", body: `{"value":01}`, status: 400, code: "invalid_json", at: []string{"body"}},
	{name: "NaN", path: "/api/readings", body: `{"value":NaN}`, status: 400, code: "invalid_json", at: []string{"body.value"}},
	{name: "an exponent beyond reason", path: "/api/readings", body: `{"value":1e1000000000}`, status: 400, code: "invalid_json", at: []string{"body.value"}},
	{name: "unknown field", body: `{"content":"a","colour":"red"}`, status: 422, code: "invalid_record", at: []string{"body.colour"}},
	{name: "missing field", body: `{}`, status: 422, code: "invalid_record", at: []string{"body.content"}},
	{name: "empty field", body: `{"content":""}`, status: 422, code: "invalid_record", at: []string{"body.content"}},
	{name: "a field of 10,001 characters", body: content(14 + 10_001), status: 422, code: "invalid_record", at: []string{"body.content"}},
	{name: "wrong type", body: `{"content":1}`, status: 422, code: "invalid_record", at: []string{"body.content"}},
	{name: "reserved id", body: `{"content":"a","id":"x"}`, status: 422, code: "invalid_record", at: []string{"body.id"}},
	{name: "reserved version", body: `{"content":"a","version":1}`, status: 422, code: "invalid_record", at: []string{"body.version"}},
	{name: "reserved times", path: "/api/readings", body: `{"created_at":null,"updated_at":""}`, status: 422, code: "invalid_record", at: []string{"body.created_at", "body.updated_at"}},
	{
		name: "everything at once", path: "/api/todos", body: `{"completed":"yes","colour":1,"id":1}`, status: 422, code: "invalid_record",
		at: []string{"body.colour", "body.completed", "body.id", "body.text"},
	},
	{name: "a patch of a reserved field", method: "PATCH", path: "/api/messages/kept", body: `{"version":9}`, status: 422, code: "invalid_record", at: []string{"body.version"}},
	{name: "a patch of an unknown field", method: "PATCH", path: "/api/messages/kept", body: `{"colour":"red"}`, status: 422, code: "invalid_record", at: []string{"body.colour"}},
	{name: "a patch of the wrong type", method: "PATCH", path: "/api/messages/kept", body: `{"content":[]}`, status: 422, code: "invalid_record", at: []string{"body.content"}},
	{name: "a patch that is an array", method: "PATCH", path: "/api/messages/kept", body: `[]`, status: 400, code: "invalid_json", at: []string{"body"}},
	{name: "a replacement that is not valid", method: "PUT", path: "/api/messages/kept", body: `{}`, status: 422, code: "invalid_record", at: []string{"body.content"}},
}

var badTypes = []badInput{
	{name: "no content type", bare: true},
	{name: "form", bare: true, headers: []string{"Content-Type: application/x-www-form-urlencoded"}},
	{name: "text", bare: true, headers: []string{"Content-Type: text/plain"}},
	{name: "merge patch to POST", bare: true, headers: []string{"Content-Type: application/merge-patch+json"}},
	{name: "JSON in another charset", bare: true, headers: []string{"Content-Type: application/json; charset=latin1"}},
	{name: "a malformed content type", bare: true, headers: []string{"Content-Type: application/json; charset"}},
	{name: "two content types", bare: true, headers: []string{"Content-Type: application/json", "Content-Type: application/x-ndjson"}},
	{name: "compressed", headers: []string{"Content-Encoding: gzip"}},
	{name: "lines to PUT", method: "PUT", path: "/api/messages/kept", bare: true, headers: []string{"Content-Type: application/x-ndjson"}},
	{name: "merge patch to PUT", method: "PUT", path: "/api/messages/kept", bare: true, headers: []string{"Content-Type: application/merge-patch+json"}},
	{name: "JSON patch to PATCH", method: "PATCH", path: "/api/messages/kept", bare: true, headers: []string{"Content-Type: application/json-patch+json"}},
	{name: "no content type to PATCH", method: "PATCH", path: "/api/messages/kept", bare: true},
}

// badIDs are the segments that can be no record's ID, and where they can be said
// to be one at all.
var badIDs = map[string]string{
	"a slash":             "a%2Fb",
	"dots":                "%2E%2E",
	"plain dots":          "..",
	"a dot":               "%2e",
	"changes":             "changes",
	"changes, escaped":    "chang%65s",
	"129 characters":      strings.Repeat("a", 129),
	"empty":               "",
	"a space":             "a%20b",
	"a percent sign":      "a%25b",
	"an escaped escape":   "a%2541b",
	"NUL":                 "a%00b",
	"invalid UTF-8":       "%ff",
	"beyond ASCII":        "%C3%A9",
	"a plus":              "a+b",
	"a colon":             "a:b",
	"an at sign":          "a@b",
	"a semicolon":         "a;b",
	"a quote":             "a%22b",
	"a backslash":         "a%5Cb",
	"a question mark":     "a%3Fb",
	"an exclamation mark": "a!",
}

var badHeaders = map[string][]string{
	"Idempotency-Key": {
		strings.Repeat("k", 256), "", "a\tb", "é", "\x80",
	},
	"Prefer": {
		"wait", "wait=", "wait=abc", "wait=-1", "wait=31", "wait=1.5", "wait=1s", "wait=+1", `wait="abc"`, `wait="`, "wait=99999999999999999999",
		"respond-async, wait=x", "handling=lenient;wait=1, wait=31", "wait=x, wait=1",
	},
	"If-Match": {
		"abc", `"abc"`, "1", `W/"1"`, `"1`, `""`, `"0"`, `"-1"`, `"01"`, `"+1"`, `"1.0"`, `"1", "2"`, `"99999999999999999999"`, "",
	},
	"If-None-Match": {"abc", `"1"`, `"*"`, "", "*, *"},
}

func badInputs() []badInput {
	cases := append([]badInput{}, badBodies...)
	for _, c := range badTypes {
		c.name, c.body, c.status, c.code = "content type: "+c.name, `{"content":"a"}`, 415, "unsupported_media_type"
		cases = append(cases, c)
	}
	for name, id := range badIDs {
		for _, method := range []string{"PUT", "PATCH", "DELETE", "GET"} {
			cases = append(cases, badInput{
				name: fmt.Sprintf("ID: %s, %s", name, method), method: method, path: "/api/messages/" + id,
				body: `{"content":"a"}`, status: 400, code: "invalid_parameter", at: []string{"path.id"},
			})
		}
	}
	for name, values := range badHeaders {
		for i, value := range values {
			cases = append(cases, badInput{
				name: fmt.Sprintf("%s %d", name, i), method: "PUT", path: "/api/messages/kept", body: `{"content":"a"}`, headers: []string{name + ": " + value},
				status: 400, code: "invalid_parameter", at: []string{"header." + name},
			})
		}
	}
	return append(cases, badPlaces()...)
}

// badPlaces are requests for what is not there, or not in that way.
func badPlaces() []badInput {
	cases := []badInput{
		{name: "two keys", headers: []string{"Idempotency-Key: a", "Idempotency-Key: b"}, at: []string{"header.Idempotency-Key"}},
		{name: "two matches", method: "PUT", path: "/api/messages/kept", headers: []string{`If-Match: "1"`, `If-Match: "2"`}, at: []string{"header.If-Match"}},
		{name: "unknown parameter of POST", path: "/api/messages?dry_run=1", at: []string{"query.dry_run"}},
		{name: "unknown parameter of PUT", method: "PUT", path: "/api/messages/kept?a=1&b=2", at: []string{"query.a", "query.b"}},
		{name: "unknown parameter of PATCH", method: "PATCH", path: "/api/messages/kept?wait=1", at: []string{"query.wait"}},
		{name: "unknown parameter of DELETE", method: "DELETE", path: "/api/messages/kept?force", at: []string{"query.force"}},
		{name: "malformed query", path: "/api/messages?a=%zz", at: []string{"query"}},
		{name: "a semicolon in the query", path: "/api/messages?a=1;b=2", at: []string{"query"}},
	}
	for i := range cases {
		cases[i].status, cases[i].code, cases[i].body = 400, "invalid_parameter", `{"content":"a"}`
	}
	return append(cases,
		badInput{name: "unknown collection, POST", path: "/api/nothing", body: `{"content":"a"}`, status: 404, code: "unknown_collection"},
		badInput{name: "unknown collection, PUT", method: "PUT", path: "/api/nothing/a", body: `{"content":"a"}`, status: 404, code: "unknown_collection"},
		badInput{name: "unknown collection, PATCH", method: "PATCH", path: "/api/nothing/a", body: `{"content":"a"}`, status: 404, code: "unknown_collection"},
		badInput{name: "unknown collection, DELETE", method: "DELETE", path: "/api/nothing/a", status: 404, code: "unknown_collection"},
		badInput{name: "collection in capitals", path: "/api/Messages", body: `{"content":"a"}`, status: 404, code: "unknown_collection"},
		badInput{name: "ID with a plain slash", method: "PUT", path: "/api/messages/a/b", body: `{"content":"a"}`, status: 404, code: "not_found"},
		badInput{name: "DELETE of a collection", method: "DELETE", path: "/api/messages", status: 405, code: "method_not_allowed"},
		badInput{name: "POST to a record", path: "/api/messages/kept", body: `{"content":"a"}`, status: 405, code: "method_not_allowed"},
	)
}

var badLines = []badInput{
	{name: "no lines", body: "", status: 400, code: "invalid_json", at: []string{"body"}},
	{name: "an end of line alone", body: "\n", status: 400, code: "invalid_json", at: []string{"body"}},
	{name: "a blank line within", body: ndjson(3, 2, ""), status: 400, code: "invalid_json", at: []string{"line[2]"}},
	{name: "a line of spaces", body: ndjson(3, 2, " \t"), status: 400, code: "invalid_json", at: []string{"line[2]"}},
	{name: "a blank line at the end", body: ndjson(2, 0, "") + "\n", status: 400, code: "invalid_json", at: []string{"line[3]"}},
	{name: "a blank line at the start", body: ndjson(2, 1, ""), status: 400, code: "invalid_json", at: []string{"line[1]"}},
	{name: "line 17 empty content", body: ndjson(20, 17, `{"content":""}`), status: 422, code: "invalid_record", at: []string{"line[17].content"}},
	{name: "line 17 not JSON", body: ndjson(20, 17, `{"content"}`), status: 400, code: "invalid_json", at: []string{"line[17].content"}},
	{name: "line 17 a reserved field", body: ndjson(20, 17, `{"content":"a","id":"x"}`), status: 422, code: "invalid_record", at: []string{"line[17].id"}},
	{name: "the last line", body: ndjson(20, 20, `{}`), status: 422, code: "invalid_record", at: []string{"line[20].content"}},
	{
		name: "two lines", body: strings.Replace(ndjson(20, 17, `{}`), `{"content":"line 3"}`, `{"content":1}`, 1),
		status: 422, code: "invalid_record", at: []string{"line[3].content", "line[17].content"},
	},
	{name: "two objects on a line", body: ndjson(3, 2, `{"content":"a"}{"content":"b"}`), status: 400, code: "invalid_json", at: []string{"line[2]"}},
	{name: "an array of records", body: `[{"content":"a"},{"content":"b"}]`, status: 400, code: "invalid_json", at: []string{"line[1]"}},
	{name: "10,001 lines", body: strings.Repeat("{\"content\":\"a\"}\n", 10_001), status: 413, code: "too_large", at: []string{"body"}},
	{name: "a line of 257 KiB", body: ndjson(3, 2, content(257*kib)), status: 413, code: "too_large", at: []string{"line[2]"}},
	{name: "more than 16 MiB", body: strings.Repeat(content(10_000)+"\n", 1_700), status: 413, code: "too_large", at: []string{"body"}},
	{name: "more than 16 MiB in chunks", body: strings.Repeat(content(10_000)+"\n", 1_700), chunked: true, status: 413, code: "too_large", at: []string{"body"}},
	{name: "a bad key", body: ndjson(3, 0, ""), headers: []string{"Idempotency-Key: " + strings.Repeat("k", 256)}, status: 400, code: "invalid_parameter", at: []string{"header.Idempotency-Key"}},
	{name: "a bad Prefer", body: ndjson(3, 0, ""), headers: []string{"Prefer: wait=abc"}, status: 400, code: "invalid_parameter", at: []string{"header.Prefer"}},
	{name: "to another collection", path: "/api/nothing", body: ndjson(3, 0, ""), status: 404, code: "unknown_collection"},
}

// reader hides a reader's length, so that the body travels in chunks.
type reader struct{ io.Reader }

func (c *badInput) send(s *service, media string) *answer {
	s.t.Helper()
	var body io.Reader = strings.NewReader(c.body)
	if c.chunked {
		body = reader{body}
	}
	headers := c.headers
	if !c.bare {
		headers = withType(media, headers)
	}
	method, path := c.method, c.path
	if method == "" {
		method = http.MethodPost
	}
	if path == "" {
		path = "/api/messages"
	}
	return s.send(method, path, body, headers...)
}

func TestAPI_BadInputChangesNothing(t *testing.T) { //nolint:tparallel // each case compares the state before it with the state after it
	t.Parallel()
	s := newService(t)
	stop := s.work()
	s.put("/api/messages/kept", `{"content":"as it was"}`, waited).want(201)
	stop()
	s.put("/api/messages/queued", `{"content":"still in the queue"}`).accepted()
	before := s.state()

	for media, cases := range map[string][]badInput{plainJSON: badInputs(), lines: badLines} {
		for _, c := range cases {
			t.Run(media+"/"+c.name, func(t *testing.T) {
				at := *s
				at.t = t
				a := c.send(&at, media)
				if strings.HasPrefix(c.name, "nesting") { // the place is 64 levels long
					c.at = []string{a.deepest()}
				}
				a.problem(c.status, c.code, c.at...)
				after := at.state()
				if diff := cmp.Diff(before, after); diff != "" {
					t.Errorf("%s changed something (-before +after):\n%s", a.what, diff)
				}
				before = after
			})
		}
	}

	s.work()
	s.drained()
	if got := s.page("/api/operations").members(t, "record"); !cmp.Equal(got, []string{"queued", "kept"}) {
		t.Errorf("operations on %q were stored", got)
	}
}

// deepest returns the location of the only error, which must be in the body.
func (a *answer) deepest() string {
	a.t.Helper()
	var p problem
	a.into(&p)
	if len(p.Errors) != 1 || !strings.HasPrefix(p.Errors[0].Location, "body.anything[0][0]") {
		a.t.Fatalf("errors %.300v", p.Errors)
	}
	return p.Errors[0].Location
}

// What is just within the limits is accepted: the limits are where they are said to be.
func TestAPI_LimitsAreInclusive(t *testing.T) {
	t.Parallel()
	s := working(t)
	for name, c := range map[string]struct{ path, body string }{
		"256 KiB":                        {"/api/readings", `{"sensor":"` + strings.Repeat("x", 256*kib-13) + `"}`},
		"nesting of 64":                  {"/api/readings", nested(64)},
		"10,000 characters":              {"/api/messages", `{"content":"` + strings.Repeat("😀", 10_000) + `"}`},
		"white space around":             {"/api/messages", " \r\n\t{\"content\":\"a\"}\n "},
		"a pair of surrogates":           {"/api/messages", `{"content":"\ud83d\ude00"}`},
		"control characters, escaped":    {"/api/messages", `{"content":"\u0001\u001f\u007f"}`},
		"a name that only looks special": {"/api/readings", `{"__proto__":1,"$ref":"x","":2}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := *s
			at.t = t
			at.post(c.path, c.body, waited).want(201)
		})
	}
	for _, id := range []string{"a", strings.Repeat("a", 128), "...", ".a", "~-_.", "Changes", "0198c0de-0001-7abc-8def-0123456789ab"} {
		s.put("/api/messages/"+id, `{"content":"a"}`, waited).want(201)
		if got := s.get("/api/messages/" + id).want(200).fields()["id"]; got != `"`+id+`"` {
			t.Errorf("got ID %s, want %s", got, id)
		}
	}
	s.post("/api/messages", `{"content":"a"}`, "Idempotency-Key: "+strings.Repeat("k", 255)).accepted()
	s.post("/api/messages", `{"content":"b"}`, "Idempotency-Key: with space ~!").accepted()
}
