package apply_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/waybill-dev/waybill/internal/apply"
	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/tasks"
)

// replaceOf is a write to the record named id.
func replaceOf(stamp, index int, id string) record.Operation {
	op := replaceA(stamp)
	op.ID, op.Key.ID = poolID(stamp, index), id
	return op
}

// A newer version's batch holds up the records that it writes to, and no others.
func TestHandler_WaitsForWhatItCannotReadAndAppliesTheRest(t *testing.T) {
	t.Parallel()
	for name, payload := range map[string][]byte{
		"a newer version": []byte(`{"v":2,"what":"ever"}`),
		"a newer action": payloadOf(t, record.Operation{
			ID: poolID(1, 0), Key: record.Key{Tenant: "t", Collection: "todos", ID: "a"}, Action: "append", Body: []byte(`{"text":"x"}`),
		}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(broken{})
			w.tasks[poolID(1, 0)] = &task{id: poolID(1, 0), payload: payload}
			first, same, other := replaceOf(1, 0, "a"), replaceOf(2, 0, "a"), replaceOf(2, 1, "b")
			for _, op := range []record.Operation{first, same, other} {
				w.mark(op.Key, op.ID)
			}
			if err := handled(t, w, poolID(2, 0), payloadOf(t, same, other)); err != nil {
				t.Errorf("error %v", err)
			}
			if _, ok := w.ended[other.ID]; !ok {
				t.Error("the write to another record waits too")
			}
			if _, ok := w.ended[same.ID]; ok || w.tasks[tasks.SingleID(same.ID)] == nil {
				t.Errorf("the write to the same record was applied (%t), or is gone", ok)
			}
			if !w.marks[first.Key][first.ID] {
				t.Error("the mark of the newer version's write is gone")
			}
		})
	}
}

// A task goes back whole: this version could not write all of it again.
func TestHandler_HandsBackAnActionThatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	w := newWorld(broken{})
	strange, other := replaceOf(2, 0, "a"), replaceOf(2, 1, "b")
	strange.Action = "append"
	w.mark(strange.Key, strange.ID)
	w.mark(other.Key, other.ID)
	payload := bytes.Replace(payloadOf(t, strange, other), []byte(`"action":"append"`), []byte(`"action":"append","later":true`), 1)
	for range 2 { // as often as it takes
		w.actors = nil
		err := handled(t, w, poolID(2, 0), payload)
		if !errors.Is(err, apply.ErrForeign) || !errors.Is(err, apply.ErrNotYet) {
			t.Errorf("error %v", err)
		}
		if _, ok := w.ended[other.ID]; !ok {
			t.Error("the other write of the batch was not applied")
		}
		if _, ok := w.ended[strange.ID]; ok || w.tasks[tasks.SingleID(strange.ID)] != nil {
			t.Error("the strange write was applied, or was written again")
		}
		if !w.marks[strange.Key][strange.ID] {
			t.Error("its mark is gone")
		}
	}
	if len(w.violations) > 0 {
		t.Error(w.violations)
	}
}
