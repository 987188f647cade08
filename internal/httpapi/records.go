package httpapi

import (
	"encoding/json"
	"net/http"
	"sort"

	"github.com/waybill-dev/waybill/internal/collection"
	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/store"
)

// getRecord serves GET /api/{collection}/{id}.
func (a *API) getRecord(c *collection.Collection) handler {
	return func(x *exchange, r *http.Request) error {
		id, err := recordID(r)
		if err != nil {
			return err
		}
		rec, err := a.o.Store.Record(r.Context(), record.Key{Tenant: x.tenant, Collection: c.Name, ID: id})
		if err != nil {
			return err
		}
		if !a.sees(x.who, c.Name, rec.Owner) {
			return fault.New(fault.NotFound, "there is no record %q in %s", id, c.Name) // as the store says it
		}
		tag := etag(rec.Version)
		x.Header().Set("ETag", tag)
		x.Header().Set("Cache-Control", "no-cache") // may be kept, must be asked about
		if matchesTag(r, tag) {
			x.WriteHeader(http.StatusNotModified)
			return nil
		}
		return writeBytes(x, http.StatusOK, rec.AppendJSON(nil))
	}
}

// listRecords serves GET /api/{collection}.
func (a *API) listRecords(c *collection.Collection) handler {
	return func(x *exchange, r *http.Request) error {
		p, err := pageOf(r.URL.Path, x.query)
		if err != nil {
			return err
		}
		q := store.RecordQuery{Limit: p.limit, After: p.last, Descending: true}
		switch order := x.query.Get("order"); {
		case !x.query.Has("order") || order == "desc":
		case order == "asc":
			q.Descending = false
		default:
			return fault.At(fault.InvalidParameter, "query.order", "must be asc or desc")
		}
		if c.Access.Read == collection.Owner && !x.admin() {
			q.Owner = x.who.ID
		}
		if q.Filters, err = filters(c, x); err != nil {
			return err
		}
		records, more, err := a.o.Store.Records(r.Context(), x.tenant, c.Name, q)
		if err != nil {
			return err
		}
		l := list{Items: make([]json.RawMessage, len(records))}
		for i := range records {
			l.Items[i] = records[i].AppendJSON(nil)
		}
		if len(records) > 0 {
			l.next(p, more, records[len(records)-1].CreatedBy)
		}
		return writeBytes(x, http.StatusOK, l.json())
	}
}

// json is the list as JSON, its items byte for byte.
func (l *list) json() []byte {
	b := []byte(`{"items":[`)
	for i, item := range l.Items {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, item...)
	}
	if l.NextCursor == nil {
		return append(b, `],"next_cursor":null}`...)
	}
	return append(b, `],"next_cursor":"`+*l.NextCursor+`"}`...)
}

// filters returns the ?field=value of a list of records.
func filters(c *collection.Collection, x *exchange) ([]store.Filter, error) {
	var found []store.Filter
	for name := range x.query {
		if name == "limit" || name == "cursor" || name == "order" {
			continue
		}
		value := x.query.Get(name)
		if err := c.Filter(name, value); err != nil {
			return nil, err
		}
		found = append(found, store.Filter{Field: name, Value: value})
	}
	sort.Slice(found, func(i, j int) bool { return found[i].Field < found[j].Field })
	return found, nil
}
