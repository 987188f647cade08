package httpapi

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/record"
)

// operationView is an operation as clients see it.
type operationView struct {
	ID         string         `json:"id" format:"uuid" doc:"UUIDv7; IDs sort in accepted order"`
	Action     record.Action  `json:"action" enum:"create,replace,patch,delete"`
	Collection string         `json:"collection"`
	Record     string         `json:"record" doc:"The record's ID"`
	Status     record.Status  `json:"status" enum:"queued,retrying,done,failed" doc:"done and failed are final"`
	AcceptedAt timestamp      `json:"accepted_at"`
	StoredAt   *timestamp     `json:"stored_at" nullable:"true"`
	Version    *int64         `json:"version" nullable:"true" doc:"The record's version after the operation; for a delete, the one it removed"`
	Attempts   int            `json:"attempts" doc:"Tries to store it that have ended"`
	Error      *operationErr  `json:"error"`
	Deliveries deliveryCounts `json:"deliveries"`
}

type operationErr struct {
	Code   fault.Kind `json:"code"`
	Detail string     `json:"detail"`
}

type deliveryCounts struct {
	Pending   int `json:"pending"`
	Delivered int `json:"delivered"`
	Dead      int `json:"dead"`
	Canceled  int `json:"canceled"`
}

// timestamp is a time as the API writes it: RFC 3339, UTC, microseconds.
type timestamp time.Time

// MarshalJSON implements json.Marshaler.
func (t timestamp) MarshalJSON() ([]byte, error) {
	return time.Time(t).UTC().AppendFormat(nil, `"`+record.TimeFormat+`"`), nil
}

func viewOf(s *record.Stored) operationView {
	v := operationView{
		ID: s.ID, Action: s.Action, Collection: s.Collection, Record: s.Key.ID, Status: s.Status,
		AcceptedAt: timestamp(s.AcceptedAt), Attempts: s.Attempts,
	}
	if !s.StoredAt.IsZero() {
		stored := timestamp(s.StoredAt)
		v.StoredAt = &stored
	}
	if s.Version != 0 {
		v.Version = &s.Version
	}
	if s.Status == record.Failed {
		v.Error = &operationErr{s.Code, s.Detail}
	}
	return v
}

// queuedView is an operation that was accepted just now.
func queuedView(op *record.Operation) operationView {
	return viewOf(&record.Stored{
		ID: op.ID, Key: op.Key, Action: op.Action, Status: record.Queued, AcceptedAt: record.AcceptedAt(op.ID),
	})
}

// appendQueued appends what json.Marshal makes of queuedView: the answer to every
// write, made without reflection. Nothing in it needs an escape.
func appendQueued(b []byte, op *record.Operation) []byte {
	b = append(append(b, `{"id":"`...), op.ID...)
	b = append(append(b, `","action":"`...), op.Action...)
	b = append(append(b, `","collection":"`...), op.Collection...)
	b = append(append(b, `","record":"`...), op.Key.ID...)
	b = record.AcceptedAt(op.ID).AppendFormat(append(b, `","status":"queued","accepted_at":"`...), record.TimeFormat)
	return append(b, `","stored_at":null,"version":null,"attempts":0,"error":null,"deliveries":{"pending":0,"delivered":0,"dead":0,"canceled":0}}`...)
}

func etag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

func writeJSON(x *exchange, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	return writeBytes(x, status, body)
}

// writeBytes answers with JSON. That the client is gone is not a failure.
func writeBytes(x *exchange, status int, body []byte) error {
	h := x.Header()
	h["Content-Type"] = []string{"application/json"}
	if h.Get("ETag") == "" {
		h["Cache-Control"] = []string{"no-store"}
	}
	x.WriteHeader(status)
	_, _ = x.Write(append(body, '\n'))
	return nil
}
