package httpapi

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/waybill-dev/waybill/internal/accept"
	"github.com/waybill-dev/waybill/internal/collection"
	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/record"
)

const (
	typeJSON  = "application/json"
	typePatch = "application/merge-patch+json"
	typeLines = "application/x-ndjson"
)

// writeHeaders are the headers that every write takes.
type writeHeaders struct {
	key    string
	wait   time.Duration
	match  int64
	noneOf bool
}

// condition is the precondition as a text of its own.
func (h *writeHeaders) condition() string {
	switch {
	case h.noneOf:
		return "*"
	case h.match != 0:
		return etag(h.match)
	}
	return ""
}

func readWriteHeaders(r *http.Request) (h writeHeaders, err error) {
	if h.key, err = idempotencyKey(r); err != nil {
		return h, err
	}
	if h.wait, err = preferWait(r); err != nil {
		return h, err
	}
	h.match, h.noneOf, err = preconditions(r)
	return h, err
}

// create serves POST /api/{collection}: a record, or many in NDJSON.
func (a *API) create(c *collection.Collection) handler {
	return func(x *exchange, r *http.Request) error {
		media, err := mediaType(r, typeJSON, typeLines)
		if err != nil {
			return err
		}
		if media == typeLines {
			return a.bulk(c, x, r)
		}
		return a.write(x, r, c, record.Create, "", c.Record)
	}
}

// replace serves PUT /api/{collection}/{id}.
func (a *API) replace(c *collection.Collection) handler {
	return func(x *exchange, r *http.Request) error {
		id, err := recordID(r)
		if err != nil {
			return err
		}
		if _, err := mediaType(r, typeJSON); err != nil {
			return err
		}
		return a.write(x, r, c, record.Replace, id, c.Record)
	}
}

// patch serves PATCH /api/{collection}/{id}.
func (a *API) patch(c *collection.Collection) handler {
	return func(x *exchange, r *http.Request) error {
		id, err := recordID(r)
		if err != nil {
			return err
		}
		if _, err := mediaType(r, typePatch, typeJSON); err != nil {
			x.Header().Set("Accept-Patch", typePatch+", "+typeJSON)
			return err
		}
		return a.write(x, r, c, record.Patch, id, c.Patch)
	}
}

// remove serves DELETE /api/{collection}/{id}.
func (a *API) remove(c *collection.Collection) handler {
	return func(x *exchange, r *http.Request) error {
		id, err := recordID(r)
		if err != nil {
			return err
		}
		return a.write(x, r, c, record.Delete, id, nil)
	}
}

// write accepts one write and answers it. check turns the body into what is
// stored; nil where there is none.
func (a *API) write(x *exchange, r *http.Request, c *collection.Collection, action record.Action, id string,
	check func(at string, body []byte) ([]byte, error),
) error {
	if err := a.spend(x, c, 1); err != nil {
		return err
	}
	headers, err := readWriteHeaders(r)
	if err != nil {
		return err
	}
	w := &accept.Write{
		Operation: record.Operation{
			Key: record.Key{Tenant: x.tenant, Collection: c.Name, ID: id}, Action: action,
			IfMatch: headers.match, IfNoneMatch: headers.noneOf, Principal: x.who.ID, Admin: x.admin(), Trace: x.trace,
		},
		IdempotencyKey: headers.key, Wait: headers.wait > 0,
	}
	use := func(body []byte) (err error) {
		if headers.key != "" {
			w.Hash = accept.Hash(r.Method, r.URL.Path, headers.condition(), body)
		}
		if check != nil {
			w.Body, err = check("body", body)
		}
		return err
	}
	if check == nil {
		err = use(nil)
	} else {
		err = readBody(x, r, a.o.MaxBody, use)
	}
	if err != nil {
		return err
	}
	accepted, err := a.o.Acceptor.Submit(r.Context(), w)
	if err != nil {
		return err
	}
	x.operation = accepted.ID
	if accepted.Replayed {
		x.Header().Set("Idempotency-Replayed", "true")
	}
	if headers.wait > 0 {
		answered, err := a.answerEnded(r.Context(), x, &accepted, headers.wait)
		if answered || err != nil {
			return err
		}
	}
	x.Header().Set("Location", operationPath(accepted.ID))
	if accepted.Replayed || headers.wait > 0 {
		if v := a.standing(r.Context(), &accepted.Operation); v != nil {
			return writeJSON(x, http.StatusAccepted, v)
		}
	}
	return writeBytes(x, http.StatusAccepted, appendQueued(make([]byte, 0, 400), &accepted.Operation))
}

// standing is an operation as it stands: it may have ended meanwhile, or long ago.
// nil if that cannot be said now.
func (a *API) standing(ctx context.Context, accepted *record.Operation) *operationView {
	op, err := a.o.Acceptor.Operation(ctx, accepted.Tenant, accepted.ID)
	if err != nil {
		return nil
	}
	v, err := a.countedViews(ctx, *op)
	if err != nil {
		return nil
	}
	return &v[0]
}

// answerEnded waits for the write to end, and answers with its record or its
// problem if it does in time.
func (a *API) answerEnded(ctx context.Context, x *exchange, w *accept.Accepted, wait time.Duration) (answered bool, err error) {
	ended, err := a.o.Acceptor.Await(ctx, w, wait)
	if err != nil || ended == nil {
		return false, err
	}
	op := &ended.Operation
	if ended.Record != nil && !a.reads(x.who, op.Collection, ended.Record.Owner) {
		return false, nil // they may write it, not read it
	}
	if op.Status == record.Done && op.Action != record.Delete && ended.Record == nil {
		return false, nil // deleted again since; the operation tells more than nothing
	}
	x.Header().Set("Preference-Applied", "wait="+strconv.Itoa(int(wait/time.Second)))
	x.Header().Set("Waybill-Operation", w.ID)
	switch {
	case op.Status == record.Failed:
		return true, &fault.Error{Kind: op.Code, Detail: op.Detail}
	case op.Action == record.Delete:
		x.WriteHeader(http.StatusNoContent)
		return true, nil
	}
	status := http.StatusOK
	x.Header().Set("ETag", etag(ended.Record.Version))
	if ended.Created {
		status = http.StatusCreated
		x.Header().Set("Location", recordPath(&ended.Record.Key))
	}
	return true, writeBytes(x, status, ended.Record.AppendJSON(nil))
}

// recordID returns the {id} of the path, if it may be a record's.
func recordID(r *http.Request) (string, error) {
	id, err := chi.URLParam(r, "id"), error(nil)
	if r.URL.RawPath != "" { // only then does chi match the path as it was sent
		id, err = url.PathUnescape(id)
	}
	if err != nil || !validRecordID(id) {
		return "", fault.At(fault.InvalidParameter, "path.id",
			`must be 1 to 128 of the characters A-Z a-z 0-9 . _ ~ -, and not ".", ".." or "changes"`)
	}
	return id, nil
}

func validRecordID(id string) bool {
	if id == "" || len(id) > 128 || id == "." || id == ".." || id == "changes" {
		return false
	}
	return !strings.ContainsFunc(id, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("._~-", c)
	})
}

func recordPath(k *record.Key) string { return "/api/" + k.Collection + "/" + k.ID }
