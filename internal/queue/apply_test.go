package queue

import (
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waybill-dev/waybill/internal/record"
)

// Whatever a field of an operation is, it arrives: also one that is new.
func TestApplyTask_CarriesAllOfAnOperation(t *testing.T) {
	t.Parallel()
	id := record.NewID(1_767_225_600_123_456, 1, 0)
	full := record.Operation{
		ID: id, Key: record.Key{Tenant: "acme", Collection: "todos", ID: "r"}, Action: record.Replace, Body: []byte(`{"a":1}`),
		IfMatch: 3, IfNoneMatch: true, Principal: "user:1", Admin: true, Reply: "channel",
	}
	for v, i := reflect.ValueOf(full), 0; i < v.NumField(); i++ {
		if v.Field(i).IsZero() {
			t.Fatalf("the test leaves %s out", v.Type().Field(i).Name)
		}
	}
	created := record.Operation{ID: id, Key: record.Key{Tenant: "acme", Collection: "todos", ID: id}, Action: record.Create, Body: []byte(`{}`)}
	want := []record.Operation{full, created}
	task, err := ApplyTask("any", want, nil)
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
}
