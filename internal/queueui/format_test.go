package queueui

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/waybill-dev/waybill/tasks"
)

func TestFormatter_Payload(t *testing.T) {
	t.Parallel()
	f := formatter{collections(t)}
	cases := map[string]struct{ kind, payload, want string }{
		"not JSON":         {tasks.TypeApply, `{"password":"p`, "unreadable payload of 14 bytes"},
		"newer":            {tasks.TypeApply, `{"v":99,"operations":[{"body":{"a":"p"}}]}`, "unreadable payload of 42 bytes"},
		"empty":            {tasks.TypeApply, ``, "unreadable payload of 0 bytes"},
		"delivery damaged": {tasks.TypeDeliver, `[]`, "unreadable payload of 2 bytes"},
		"unknown type":     {"x", `{"a":"p"}`, "unreadable payload of 9 bytes"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := f.payload(tc.kind, []byte(tc.payload)); got != tc.want {
				t.Errorf("shown as %s", got)
			}
		})
	}
	if got := result("", []byte("secret")); got != "result of 6 bytes" {
		t.Errorf("a result is shown as %s", got)
	}
	if got := result("", nil); got != "" {
		t.Errorf("no result is shown as %s", got)
	}
}

func TestFormatter_LargeBatch(t *testing.T) {
	t.Parallel()
	f := formatter{collections(t)}
	operations := make([]tasks.Operation, tasks.MaxOperations)
	for i := range operations {
		operations[i] = tasks.Operation{ID: operationA, Tenant: "acme", Action: "create", Collection: "people", Body: json.RawMessage(`{"name":"` + strings.Repeat("n", 200) + `"}`)}
	}
	operations[0].Body = json.RawMessage(`{"name":"` + strings.Repeat("n", 200_000) + `"}`)
	payload, err := tasks.EncodeApply(operations)
	if err != nil {
		t.Fatal(err)
	}
	text := f.payload(tasks.TypeApply, payload)
	var shown struct {
		Operations []json.RawMessage
		NotShown   int `json:"not_shown"`
	}
	if err := json.Unmarshal([]byte(text), &shown); err != nil {
		t.Fatal(err)
	}
	if n := len(shown.Operations); n < 10 || n+shown.NotShown != len(operations) || len(text) > 2*maxShown {
		t.Errorf("%d shown, %d not, %d bytes", n, shown.NotShown, len(text))
	}
	if !strings.Contains(text, `"200011 bytes, not shown"`) {
		t.Errorf("a large body is shown: %.300s", text)
	}
}

func FuzzFormatter(f *testing.F) {
	fm := formatter{collections(f)}
	f.Add(`{"password":"p"}`, "people")
	f.Add(`{"a":[{"p\u0061ssword":{"b":1}}]}`, "people")
	f.Add(`{"x":1}`, "other")
	f.Fuzz(func(t *testing.T, body, name string) {
		const canary = "canary-in-the-mine"
		if !json.Valid([]byte(body)) {
			return
		}
		hidden := `{"password":"` + canary + `","rest":` + body + `,"list":[{"pass\u0077ord":["` + canary + `"]}]}`
		payload, err := tasks.EncodeApply([]tasks.Operation{{ID: operationA, Tenant: "t", Action: "create", Collection: name, Body: json.RawMessage(hidden)}})
		if err != nil {
			return
		}
		for _, kind := range []string{tasks.TypeApply, tasks.TypeDeliver, name} {
			if text := fm.payload(kind, payload); strings.Contains(text, canary) {
				t.Fatalf("%s shows %s", kind, text)
			}
		}
	})
}
