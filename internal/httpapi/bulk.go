package httpapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/waybill-dev/waybill/internal/accept"
	"github.com/waybill-dev/waybill/internal/collection"
	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/record"
)

// Limits of a bulk request.
const (
	maxLines     = 10_000
	maxBulkBytes = 16 << 20
	maxItems     = 100 // errors that one answer lists
)

// bulk serves POST /api/{collection} with NDJSON: a record a line, checked as
// one and accepted as one. It never waits for the outcomes.
func (a *API) bulk(c *collection.Collection, x *exchange, r *http.Request) error {
	headers, err := readWriteHeaders(r)
	if err != nil {
		return err
	}
	b := &accept.Bulk{Tenant: x.tenant, Principal: x.who.ID, Admin: x.admin(), IdempotencyKey: headers.key, Trace: x.trace}
	err = readBody(x, r, maxBulkBytes, func(body []byte) (err error) {
		if headers.key != "" {
			b.Hash = accept.Hash(r.Method, r.URL.Path, "", body)
		}
		b.Operations, err = a.parseLines(c, body)
		return err
	})
	if err != nil {
		return err
	}
	if err := a.spend(x, c, len(b.Operations)); err != nil {
		return err
	}
	replayed, err := a.o.Acceptor.SubmitBulk(r.Context(), b)
	if err != nil {
		return err
	}
	if replayed {
		x.Header().Set("Idempotency-Replayed", "true")
	}
	x.operation = b.Operations[0].ID // the first of many
	views := make([]operationView, len(b.Operations))
	keys := make([]record.OperationKey, len(b.Operations))
	for i := range b.Operations {
		op := &b.Operations[i]
		views[i], keys[i] = queuedView(op), record.OperationKey{Tenant: op.Tenant, ID: op.ID}
	}
	if replayed { // some may have ended long ago
		a.overlay(r.Context(), views, keys)
	}
	x.Header().Set("Location", operationPath(b.Operations[0].ID))
	return writeJSON(x, http.StatusAccepted, bulkView{Operations: views})
}

// overlay replaces the views of operations that are stored, as far as that can
// be said now.
func (a *API) overlay(ctx context.Context, views []operationView, keys []record.OperationKey) {
	stored, err := a.o.Store.OperationsOf(ctx, keys)
	if err != nil {
		return
	}
	counted, err := a.countedViews(ctx, slices.Collect(maps.Values(stored))...)
	if err != nil {
		return
	}
	byID := make(map[string]*operationView, len(counted))
	for i := range counted {
		byID[counted[i].ID] = &counted[i]
	}
	for i, key := range keys {
		if v, ok := byID[key.ID]; ok {
			views[i] = *v
		}
	}
}

type bulkView struct {
	Operations []operationView `json:"operations" doc:"One for each line, in the order of the lines"`
}

// parseLines checks every line; one bad line refuses all. The worst kind of
// failure gives the answer its status: a line too large, then one that is not
// JSON, then a record that is not valid.
func (a *API) parseLines(c *collection.Collection, body []byte) ([]record.Operation, error) {
	body = bytes.TrimSuffix(bytes.TrimSuffix(body, []byte("\n")), []byte("\r"))
	if len(body) == 0 {
		return nil, fault.At(fault.InvalidJSON, "body", "has no lines")
	}
	count := bytes.Count(body, []byte("\n")) + 1
	if count > maxLines {
		return nil, fault.At(fault.TooLarge, "body", "has %d lines, more than %d", count, maxLines)
	}
	operations := make([]record.Operation, 0, count)
	failures := &bulkFailure{}
	number := 0
	for line := range bytes.SplitSeq(body, []byte("\n")) {
		number++
		at := fmt.Sprintf("line[%d]", number)
		line = bytes.TrimSuffix(line, []byte("\r"))
		var data []byte
		var err error
		switch {
		case int64(len(line)) > a.o.MaxBody:
			err = fault.At(fault.TooLarge, at, "has more than %d bytes", a.o.MaxBody)
		case len(bytes.TrimSpace(line)) == 0:
			err = fault.At(fault.InvalidJSON, at, "is blank")
		default:
			data, err = c.Record(at, line)
		}
		if err != nil {
			if err := failures.add(err); err != nil {
				return nil, err
			}
			continue
		}
		operations = append(operations, record.Operation{
			Key: record.Key{Collection: c.Name}, Action: record.Create, Body: data,
		})
	}
	return operations, failures.fault()
}

// bulkFailure gathers what is wrong with the lines of a bulk request.
type bulkFailure struct {
	kind  fault.Kind
	items []fault.Item
	lines int
}

var severity = map[fault.Kind]int{fault.InvalidRecord: 1, fault.InvalidJSON: 2, fault.TooLarge: 3}

// add takes a line's fault in; any other error is given back.
func (b *bulkFailure) add(err error) error {
	f, ok := errors.AsType[*fault.Error](err)
	if !ok || severity[f.Kind] == 0 {
		return err
	}
	if severity[f.Kind] > severity[b.kind] {
		b.kind = f.Kind
	}
	b.items = append(b.items, f.Items...)
	b.lines++
	return nil
}

func (b *bulkFailure) fault() error {
	if b.lines == 0 {
		return nil
	}
	f := fault.New(b.kind, "%d of the lines cannot be accepted, so none was", b.lines)
	f.Items = b.items[:min(len(b.items), maxItems)]
	return f
}
