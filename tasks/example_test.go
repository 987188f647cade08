package tasks_test

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/waybill-dev/waybill/tasks"
)

// A service that reads Waybill's queue decodes what a task carries. The task's
// ID is the batch's; enqueue it with asynq.NewClient(…).Enqueue(task).
func Example() {
	payload, err := tasks.EncodeApply([]tasks.Operation{
		{
			ID: "0198c0de-0001-7abc-8def-012345670000", Tenant: "default", Action: "create",
			Collection: "messages", Body: json.RawMessage(`{"content":"Hello, <world>"}`),
		},
		{ID: "0198c0de-0001-7abc-8def-012345670001", Tenant: "default", Action: "delete", Collection: "todos", Record: "milk"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	task := tasks.NewApply("0198c0de-0001-7abc-8def-012345670000", payload, nil)

	operations, err := tasks.DecodeApply(task.Payload())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(task.Type(), len(operations))
	for _, op := range operations {
		fmt.Println(op.Action, op.Collection, op.Record, string(op.Body))
	}
	// Output:
	// write:apply 2
	// create messages 0198c0de-0001-7abc-8def-012345670000 {"content":"Hello, <world>"}
	// delete todos milk
}

// A payload of a newer Waybill is not damaged: hand the task back, one of the
// newer workers will read it.
func ExampleDecodeApply_newer() {
	_, err := tasks.DecodeApply([]byte(`{"v":2,"operations":[{"id":"0198c0de-0001-7abc-8def-012345670000"}]}`))
	fmt.Println(errors.Is(err, tasks.ErrUnreadable))
	fmt.Println(err)
	// Output:
	// true
	// decode write:apply: unreadable payload: version 2, this program reads up to 1
}
