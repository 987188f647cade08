package queueui

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/waybill-dev/waybill/internal/collection"
	"github.com/waybill-dev/waybill/tasks"
)

// What of one task is shown, in bytes of bodies: a page holds up to maxPage
// tasks, and the browser colours every line.
const (
	maxBody  = 8 << 10
	maxShown = 16 << 10
)

// formatter makes payloads readable, without their secrets.
type formatter struct{ collections *collection.Set }

// operation is an operation as it is shown: where the outcome is announced is
// nobody's business.
type operation struct {
	ID          string          `json:"id"`
	Tenant      string          `json:"tenant"`
	Action      string          `json:"action"`
	Collection  string          `json:"collection"`
	Record      string          `json:"record"`
	Principal   string          `json:"principal,omitempty"`
	IfMatch     int64           `json:"if_match,omitempty"`
	IfNoneMatch bool            `json:"if_none_match,omitempty"`
	Body        json.RawMessage `json:"body,omitempty"`
}

// payload shows the payload of a task of some type. What it cannot read, it does
// not show at all.
func (f formatter) payload(kind string, payload []byte) string {
	switch kind {
	case tasks.TypeApply:
		if operations, err := tasks.DecodeApply(payload); err == nil {
			return f.batch(operations)
		}
	case tasks.TypeDeliver:
		if due, err := tasks.DecodeDeliver(payload); err == nil {
			return indent(map[string]any{"subscriptions": due})
		}
	}
	return fmt.Sprintf("unreadable payload of %d bytes", len(payload))
}

// result shows what a task left behind. None of ours leaves anything.
func result(_ string, result []byte) string {
	if len(result) == 0 {
		return ""
	}
	return fmt.Sprintf("result of %d bytes", len(result))
}

// batch shows operations while there is room, the first one always.
func (f formatter) batch(operations []tasks.Operation) string {
	shown := struct {
		Operations []operation `json:"operations"`
		NotShown   int         `json:"not_shown,omitempty"`
	}{}
	size := 0
	for i := range operations {
		o := f.operation(&operations[i])
		if size += len(o.Body) + 256; size > maxShown && i > 0 {
			shown.NotShown = len(operations) - i
			break
		}
		shown.Operations = append(shown.Operations, o)
	}
	return indent(shown)
}

func (f formatter) operation(o *tasks.Operation) operation {
	return operation{
		ID: o.ID, Tenant: o.Tenant, Action: o.Action, Collection: o.Collection, Record: o.Record, Principal: o.Principal,
		IfMatch: o.IfMatch, IfNoneMatch: o.IfNoneMatch, Body: f.body(o),
	}
}

// body shows a body by the rule of its collection. Nobody knows what is secret in
// a collection that this process does not have.
func (f formatter) body(o *tasks.Operation) json.RawMessage {
	c, ok := f.collections.Get(o.Collection)
	switch {
	case len(o.Body) == 0:
		return nil
	case !ok:
		return json.RawMessage(`"***"`)
	case len(o.Body) > maxBody:
		return json.RawMessage(fmt.Sprintf(`"%d bytes, not shown"`, len(o.Body)))
	}
	return c.Redact(o.Body)
}

// indent renders v as JSON for people.
func indent(v any) string {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false) // it is put into a page as text
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return "payload that cannot be shown"
	}
	return text.String()
}
