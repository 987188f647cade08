package subscription

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"

	"github.com/waybill-dev/waybill/internal/record"
)

// The last parts of the types of events.
const (
	Created = "created"
	Updated = "updated"
	Deleted = "deleted"
	Failed  = "failed" // a write that was accepted and could not be stored
)

// Types of events that no record is behind.
const (
	TypeDisabled = "subscription.disabled"
	TypeTest     = "subscription.test" // asked for by its subscriber; nobody else gets it
)

// Event is what is announced. Body is what every channel is given and every
// webhook receives: byte for byte the same at each attempt.
type Event struct {
	Tenant string
	ID     string       // UUIDv7; a stored operation's event has the operation's
	Type   string       // collection.created, …
	Owner  string       // the record's; "" for anonymous
	Body   []byte       // JSON object
	Trace  record.Trace // what it is caused by
}

// TypeOf returns the type of the event that an outcome makes.
func TypeOf(o *record.Outcome) string {
	last := Updated
	switch {
	case o.Status == record.Failed:
		last = Failed
	case o.Operation.Action == record.Delete:
		last = Deleted
	case o.Created:
		last = Created
	}
	return o.Operation.Collection + "." + last
}

// ownerOf returns whose event an outcome makes: the record's owner's; of a write
// that failed, its writer's, for it shows what was submitted.
func ownerOf(o *record.Outcome) string {
	if o.Status == record.Failed {
		return o.Operation.Principal
	}
	return o.Owner
}

// EventOf returns the event of an outcome. It depends on the outcome alone, so
// whoever renders it again gets the same bytes.
func EventOf(o *record.Outcome) Event {
	op := &o.Operation
	e := Event{Tenant: op.Tenant, ID: op.ID, Type: TypeOf(o), Owner: ownerOf(o), Trace: op.Trace}
	data := record.AppendSubmitted(nil, op)
	if o.Record != nil {
		data = o.Record.AppendJSON(nil)
	}
	b := make([]byte, 0, len(data)+256)
	b = appendHead(b, e.Type, record.AcceptedAt(op.ID))
	b = append(append(b, `,"data":`...), data...)
	b = append(append(b, `,"operation":"`...), op.ID...)
	b = append(append(b, `","tenant":`...), quote(op.Tenant)...)
	if o.Status == record.Failed {
		b = append(append(b, `,"action":`...), quote(string(op.Action))...)
		b = append(append(b, `,"error":{"code":`...), quote(string(o.Code))...)
		b = append(append(b, `,"detail":`...), quote(o.Detail)...)
		b = append(b, '}')
	}
	b = append(b, '}')
	e.Body = b
	return e
}

// Notice returns an event that no operation is behind: its body's operation is
// null. data is a JSON object.
func Notice(tenant, id, eventType string, at time.Time, data []byte) Event {
	b := appendHead(nil, eventType, at)
	b = append(append(b, `,"data":`...), data...)
	b = append(append(b, `,"operation":null,"tenant":`...), quote(tenant)...)
	return Event{Tenant: tenant, ID: id, Type: eventType, Body: append(b, '}')}
}

func appendHead(b []byte, eventType string, at time.Time) []byte {
	b = append(append(b, `{"type":`...), quote(eventType)...)
	return at.UTC().AppendFormat(b, `,"timestamp":"`+record.TimeFormat+`"`)
}

// quote returns text as a JSON string, without HTML's escapes.
func quote(text string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(strings.ToValidUTF8(text, "\uFFFD")) // no string fails
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
