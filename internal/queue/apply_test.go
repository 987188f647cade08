package queue

import (
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waybill-dev/waybill/internal/record"
)

var traced = record.Trace{Parent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", State: "vendor=1"}

// Whatever a field of an operation is, it arrives: also one that is new.
func TestApplyTask_CarriesAllOfAnOperation(t *testing.T) {
	t.Parallel()
	id := record.NewID(1_767_225_600_123_456, 1, 0)
	full := record.Operation{
		ID: id, Key: record.Key{Tenant: "acme", Collection: "todos", ID: "r"}, Action: record.Replace, Body: []byte(`{"a":1}`),
		IfMatch: 3, IfNoneMatch: true, Principal: "user:1", Admin: true, Reply: "channel", Trace: traced,
	}
	for v, i := reflect.ValueOf(full), 0; i < v.NumField(); i++ {
		if v.Field(i).IsZero() {
			t.Fatalf("the test leaves %s out", v.Type().Field(i).Name)
		}
	}
	created := record.Operation{ID: id, Key: record.Key{Tenant: "acme", Collection: "todos", ID: id}, Action: record.Create, Body: []byte(`{}`)}
	want := []record.Operation{full, created}
	task, err := ApplyTask("any", want, traced)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Operations(task.Payload())
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-sent +received:\n%s", d)
	}
	if d := cmp.Diff(map[string]string{"traceparent": traced.Parent, "tracestate": traced.State}, task.Headers()); d != "" {
		t.Errorf("headers (-want +got):\n%s", d)
	}
}

// Anybody may enqueue: what would not be a header is not passed on as one.
func TestOperations_DropATraceThatIsNone(t *testing.T) {
	t.Parallel()
	task, err := ApplyTask("any", []record.Operation{{
		ID: record.NewID(1, 1, 0), Key: record.Key{Tenant: "acme", Collection: "todos", ID: "r"}, Action: record.Delete,
		Trace: record.Trace{Parent: "00-x\r\nEvil: 1", State: "a=1"},
	}}, record.Trace{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := Operations(task.Payload())
	if err != nil || got[0].Trace != (record.Trace{}) {
		t.Errorf("%+v, %v", got, err)
	}
	if h := task.Headers(); len(h) > 0 {
		t.Errorf("headers %v", h)
	}
}
