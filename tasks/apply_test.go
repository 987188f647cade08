package tasks

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"

	"github.com/waybill-dev/waybill/internal/testenv"
)

const (
	idA = "0198c0de-0001-7abc-8def-0123456789ab"
	idB = "0198c0de-0001-7abc-8def-0123456789ac"
)

// golden is a payload that some version wrote, and what it means. New fields of
// Operation get files of their own: these stay as they are.
type golden struct {
	name       string
	operations []Operation // as encoded
	decoded    []Operation // nil: the same
}

var goldens = []golden{
	{name: "every-field", operations: []Operation{
		{
			ID: idA, Tenant: "acme", Action: "replace", Collection: "todos", Record: "a.b~c-1", Body: json.RawMessage(`{"text":"x","completed":true}`),
			IfMatch: 7, Principal: "user:42", Reply: "waybill:reply:1",
		},
		{ID: idB, Tenant: "acme", Action: "replace", Collection: "todos", Record: "new", Body: json.RawMessage(`{"text":"y"}`), IfNoneMatch: true},
	}},
	{
		name:       "minimal-create",
		operations: []Operation{{ID: idA, Tenant: "default", Action: "create", Collection: "messages", Body: json.RawMessage(`{"content":"hi"}`)}},
		decoded:    []Operation{{ID: idA, Tenant: "default", Action: "create", Collection: "messages", Record: idA, Body: json.RawMessage(`{"content":"hi"}`)}},
	},
	{name: "delete", operations: []Operation{{ID: idA, Tenant: "default", Action: "delete", Collection: "messages", Record: "r1", IfMatch: 3}}},
	{name: "admin", operations: []Operation{{
		ID: idA, Tenant: "acme", Action: "delete", Collection: "todos", Record: "r1", Principal: "key:1", Admin: true, Reply: "waybill:reply:1",
	}}},
	{name: "trace", operations: []Operation{
		{
			ID: idA, Tenant: "acme", Action: "delete", Collection: "todos", Record: "r1",
			Traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", Tracestate: "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE",
		},
		{ID: idB, Tenant: "acme", Action: "delete", Collection: "todos", Record: "r2", Traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"},
	}},
	{name: "bodies", operations: bodies(
		`{"html":"<b>&amp;</b>"}`,
		"{\"separators\":\"\u2028\u2029\"}",
		`{"escaped":"\u003c\u0026\u2028\/\n\"\\\u00e9\ud83d\ude00"}`,
		`{"plain":"é😀"}`,
		`{"n":123456789012345678901234567890,"x":-0.10,"big":1e400,"E":1E+2}`,
		`{"z":1,"a":{"z":[],"a":null}}`,
		`{}`,
	)},
}

// bodies returns a patch of one record for each body.
func bodies(list ...string) []Operation {
	operations := make([]Operation, len(list))
	for i, body := range list {
		operations[i] = Operation{
			ID: idA[:35] + string("0123456789abcdef"[i]), Tenant: "default", Action: "patch",
			Collection: "messages", Record: "r1", Body: json.RawMessage(body),
		}
	}
	return operations
}

func (g *golden) file() string { return filepath.Join("testdata", "apply-v1-"+g.name+".json") }

func (g *golden) read(t *testing.T) []byte {
	t.Helper()
	text, err := os.ReadFile(g.file())
	if err != nil {
		t.Fatal(err)
	}
	return []byte(strings.TrimSuffix(string(text), "\n"))
}

func TestEncodeApply_WireFormatIsPinned(t *testing.T) {
	t.Parallel()
	for _, g := range goldens {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			payload, err := EncodeApply(g.operations)
			if err != nil {
				t.Fatal(err)
			}
			if *update {
				if err := os.WriteFile(g.file(), append(payload, '\n'), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(g.read(t)), string(payload)); diff != "" {
				t.Errorf("the wire format changed (-golden +written):\n%s", diff)
			}
		})
	}
}

func TestEncodeApply_BodiesTravelByteForByte(t *testing.T) {
	t.Parallel()
	for _, op := range goldens[len(goldens)-1].operations {
		payload, err := EncodeApply([]Operation{op})
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(payload), `"body":`+string(op.Body)+`}`) {
			t.Errorf("%s travels as %s", op.Body, payload)
		}
	}
}

func TestEncodeApply_RefusesABodyThatIsNotJSON(t *testing.T) {
	t.Parallel()
	payload, err := EncodeApply([]Operation{{ID: idA, Body: json.RawMessage(`{"a":`)}})
	if err == nil {
		t.Errorf("encoded to %s", payload)
	}
}

