package apply_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/hibiken/asynq"

	"github.com/waybill-dev/waybill/internal/apply"
	"github.com/waybill-dev/waybill/internal/collection"
	"github.com/waybill-dev/waybill/internal/queue"
	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/tasks"
)

// handled plays a handler at a task, alone and without trouble, and returns its error.
func handled(t *testing.T, w *world, id string, payload []byte) error {
	t.Helper()
	known, err := collection.Parse("known.yaml", []byte(todos))
	if err != nil {
		t.Fatal(err)
	}
	return handledBy(t, w, known, id, payload)
}

// handledBy is handled, by a worker that knows these collections.
func handledBy(t *testing.T, w *world, known *collection.Set, id string, payload []byte) (err error) {
	t.Helper()
	contexts, err := handlerContexts()
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(*testing.T) {
		p := &play{world: w, contexts: contexts, new: known}
		w.tasks[id] = &task{id: id, payload: payload}
		p.deliver(w.tasks[id], known)
		err = p.alone(w.actors[0])
	})
	return err
}

func replaceA(stamp int) record.Operation {
	return record.Operation{
		ID: poolID(stamp, 0), Key: record.Key{Tenant: "t", Collection: "todos", ID: "a"}, Action: record.Replace, Body: []byte(`{"text":"x"}`),
	}
}

func payloadOf(t *testing.T, operations ...record.Operation) []byte {
	t.Helper()
	applyTask, err := queue.ApplyTask("any", operations, record.Trace{})
	if err != nil {
		t.Fatal(err)
	}
	return applyTask.Payload()
}

func TestHandler_HandsBackWhatItMustNotApply(t *testing.T) {
	t.Parallel()
	blocked, foreign := replaceA(2), replaceA(2)
	foreign.Collection = "notes"
	tests := []struct {
		name    string
		task    string
		payload []byte
		err     error // nil: acked, and in the queue as a task of its own
	}{
		{"blocked, in a batch", poolID(2, 0), payloadOf(t, blocked), nil},
		{"blocked, in a task of its own", tasks.SingleID(poolID(2, 0)), payloadOf(t, blocked), apply.ErrNotYet},
		{"of an unknown collection, in a batch", poolID(2, 0), payloadOf(t, foreign), nil},
		{"of an unknown collection, in a task of its own", tasks.SingleID(poolID(2, 0)), payloadOf(t, foreign), apply.ErrNotYet},
		{"of a newer version", poolID(2, 0), []byte(`{"v":99,"operations":[{"id":"x"}]}`), tasks.ErrUnreadable},
		{"damaged", poolID(2, 0), []byte(`{"v":1,`), tasks.ErrUnreadable},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(broken{})
			w.mark(replaceA(1).Key, replaceA(1).ID) // accepted, and not here yet
			w.mark(blocked.Key, blocked.ID)
			err := handled(t, w, tt.task, tt.payload)
			if !errors.Is(err, tt.err) || tt.err == nil && err != nil {
				t.Errorf("error %v, want %v", err, tt.err)
			}
			if tt.err == nil && w.tasks[tasks.SingleID(blocked.ID)] == nil {
				t.Error("it was acked, and is not in the queue")
			}
			if len(w.ended) > 0 {
				t.Errorf("it was applied: %v", w.ended)
			}
			if !w.marks[blocked.Key][blocked.ID] {
				t.Error("its mark is gone")
			}
		})
	}
}

// A task ID is asynq's to give: without one (another program's context) a
// handler must not take a batch for a task of its own.
func TestHandler_WithoutATaskIDHandsBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(broken{})
		w.mark(replaceA(1).Key, replaceA(1).ID)
		known, err := collection.Parse("known.yaml", []byte(todos))
		if err != nil {
			t.Fatal(err)
		}
		w.handle(&task{id: "unnamed", payload: payloadOf(t, replaceA(2))}, known, map[string]context.Context{"unnamed": t.Context()})
		p := &play{world: w}
		if err := p.alone(w.actors[0]); err != nil || w.tasks[tasks.SingleID(poolID(2, 0))] == nil {
			t.Errorf("error %v, queue %v", err, w.tasks)
		}
	})
}

var _ asynq.Handler = (*apply.Handler)(nil)
