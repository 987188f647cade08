package record

import (
	"bytes"
	"strconv"
)

// TimeFormat is how times are written for clients: RFC 3339 in UTC, with
// microseconds, which is what an operation's stamp has.
const TimeFormat = "2006-01-02T15:04:05.000000Z"

// AppendJSON appends the record as clients see it: the server's fields, then its
// own as they were accepted, byte for byte.
func (r *Record) AppendJSON(b []byte) []byte {
	b = append(b, `{"id":`...)
	b = strconv.AppendQuote(b, r.ID) // an ID has no character that JSON and Go quote differently
	b = append(b, `,"version":`...)
	b = strconv.AppendInt(b, r.Version, 10)
	b = r.CreatedAt().AppendFormat(b, `,"created_at":"`+TimeFormat+`"`)
	b = r.UpdatedAt().AppendFormat(b, `,"updated_at":"`+TimeFormat+`"`)
	return appendFields(b, r.Data)
}

// appendFields ends an object that is open in b with the members of data, a
// compact JSON object or nothing.
func appendFields(b, data []byte) []byte {
	if fields := bytes.TrimPrefix(data, []byte("{")); len(fields) > 1 {
		b = append(b, ',')
		return append(b, fields...)
	}
	return append(b, '}')
}

// AppendSubmitted appends what a write asked for as a JSON object: the record's
// ID and the members of its body. It stands for the record where there is none.
func AppendSubmitted(b []byte, op *Operation) []byte {
	b = append(b, `{"id":`...)
	return appendFields(strconv.AppendQuote(b, op.Key.ID), op.Body)
}
