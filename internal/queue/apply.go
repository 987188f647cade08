package queue

import (
	"github.com/hibiken/asynq"

	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/telemetry"
	"github.com/waybill-dev/waybill/tasks"
)

// ApplyTask returns the write:apply task named id that carries operations. Each
// has a trace of its own; the task's headers say whose it is in the queue.
func ApplyTask(id string, operations []record.Operation, t record.Trace) (*asynq.Task, error) {
	wire := make([]tasks.Operation, len(operations))
	for i := range operations {
		op := &operations[i]
		wire[i] = tasks.Operation{
			ID: op.ID, Tenant: op.Tenant, Action: string(op.Action), Collection: op.Collection, Record: op.Key.ID,
			Body: op.Body, IfMatch: op.IfMatch, IfNoneMatch: op.IfNoneMatch, Principal: op.Principal, Admin: op.Admin, Reply: op.Reply,
			Traceparent: op.Trace.Parent, Tracestate: op.Trace.State,
		}
		if op.Key.ID == op.ID {
			wire[i].Record = ""
		}
	}
	payload, err := tasks.EncodeApply(wire)
	if err != nil {
		return nil, err
	}
	return tasks.NewApply(id, payload, telemetry.Headers(t)), nil
}

// Operations returns what a write:apply task carries. Its errors wrap
// tasks.ErrUnreadable.
func Operations(payload []byte) ([]record.Operation, error) {
	wire, err := tasks.DecodeApply(payload)
	if err != nil {
		return nil, err
	}
	operations := make([]record.Operation, len(wire))
	for i := range wire {
		w := &wire[i]
		operations[i] = record.Operation{
			ID: w.ID, Key: record.Key{Tenant: w.Tenant, Collection: w.Collection, ID: w.Record}, Action: record.Action(w.Action),
			Body: w.Body, IfMatch: w.IfMatch, IfNoneMatch: w.IfNoneMatch, Principal: w.Principal, Admin: w.Admin, Reply: w.Reply,
			Trace: telemetry.ParseTrace(w.Traceparent, w.Tracestate),
		}
	}
	return operations, nil
}