func TestDecodeApply_ReadsWhatWasEverWritten(t *testing.T) {
	t.Parallel()
	for _, g := range goldens {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			got, err := DecodeApply(g.read(t))
			if err != nil {
				t.Fatal(err)
			}
			want := g.decoded
			if want == nil {
				want = g.operations
			}
			if diff := cmp.Diff(asText(want), asText(got)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// textOperation is an Operation whose body a diff shows as text.
type textOperation struct {
	Operation
	Body string
}

func asText(operations []Operation) []textOperation {
	list := make([]textOperation, len(operations))
	for i, op := range operations {
		list[i] = textOperation{op, string(op.Body)}
		list[i].Operation.Body = nil
	}
	return list
}

// A field that a later build of the same version adds must not stop this one.
func TestDecodeApply_PassesOverUnknownFields(t *testing.T) {
	t.Parallel()
	got, err := DecodeApply([]byte(`{"v":1,"later":true,"operations":[{"id":"` + idA + `","tenant":"t","action":"delete","collection":"c","later":{"x":1}}]}`))
	if err != nil || len(got) != 1 || got[0].ID != idA {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestDecodeApply_Unreadable(t *testing.T) {
	t.Parallel()
	whole := string(goldens[0].read(t))
	for name, payload := range map[string]string{
		"empty":                 "",
		"not JSON":              "operations",
		"no tenant":             `{"v":1,"operations":[{"id":"` + idA + `","action":"delete","collection":"c"}]}`,
		"not an ID":             `{"v":1,"operations":[{"id":"x","tenant":"t","action":"delete","collection":"c"}]}`,
		"null":                  "null",
		"another type":          `[1]`,
		"cut off":               whole[:len(whole)-2],
		"two payloads":          whole + whole,
		"no version":            strings.Replace(whole, `"v":1,`, "", 1),
		"version 0":             strings.Replace(whole, `"v":1,`, `"v":0,`, 1),
		"a negative version":    strings.Replace(whole, `"v":1,`, `"v":-1,`, 1),
		"a higher version":      strings.Replace(whole, `"v":1,`, `"v":2,`, 1),
		"a version in words":    strings.Replace(whole, `"v":1,`, `"v":"1",`, 1),
		"no operations":         `{"v":1}`,
		"an empty batch":        `{"v":1,"operations":[]}`,
		"an operation in words": `{"v":1,"operations":["create"]}`,
		"a version in a string": strings.Replace(whole, `"if_match":7`, `"if_match":"7"`, 1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := DecodeApply([]byte(payload))
			if !errors.Is(err, ErrUnreadable) || got != nil {
				t.Errorf("%q: got %v, %v; want ErrUnreadable", payload, got, err)
			}
		})
	}
}

func TestDecodeApply_NamesTheVersionItCannotRead(t *testing.T) {
	t.Parallel()
	_, err := DecodeApply([]byte(`{"v":9,"operations":[{"id":"` + idA + `"}]}`))
	if err == nil || !strings.Contains(err.Error(), "version 9") || !strings.Contains(err.Error(), "up to 1") {
		t.Errorf("got %v", err)
	}
}

func TestEncodeOutcome_WireFormatIsPinned(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		outcome Outcome
		want    string
	}{
		"done": {
			Outcome{ID: idA, Status: "done", Version: 1, Created: true, CreatedBy: idA, Owner: "user:42", Data: json.RawMessage(`{"text":"<x>"}`)},
			`{"id":"` + idA + `","status":"done","version":1,"created":true,"created_by":"` + idA + `","owner":"user:42","data":{"text":"<x>"}}`,
		},
		"failed, of anonymous": {
			Outcome{ID: idA, Status: "failed", Code: "forbidden", Detail: "no"},
			`{"id":"` + idA + `","status":"failed","code":"forbidden","detail":"no"}`,
		},
	} {
		if got, err := EncodeOutcome(&c.outcome); err != nil || string(got) != c.want {
			t.Errorf("%s: %s, %v; want %s", name, got, err, c.want)
		}
	}
}

func TestSingleID_IsNoBatchsID(t *testing.T) {
	t.Parallel()
	if got := SingleID(idA); got != idA+".1" {
		t.Errorf("SingleID(%s) = %s", idA, got)
	}
}

// The options are asked of asynq itself, which keeps those of a task to itself
// until it is enqueued.
func TestNewApply_Options(t *testing.T) {
	t.Parallel()
	at, err := asynq.ParseRedisURI(testenv.RedisURL(t))
	if err != nil {
		t.Fatal(err)
	}
	client := asynq.NewClient(at)
	t.Cleanup(func() { _ = client.Close() })
	payload := goldens[1].read(t)
	headers := map[string]string{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}

	info, err := client.EnqueueContext(t.Context(), NewApply(idA, payload, headers))
	if err != nil {
		t.Fatal(err)
	}
	type options struct {
		ID, Queue, Type, Payload string
		MaxRetry                 int
		Timeout, Retention       time.Duration
		Deadline                 time.Time
		State                    asynq.TaskState
		Headers                  map[string]string
	}
	got := options{
		info.ID, info.Queue, info.Type, string(info.Payload), info.MaxRetry, info.Timeout, info.Retention, info.Deadline, info.State, info.Headers,
	}
	want := options{
		ID: idA, Queue: "writes", Type: "write:apply", Payload: string(payload), MaxRetry: math.MaxInt32,
		Timeout: 2 * time.Minute, State: asynq.TaskStatePending, Headers: headers,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if _, err := client.EnqueueContext(t.Context(), NewApply(idA, payload, nil)); !errors.Is(err, asynq.ErrTaskIDConflict) {
		t.Errorf("enqueued under a taken ID: %v, want a conflict", err)
	}
	if _, err := client.EnqueueContext(t.Context(), NewApply(SingleID(idA), payload, nil)); err != nil {
		t.Errorf("enqueued on its own: %v", err)
	}
}
