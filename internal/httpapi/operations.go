package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-chi/chi/v5"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/principal"
	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/store"
)

func operationPath(id string) string { return "/api/operations/" + id }

// ofOperations: also who only writes follows what they wrote.
var ofOperations = []principal.Scope{principal.RecordsRead, principal.RecordsWrite}

func (a *API) routeOperations() {
	operation := a.schemaOf(operationView{})
	a.route(&huma.Operation{
		Method: http.MethodGet, Path: "/api/operations/{id}", OperationID: "get-operation", Tags: []string{"operations"},
		Summary: "An operation, wherever it is", Description: "Found by its ID alone, from the moment it is accepted.",
		Parameters: []*huma.Param{
			idParam("The operation's ID"),
			queryParam("wait", "Hold the answer until the operation is done or failed, for at most so many seconds", intSchema(0, maxWait)),
		},
		Responses: a.answers(http.StatusOK, jsonAnswer("The operation", operation), fault.InvalidParameter, fault.NotFound, fault.QueueUnavailable, fault.StoreUnavailable),
	}, access{scopes: ofOperations}, a.getOperation)
	a.route(&huma.Operation{
		Method: http.MethodGet, Path: "/api/operations", OperationID: "list-operations", Tags: []string{"operations"},
		Summary: "Stored operations, newest first",
		Parameters: append([]*huma.Param{
			queryParam("collection", "Only those on this collection", stringSchema()),
			queryParam("status", "Only those that ended so", enumSchema("done", "failed", "queued", "retrying")),
			queryParam("record", "Only those on the record with this ID", stringSchema()),
		}, pageParams()...),
		Responses: a.answers(http.StatusOK, jsonAnswer("A page of operations", listSchema(operation)), fault.InvalidParameter, fault.UnknownCollection, fault.StoreUnavailable),
	}, access{scopes: ofOperations}, a.listOperations)
}

// getOperation serves GET /api/operations/{id}.
func (a *API) getOperation(x *exchange, r *http.Request) error {
	var wait time.Duration
	if x.query.Has("wait") {
		var ok bool
		if wait, ok = seconds(x.query.Get("wait")); !ok {
			return fault.At(fault.InvalidParameter, "query.wait", "must be a whole number of seconds from 0 to %d", maxWait)
		}
	}
	op, err := a.findOperation(x, r, chi.URLParam(r, "id"))
	if err != nil {
		return err
	}
	if wait > 0 && op.StoredAt.IsZero() {
		if op, err = a.o.Acceptor.Wait(r.Context(), x.tenant, op.ID, wait); err != nil {
			return err
		}
	}
	v, err := a.countedViews(r.Context(), *op)
	if err != nil {
		return err
	}
	return writeJSON(x, http.StatusOK, v[0])
}

// findOperation returns an operation that the principal may see.
func (a *API) findOperation(x *exchange, r *http.Request, id string) (*record.Stored, error) {
	op, err := a.o.Acceptor.Operation(r.Context(), x.tenant, id)
	if err != nil || a.follows(x.who, op) {
		return op, err
	}
	if op.StoredAt.IsZero() && op.Action != record.Create && x.who.ID != "" { // whose record it is, only the store knows
		if current, err := a.o.Store.Record(r.Context(), op.Key); err == nil {
			seen := *op
			if seen.Owner = current.Owner; a.follows(x.who, &seen) {
				return op, nil
			}
		}
	}
	return nil, x.hidden("there is no operation %q", id) // as the store says it
}

// listOperations serves GET /api/operations.
func (a *API) listOperations(x *exchange, r *http.Request) error {
	p, err := pageOf(r.URL.Path, x.query)
	if err != nil {
		return err
	}
	q := store.OperationQuery{
		Collection: x.query.Get("collection"), Record: x.query.Get("record"), Status: record.Status(x.query.Get("status")),
	}
	if x.query.Has("collection") {
		if _, known := a.o.Collections.Get(q.Collection); !known {
			return fault.New(fault.UnknownCollection, "there is no collection %q", clip(q.Collection))
		}
	}
	if x.query.Has("record") && !validRecordID(q.Record) {
		return fault.At(fault.InvalidParameter, "query.record", "is not the ID of a record")
	}
	switch q.Status {
	case record.Done, record.Failed, record.Queued, record.Retrying:
	default:
		if x.query.Has("status") {
			return fault.At(fault.InvalidParameter, "query.status", "must be queued, retrying, done or failed")
		}
	}
	if x.who.Kind == principal.Anonymous && !a.anyPublic(q.Collection) {
		return unauthorized("this needs credentials")
	}
	operations, last, err := visible(p, func(before string, limit int) ([]record.Stored, bool, error) {
		q.Before, q.Limit = before, limit
		return a.o.Store.Operations(r.Context(), x.tenant, q)
	}, func(items []record.Stored) ([]bool, error) {
		return each(items, func(op *record.Stored) bool { return a.follows(x.who, op) }), nil
	}, func(op *record.Stored) string { return op.ID })
	if err != nil {
		return err
	}
	views, err := a.countedViews(r.Context(), operations...)
	if err != nil {
		return err
	}
	l := list{Items: make([]json.RawMessage, len(operations))}
	for i := range views {
		if l.Items[i], err = json.Marshal(views[i]); err != nil {
			return err
		}
	}
	l.next(p, last != "", last)
	return writeBytes(x, http.StatusOK, l.json())
}

// countedViews are operations with what has become of their events, asked for
// at once. One that is not stored has announced nothing.
func (a *API) countedViews(ctx context.Context, operations ...record.Stored) ([]operationView, error) {
	views := make([]operationView, len(operations))
	var keys []record.OperationKey
	for i := range operations {
		op := &operations[i]
		views[i] = viewOf(op)
		if !op.StoredAt.IsZero() {
			keys = append(keys, record.OperationKey{Tenant: op.Key.Tenant, ID: op.ID})
		}
	}
	if len(keys) == 0 {
		return views, nil
	}
	counts, err := a.o.Subscriptions.DeliveryCounts(ctx, keys)
	if err != nil {
		return nil, err
	}
	for i := range views {
		views[i].Deliveries = deliveryCounts(counts[views[i].ID])
	}
	return views, nil
}
