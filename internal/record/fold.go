package record

import (
	"errors"
	"fmt"
	"strings"

	"github.com/waybill-dev/waybill/internal/fault"
)

// MergeFunc applies an RFC 7396 merge patch to a record's data and checks the
// result against the collection's schema. Its errors are fault.InvalidRecord.
type MergeFunc func(stored, patch []byte) ([]byte, error)

// Fold applies operations, in the order given, to current (nil: the record does
// not exist) and returns the record afterwards (nil: it does not exist) and the
// outcome of each operation. A failed operation changes nothing. Fold is the
// meaning of every write; it is pure, so folding all at once and folding one by
// one come to the same. It does not modify what it is given.
func Fold(current *Record, operations []Operation, merge MergeFunc) (*Record, []Outcome) {
	outcomes := make([]Outcome, len(operations))
	for i := range operations {
		current, outcomes[i] = Apply(current, &operations[i], merge)
	}
	return current, outcomes
}

// Apply is one step of Fold.
func Apply(current *Record, op *Operation, merge MergeFunc) (*Record, Outcome) {
	next, outcome := step(current, op, merge)
	outcome.Owner = OwnerOf(current, op)
	return next, outcome
}

// OwnerOf returns whose record op is about: current's owner, and where there is
// none (nil), whoever writes.
func OwnerOf(current *Record, op *Operation) string {
	if current == nil {
		return op.Principal
	}
	return current.Owner
}

// MayTouch says whether op may touch current by the rule that a record is its
// owner's alone. What does not exist is free to all; what anonymous made is
// nobody's.
func MayTouch(current *Record, op *Operation) bool {
	return current == nil || op.Admin || op.Principal != "" && op.Principal == current.Owner
}

func step(current *Record, op *Operation, merge MergeFunc) (*Record, Outcome) {
	if err := precondition(current, op); err != nil {
		return current, Fail(*op, err)
	}
	data, late := op.Body, current != nil && op.ID < current.UpdatedBy
	switch op.Action {
	case Create, Replace:
	case Delete:
		return nil, Outcome{Operation: *op, Status: Done, Version: current.Version, Late: late, Record: current}
	case Patch:
		var err error
		if data, err = merge(current.Data, op.Body); err != nil {
			return current, Fail(*op, err)
		}
	default:
		return current, Fail(*op, fault.New(fault.Internal, "unknown action %q", op.Action))
	}
	next := &Record{Key: op.Key, Version: 1, Data: data, CreatedBy: op.ID, UpdatedBy: op.ID, Owner: OwnerOf(current, op)}
	if current != nil {
		next.Version, next.CreatedBy = current.Version+1, current.CreatedBy
	}
	return next, Outcome{Operation: *op, Status: Done, Version: next.Version, Created: current == nil, Late: late, Record: next}
}

// precondition says why op cannot be applied to current at all.
func precondition(current *Record, op *Operation) error {
	switch {
	case current == nil && (op.Action == Patch || op.Action == Delete):
		return fault.New(fault.NotFound, "there is no record %q in %s", op.Key.ID, op.Collection)
	case current == nil && op.IfMatch != 0:
		return fault.New(fault.VersionMismatch, "there is no record %q in %s, version %d was required", op.Key.ID, op.Collection, op.IfMatch)
	case current == nil:
		return nil
	case op.Action == Create:
		return fault.New(fault.Conflict, "record %q exists already in %s", op.Key.ID, op.Collection)
	case op.IfNoneMatch:
		return fault.New(fault.VersionMismatch, "record %q exists already in %s, at version %d", op.Key.ID, op.Collection, current.Version)
	case op.IfMatch != 0 && op.IfMatch != current.Version:
		return fault.New(fault.VersionMismatch, "record %q is at version %d, version %d was required", op.Key.ID, current.Version, op.IfMatch)
	}
	return nil
}

// Fail returns the outcome of an operation that ended for the reason in err. Its
// Owner is for the caller to fill in, who knows the record.
func Fail(op Operation, err error) Outcome {
	o := Outcome{Operation: op, Status: Failed, Code: fault.KindOf(err), Detail: err.Error()}
	if f, ok := errors.AsType[*fault.Error](err); ok {
		o.Detail = f.Detail
		if len(f.Items) > 0 {
			reasons := make([]string, len(f.Items))
			for i, item := range f.Items {
				reasons[i] = fmt.Sprintf("%s: %s", item.Location, item.Message)
			}
			o.Detail = strings.Join(reasons, "; ")
		}
	}
	return o
}
