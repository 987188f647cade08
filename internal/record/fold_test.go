package record_test

import (
	"errors"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/record"
)

var key = record.Key{Tenant: "default", Collection: "todos", ID: "r"}

// merge is the merge of a collection whose only rule is: no field "bad".
func merge(stored, patch []byte) ([]byte, error) {
	merged, err := jsonpatch.MergePatch(stored, patch)
	if err == nil && strings.Contains(string(merged), `"bad"`) {
		err = fault.At(fault.InvalidRecord, "body.bad", "is not allowed")
	}
	return merged, err
}

func drawOperations(t *rapid.T) []record.Operation {
	n := rapid.IntRange(0, 12).Draw(t, "n")
	operations := make([]record.Operation, n)
	for i := range operations {
		op := record.Operation{ID: record.NewID(int64(1_000_000+i), 1, 0), Key: key}
		op.Principal = rapid.SampledFrom([]string{"", "user:ann", "key:bob"}).Draw(t, "principal")
		op.Action = rapid.SampledFrom([]record.Action{record.Create, record.Replace, record.Patch, record.Delete}).Draw(t, "action")
		if op.Action != record.Delete {
			op.Body = []byte(rapid.SampledFrom([]string{`{"a":1}`, `{"b":2}`, `{"a":null,"c":[]}`, `{"bad":1}`, `{}`}).Draw(t, "body"))
		}
		if op.Action != record.Create {
			op.IfMatch = rapid.Int64Range(0, 4).Draw(t, "if-match")
		}
		op.IfNoneMatch = op.Action == record.Replace && op.IfMatch == 0 && rapid.Bool().Draw(t, "if-none-match")
		operations[i] = op
	}
	return operations
}

func TestFold_SplitAnywhereComesToTheSame(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		operations := drawOperations(t)
		whole, outcomes := record.Fold(nil, operations, merge)
		cut := rapid.IntRange(0, len(operations)).Draw(t, "cut")
		half, first := record.Fold(nil, operations[:cut], merge)
		rest, second := record.Fold(half, operations[cut:], merge)
		if d := cmp.Diff(whole, rest); d != "" {
			t.Fatalf("records differ (-whole +split):\n%s", d)
		}
		if d := cmp.Diff(outcomes, append(first, second...)); d != "" {
			t.Fatalf("outcomes differ (-whole +split):\n%s", d)
		}
	})
}

func TestFold_KeepsItsInvariants(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		operations := drawOperations(t)
		var current *record.Record
		for _, op := range operations {
			before := current
			after, outcomes := record.Fold(before, []record.Operation{op}, merge)
			o := outcomes[0]
			if want := record.OwnerOf(before, &op); o.Owner != want || after != nil && after.Owner != want {
				t.Fatalf("the record was %+v, and now is %+v, outcome %+v; want it owned by %q", before, after, o, want)
			}
			switch {
			case o.Status == record.Failed:
				if after != before || o.Code == "" || o.Detail == "" || o.Record != nil || o.Version != 0 {
					t.Fatalf("failed, and yet: %+v", o)
				}
			case op.Action == record.Delete:
				if after != nil || o.Record != before || o.Version != before.Version {
					t.Fatalf("deleted, and yet: %+v", o)
				}
			case before == nil:
				if !o.Created || after.Version != 1 || after.CreatedBy != op.ID || after.UpdatedBy != op.ID {
					t.Fatalf("created, and yet: %+v", o)
				}
			default:
				if o.Created || after.Version != before.Version+1 || after.CreatedBy != before.CreatedBy || after.UpdatedBy != op.ID || o.Version != after.Version {
					t.Fatalf("updated, and yet: %+v", o)
				}
			}
			current = after
		}
	})
}

