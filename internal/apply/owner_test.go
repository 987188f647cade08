package apply_test

import (
	"strings"
	"testing"

	"github.com/waybill-dev/waybill/internal/collection"
	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/record"
)

// The rule holds before every other precondition, and in collections whose write
// role is owner alone.
func TestHandler_OnlyTheOwnerTouchesARecord(t *testing.T) {
	t.Parallel()
	const ann, bob = "user:ann", "key:bob"
	forAll := strings.Replace(todos, "write: owner", "write: member", 1)
	tests := []struct {
		name          string
		configuration string
		owner         string
		op            record.Operation
		code          fault.Kind // "" for done
	}{
		{"the owner replaces", todos, ann, record.Operation{Action: record.Replace, Principal: ann}, ""},
		{"the owner's precondition", todos, ann, record.Operation{Action: record.Replace, Principal: ann, IfMatch: 9}, fault.VersionMismatch},
		{"another replaces", todos, ann, record.Operation{Action: record.Replace, Principal: bob}, fault.Forbidden},
		{"another patches", todos, ann, record.Operation{Action: record.Patch, Principal: bob}, fault.Forbidden},
		{"another deletes", todos, ann, record.Operation{Action: record.Delete, Principal: bob}, fault.Forbidden},
		{"another creates over it", todos, ann, record.Operation{Action: record.Create, Principal: bob}, fault.Forbidden},
		{"another guesses the version", todos, ann, record.Operation{Action: record.Replace, Principal: bob, IfMatch: 9}, fault.Forbidden},
		{"another asks for none", todos, ann, record.Operation{Action: record.Replace, Principal: bob, IfNoneMatch: true}, fault.Forbidden},
		{"anonymous, somebody's", todos, ann, record.Operation{Action: record.Delete}, fault.Forbidden},
		{"anonymous, anonymous's", todos, "", record.Operation{Action: record.Delete}, fault.Forbidden},
		{"an admin deletes", todos, ann, record.Operation{Action: record.Delete, Principal: bob, Admin: true}, ""},
		{"an admin's precondition", todos, ann, record.Operation{Action: record.Delete, Principal: bob, Admin: true, IfMatch: 9}, fault.VersionMismatch},
		{"another, in a collection for all", forAll, ann, record.Operation{Action: record.Replace, Principal: bob}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			known, err := collection.Parse("known.yaml", []byte(tt.configuration))
			if err != nil {
				t.Fatal(err)
			}
			w := newWorld(broken{})
			key := replaceA(1).Key
			before := &record.Record{Key: key, Version: 3, Data: []byte(`{"text":"x"}`), CreatedBy: "c", UpdatedBy: "c", Owner: tt.owner}
			w.records[key] = before
			tt.op.ID, tt.op.Key, tt.op.Reply = poolID(2, 0), key, "somewhere"
			if tt.op.Action != record.Delete {
				tt.op.Body = []byte(`{"text":"y"}`)
			}
			if err := handledBy(t, w, known, tt.op.ID, payloadOf(t, tt.op)); err != nil {
				t.Fatal(err)
			}
			got := w.ended[tt.op.ID]
			if got.Code != tt.code || got.Owner != tt.owner {
				t.Errorf("ended %+v, want code %q and owner %q", got, tt.code, tt.owner)
			}
			if tt.code != "" && w.records[key] != before {
				t.Errorf("the record became %+v", w.records[key])
			}
			if len(w.published) != 1 || w.published[0].Owner != tt.owner || w.published[0].Code != string(tt.code) {
				t.Errorf("published %+v", w.published)
			}
			if tt.code == fault.Forbidden && strings.Contains(got.Detail, "3") {
				t.Errorf("the refusal tells the version: %s", got.Detail)
			}
		})
	}
}

// Of several tenants' records of one name, each has its own owner.
func TestHandler_OwnersAreOfTheirTenant(t *testing.T) {
	t.Parallel()
	w := newWorld(broken{})
	mine, theirs, again := replaceA(2), replaceA(2), replaceA(2)
	theirs.Tenant = "u"
	for i, op := range []*record.Operation{&mine, &theirs, &again} {
		op.ID, op.Principal = poolID(2, i), []string{"user:ann", "user:bob", "user:bob"}[i]
	}
	if err := handled(t, w, poolID(2, 0), payloadOf(t, mine, theirs, again)); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]fault.Kind{mine.ID: "", theirs.ID: "", again.ID: fault.Forbidden} {
		if got := w.ended[id]; got.Status == "" || got.Code != want {
			t.Errorf("%s: %+v, want code %q", short(id), got, want)
		}
	}
	if w.records[mine.Key].Owner != "user:ann" || w.records[theirs.Key].Owner != "user:bob" {
		t.Errorf("records %+v", w.records)
	}
}
