// Package tasks is what travels through Redis: task types, their payloads, how
// they are encoded, and the options they are enqueued with. It is public, so
// that other Go services may enqueue or read Waybill's tasks, and imports asynq
// and the standard library alone. Golden files in testdata pin the wire format.
package tasks

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/hibiken/asynq"
)

// Queues.
const (
	QueueWrites      = "writes"
	QueueNotify      = "notify"
	QueueMaintenance = "maintenance"
)

// TypeApply is the type of a task that carries a batch of operations.
const TypeApply = "write:apply"

// Version is the version of the payloads that this package writes. A reader
// hands back a payload whose version is higher than the one it knows.
const Version = 1

// Limits of one batch: a task holds at most so many operations, and at most so
// many bytes of bodies unless a single body is larger.
const (
	MaxOperations = 512
	MaxBytes      = 256 << 10
)

// idLength is the length of an operation's ID: a UUID's text.
const idLength = 36

// applyTimeout bounds one try at a batch, in asynq's terms: past it the handler's
// context ends and the task is retried.
const applyTimeout = 2 * time.Minute

// ErrUnreadable is wrapped by the errors of DecodeApply: the payload is damaged,
// or was written by a newer Waybill.
var ErrUnreadable = errors.New("unreadable payload")

// Operation is one accepted write, as it travels.
type Operation struct {
	ID          string          `json:"id"`     // UUIDv7, lower case
	Tenant      string          `json:"tenant"` //
	Action      string          `json:"action"` // create, replace, patch, delete
	Collection  string          `json:"collection"`
	Record      string          `json:"record,omitempty"` // left out when it is the operation's ID
	Body        json.RawMessage `json:"body,omitempty"`   // a JSON object; none for delete
	IfMatch     int64           `json:"if_match,omitempty"`
	IfNoneMatch bool            `json:"if_none_match,omitempty"`
	Principal   string          `json:"principal,omitempty"`   // who wrote it; left out for anonymous
	Admin       bool            `json:"admin,omitempty"`       // it may touch what is others'
	Reply       string          `json:"reply,omitempty"`       // channel where the outcome is published
	Traceparent string          `json:"traceparent,omitempty"` // W3C Trace Context of the write
	Tracestate  string          `json:"tracestate,omitempty"`
}

type batch struct {
	Version    int         `json:"v"`
	Operations []Operation `json:"operations"`
}

// EncodeApply returns the payload of a write:apply task. Bodies must be compact
// JSON; they travel byte for byte.
func EncodeApply(operations []Operation) ([]byte, error) {
	var b bytes.Buffer
	size := 64
	for i := range operations {
		size += len(operations[i].Body) + 256
	}
	b.Grow(size)
	if err := encode(&b, batch{Version: Version, Operations: operations}); err != nil {
		return nil, fmt.Errorf("encode %s: %w", TypeApply, err)
	}
	return b.Bytes(), nil
}

// encode appends v as JSON to b, the bodies in it byte for byte: encoding/json
// would write "<" and U+2028 in them as escapes.
func encode(b *bytes.Buffer, v any) error {
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	b.Truncate(b.Len() - 1) // a newline
	return nil
}

// DecodeApply reads the payload of a write:apply task. Its errors wrap
// ErrUnreadable.
func DecodeApply(payload []byte) ([]Operation, error) {
	var b batch
	if err := json.Unmarshal(payload, &b); err != nil {
		return nil, fmt.Errorf("decode %s: %w: %w", TypeApply, ErrUnreadable, err)
	}
	if b.Version < 1 || b.Version > Version {
		return nil, fmt.Errorf("decode %s: %w: version %d, this program reads up to %d", TypeApply, ErrUnreadable, b.Version, Version)
	}
	if len(b.Operations) == 0 {
		return nil, fmt.Errorf("decode %s: %w: no operations", TypeApply, ErrUnreadable)
	}
	for i := range b.Operations {
		op := &b.Operations[i]
		if len(op.ID) != idLength || op.Tenant == "" || op.Action == "" || op.Collection == "" {
			return nil, fmt.Errorf("decode %s: %w: operation %d has no ID, tenant, action or collection", TypeApply, ErrUnreadable, i)
		}
		if op.Record == "" {
			op.Record = op.ID
		}
	}
	return b.Operations, nil
}

// NewApply returns a write:apply task named id that carries payload (from
// EncodeApply). Its retries are without limit: outcomes end in the store, never
// in asynq's archive.
func NewApply(id string, payload []byte, headers map[string]string) *asynq.Task {
	return asynq.NewTaskWithHeaders(TypeApply, payload, headers,
		asynq.Queue(QueueWrites), asynq.TaskID(id), asynq.MaxRetry(math.MaxInt32), asynq.Timeout(applyTimeout))
}

// SingleID returns the task ID under which an operation travels when it is
// enqueued again or split off its batch. A batch's own ID is never used twice.
func SingleID(operation string) string { return operation + ".1" }

// Outcome is how an operation ended, as the worker publishes it on the
// operation's reply channel.
type Outcome struct {
	ID        string          `json:"id"`
	Status    string          `json:"status"` // done, failed
	Version   int64           `json:"version,omitempty"`
	Code      string          `json:"code,omitempty"`
	Detail    string          `json:"detail,omitempty"`
	Created   bool            `json:"created,omitempty"`    // the record did not exist before
	CreatedBy string          `json:"created_by,omitempty"` // the operation that created the record
	Owner     string          `json:"owner,omitempty"`      // the principal that the record belongs to; left out for anonymous
	Data      json.RawMessage `json:"data,omitempty"`       // the record after it
}

// EncodeOutcome returns an outcome as it is published.
func EncodeOutcome(o *Outcome) ([]byte, error) {
	var b bytes.Buffer
	if err := encode(&b, o); err != nil {
		return nil, fmt.Errorf("encode an outcome: %w", err)
	}
	return b.Bytes(), nil
}