func TestFold_Outcomes(t *testing.T) {
	t.Parallel()
	existing := &record.Record{Key: key, Version: 3, Data: []byte(`{"a":1}`), CreatedBy: "c", UpdatedBy: "u"}
	tests := []struct {
		name    string
		current *record.Record
		op      record.Operation
		code    fault.Kind // "" for done
		version int64
		data    string
	}{
		{"create", nil, record.Operation{Action: record.Create, Body: []byte(`{"a":1}`)}, "", 1, `{"a":1}`},
		{"create over an existing record", existing, record.Operation{Action: record.Create, Body: []byte(`{}`)}, fault.Conflict, 0, ""},
		{"replace creates", nil, record.Operation{Action: record.Replace, Body: []byte(`{"b":2}`)}, "", 1, `{"b":2}`},
		{"replace replaces", existing, record.Operation{Action: record.Replace, Body: []byte(`{"b":2}`)}, "", 4, `{"b":2}`},
		{"replace with the right version", existing, record.Operation{Action: record.Replace, IfMatch: 3, Body: []byte(`{"b":2}`)}, "", 4, `{"b":2}`},
		{"replace with a wrong version", existing, record.Operation{Action: record.Replace, IfMatch: 2, Body: []byte(`{}`)}, fault.VersionMismatch, 0, ""},
		{"replace with a version of nothing", nil, record.Operation{Action: record.Replace, IfMatch: 1, Body: []byte(`{}`)}, fault.VersionMismatch, 0, ""},
		{"create only, free", nil, record.Operation{Action: record.Replace, IfNoneMatch: true, Body: []byte(`{}`)}, "", 1, `{}`},
		{"create only, taken", existing, record.Operation{Action: record.Replace, IfNoneMatch: true, Body: []byte(`{}`)}, fault.VersionMismatch, 0, ""},
		{"patch", existing, record.Operation{Action: record.Patch, Body: []byte(`{"a":null,"c":"x"}`)}, "", 4, `{"c":"x"}`},
		{"patch that breaks the schema", existing, record.Operation{Action: record.Patch, Body: []byte(`{"bad":1}`)}, fault.InvalidRecord, 0, ""},
		{"patch of nothing", nil, record.Operation{Action: record.Patch, IfMatch: 1, Body: []byte(`{}`)}, fault.NotFound, 0, ""},
		{"delete", existing, record.Operation{Action: record.Delete}, "", 3, `{"a":1}`},
		{"delete of nothing", nil, record.Operation{Action: record.Delete}, fault.NotFound, 0, ""},
		{"an action of the future", existing, record.Operation{Action: "rename"}, fault.Internal, 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.op.ID, tt.op.Key = "o", key
			_, outcomes := record.Fold(tt.current, []record.Operation{tt.op}, merge)
			o := outcomes[0]
			if o.Code != tt.code || o.Version != tt.version {
				t.Fatalf("code %q, version %d (%s); want %q, %d", o.Code, o.Version, o.Detail, tt.code, tt.version)
			}
			if tt.code == "" && string(o.Record.Data) != tt.data {
				t.Fatalf("data %s, want %s", o.Record.Data, tt.data)
			}
		})
	}
}

// Whoever creates a record owns it, until it is deleted: then it is free.
func TestFold_TheCreatorOwns(t *testing.T) {
	t.Parallel()
	body := []byte(`{}`)
	steps := []struct {
		action record.Action
		writer string
		owner  string // after it; of a record that is not there, whoever wrote
	}{
		{record.Patch, "user:bob", "user:bob"}, // of nothing
		{record.Replace, "user:ann", "user:ann"},
		{record.Replace, "user:bob", "user:ann"},
		{record.Create, "user:bob", "user:ann"}, // fails
		{record.Patch, "", "user:ann"},
		{record.Delete, "user:bob", "user:ann"},
		{record.Delete, "user:ann", "user:ann"}, // of nothing
		{record.Replace, "", ""},
		{record.Replace, "user:ann", ""},
		{record.Delete, "user:ann", ""},
		{record.Create, "key:1", "key:1"},
	}
	var current *record.Record
	for i, s := range steps {
		op := record.Operation{ID: record.NewID(int64(1_000_000+i), 1, 0), Key: key, Action: s.action, Body: body, Principal: s.writer}
		after, o := record.Apply(current, &op, merge)
		if o.Owner != s.owner || after != nil && after.Owner != s.owner || o.Record != nil && o.Record.Owner != s.owner {
			t.Errorf("step %d, %s by %q: outcome %+v, record %+v; want it owned by %q", i, s.action, s.writer, o, after, s.owner)
		}
		current = after
	}
}

func TestMayTouch(t *testing.T) {
	t.Parallel()
	of := func(owner string) *record.Record { return &record.Record{Key: key, Owner: owner} }
	for _, c := range []struct {
		name    string
		current *record.Record
		op      record.Operation
		want    bool
	}{
		{"what is not there", nil, record.Operation{Principal: "user:ann"}, true},
		{"one's own", of("user:ann"), record.Operation{Principal: "user:ann"}, true},
		{"somebody else's", of("user:ann"), record.Operation{Principal: "user:bob"}, false},
		{"a namesake's of another kind", of("user:ann"), record.Operation{Principal: "key:ann"}, false},
		{"somebody's, by anonymous", of("user:ann"), record.Operation{}, false},
		{"anonymous's, by anonymous", of(""), record.Operation{}, false},
		{"anonymous's, by somebody", of(""), record.Operation{Principal: "user:ann"}, false},
		{"somebody else's, by an admin", of("user:ann"), record.Operation{Principal: "user:bob", Admin: true}, true},
		{"anonymous's, by an admin", of(""), record.Operation{Principal: "user:bob", Admin: true}, true},
	} {
		if got := record.MayTouch(c.current, &c.op); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestFail_TellsEveryReasonAndNoCause(t *testing.T) {
	t.Parallel()
	err := &fault.Error{
		Kind: fault.InvalidRecord, Detail: "2 problems", Cause: errors.New("a secret"),
		Items: []fault.Item{{Location: "body.a", Message: "is required"}, {Location: "body.b", Message: "unknown field"}},
	}
	o := record.Fail(record.Operation{ID: "o"}, err)
	if want := "body.a: is required; body.b: unknown field"; o.Detail != want {
		t.Errorf("detail %q, want %q", o.Detail, want)
	}
	if o := record.Fail(record.Operation{}, fault.Wrap(fault.Conflict, errors.New("a secret"), "taken")); o.Detail != "taken" {
		t.Errorf("detail %q, want %q", o.Detail, "taken")
	}
}
