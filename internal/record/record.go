// Package record holds the domain: operations, records, outcomes, and the fold
// that turns the first into the others. It is pure: no I/O, no clock, no
// randomness, and it knows nothing of HTTP, Redis or SQL.
package record

import (
	"cmp"
	"strings"
	"time"

	"github.com/waybill-dev/waybill/internal/fault"
)

// Action is what an operation does to its record.
type Action string

// The actions.
const (
	Create  Action = "create"
	Replace Action = "replace"
	Patch   Action = "patch"
	Delete  Action = "delete"
)

// Known says whether this version knows what a does; a newer one may have more.
func (a Action) Known() bool { return a == Create || a == Replace || a == Patch || a == Delete }

// Status is where an operation stands. Done and Failed never change.
type Status string

// The statuses. Queued and Retrying are known from the queue alone.
const (
	Queued   Status = "queued"
	Retrying Status = "retrying"
	Done     Status = "done"
	Failed   Status = "failed"
)

// DefaultTenant is whose data it is when nobody says otherwise.
const DefaultTenant = "default"

// Key names one record.
type Key struct{ Tenant, Collection, ID string }

// Compare orders keys, by tenant, collection and ID; locks are taken in this order.
func (k Key) Compare(o Key) int {
	return cmp.Or(strings.Compare(k.Tenant, o.Tenant), strings.Compare(k.Collection, o.Collection), strings.Compare(k.ID, o.ID))
}

// Operation is one accepted write.
type Operation struct {
	ID string // UUIDv7, see NewID
	Key
	Action      Action
	Body        []byte // compact JSON object; nil for Delete
	IfMatch     int64  // the version that the record must have; 0: any
	IfNoneMatch bool   // the record must not exist
	Principal   string // who wrote it; "" for anonymous
	Admin       bool   // it may touch what is others'
	Reply       string // where the outcome is announced (Prefer: wait); "" for nowhere
	Trace       Trace  // what it is caused by
}

// Record is a stored JSON object. Data is the object alone, without id,
// version and times.
type Record struct {
	Key
	Version   int64 // from 1, one more with each write
	Data      []byte
	CreatedBy string // ID of the operation that created it: the order of lists
	UpdatedBy string // ID of the last operation that took effect
	Owner     string // the principal that created it; "" for anonymous
}

// CreatedAt is when the write that created the record was accepted, in UTC.
func (r *Record) CreatedAt() time.Time { return AcceptedAt(r.CreatedBy) }

// UpdatedAt is when the last write that took effect was accepted, in UTC.
func (r *Record) UpdatedAt() time.Time { return AcceptedAt(r.UpdatedBy) }

// Outcome is how an operation ended.
type Outcome struct {
	Operation Operation
	Status    Status     // Done or Failed
	Version   int64      // the record's version after it; 0 when Failed. A delete has the version it removed
	Code      fault.Kind // why it failed
	Detail    string
	Created   bool     // the record did not exist before
	Owner     string   // of the record; where there is none, who wrote
	Late      bool     // it took effect after an operation with a higher ID
	Record    *Record  // the record after it; for a delete, the last state; nil when Failed
	Notify    []string // IDs of the subscriptions that its event is to be delivered to
}

// Stored is an operation as the store keeps it. One that is still in the queue
// looks the same, with Status Queued or Retrying and no StoredAt.
type Stored struct {
	ID string
	Key
	Action     Action
	Status     Status
	Version    int64
	Code       fault.Kind
	Detail     string
	Principal  string
	Owner      string // of the record; of one that is not stored yet, who wrote
	Attempts   int
	AcceptedAt time.Time
	StoredAt   time.Time
}

// OperationKey names one operation.
type OperationKey struct{ Tenant, ID string }
