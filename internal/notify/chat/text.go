package chat

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf16"

	"github.com/waybill-dev/waybill/internal/notify"
)

// Bounds of what is shown of a record: the whole of it is behind the operation.
const (
	mostFields = 12
	maxValue   = 200 // characters
)

// write returns what a chat is told, without any service's escapes: a line each
// for the event, the failure if it is one, the record's first fields, and where to
// look further.
func write(m *notify.Message) (string, error) {
	var e struct {
		Type      string          `json:"type"`
		Data      json.RawMessage `json:"data"`
		Operation string          `json:"operation"`
		Action    string          `json:"action"`
		Error     struct{ Code, Detail string }
	}
	if err := json.Unmarshal(m.Event.Body, &e); err != nil {
		return "", fmt.Errorf("read the event: %w", err)
	}
	fields, err := fieldsOf(e.Data)
	if err != nil {
		return "", fmt.Errorf("read the event's record: %w", err)
	}
	lines := []string{line(cmp.Or(e.Type, m.Event.Type)) + " · " + line(m.Name)}
	if e.Error.Code != "" {
		lines = append(lines, "could not be stored ("+line(e.Action)+"): "+line(e.Error.Code)+": "+line(e.Error.Detail))
	}
	lines = append(lines, fields[:min(len(fields), mostFields)]...)
	if more := len(fields) - mostFields; more > 0 {
		lines = append(lines, fmt.Sprintf("… and %d more", more))
	}
	if e.Operation != "" {
		lines = append(lines, "operation: "+line(e.Operation))
	}
	return strings.Join(lines, "\n"), nil
}

// fieldsOf returns "name: value" for each of a JSON object's members, in its order.
func fieldsOf(object json.RawMessage) (fields []string, err error) {
	d := json.NewDecoder(bytes.NewReader(object))
	if first, err := d.Token(); err != nil || first != json.Delim('{') {
		return nil, nil //nolint:nilerr // null or nothing: there is nothing to show
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, err
		}
		shown := string(value)
		if value[0] == '"' {
			err = json.Unmarshal(value, &shown)
		}
		if err != nil {
			return nil, err
		}
		fields = append(fields, line(fmt.Sprint(name))+": "+line(shown))
	}
	return fields, nil
}

func line(text string) string { return notify.Line(text, maxValue) }

// fit escapes text and ends it where it would go over the service's limit: always
// between characters, never within an escape.
func (s *service) fit(text string) string {
	var b strings.Builder
	left := s.limit - 1 // the … needs one
	for _, r := range text {
		escaped := s.escape(r)
		for _, e := range escaped {
			left -= utf16.RuneLen(e)
		}
		if left < 0 {
			return b.String() + "…"
		}
		b.WriteString(escaped)
	}
	return b.String()
}
