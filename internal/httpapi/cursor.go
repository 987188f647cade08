package httpapi

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strconv"
	"strings"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/record"
)

// A cursor is a list's fingerprint and the last ID seen. The fingerprint ties
// it to the list it was made for: under another filter or order it would skip or
// repeat without a word.

// listScope returns the fingerprint of a list: its path and all parameters but
// the page's own.
func listScope(path string, query url.Values) string {
	list := url.Values{}
	for name, values := range query {
		if name != "cursor" && name != "limit" {
			list[name] = values
		}
	}
	sum := sha256.Sum256([]byte(path + "?" + list.Encode()))
	return base64.RawURLEncoding.EncodeToString(sum[:6])
}

func encodeCursor(scope, last string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(scope + last))
}

// decodeCursor returns the last ID seen, if valid says that it can be one.
func decodeCursor(scope, cursor string, valid func(id string) bool) (string, error) {
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	if err == nil {
		if last, ok := strings.CutPrefix(string(raw), scope); ok {
			if valid(last) {
				return last, nil
			}
		}
	}
	return "", fault.At(fault.InvalidParameter, "query.cursor", "is not a next_cursor of this list")
}

// page is the part of a list that a request asks for.
type page struct {
	limit int
	last  string // ID of the last item seen
	scope string
}

// pageOf reads the page of a list whose IDs are UUIDs.
func pageOf(path string, query url.Values) (page, error) {
	return pageBy(path, query, func(id string) bool {
		_, err := record.ParseID(id)
		return err == nil
	})
}

// pageBy reads the page of a list whose IDs are valid.
func pageBy(path string, query url.Values, valid func(id string) bool) (page, error) {
	p := page{limit: 50, scope: listScope(path, query)}
	if query.Has("limit") {
		n, err := strconv.Atoi(query.Get("limit"))
		if err != nil || n < 1 || n > 500 {
			return p, fault.At(fault.InvalidParameter, "query.limit", "must be a whole number from 1 to 500")
		}
		p.limit = n
	}
	if query.Get("cursor") != "" {
		var err error
		if p.last, err = decodeCursor(p.scope, query.Get("cursor"), valid); err != nil {
			return p, err
		}
	}
	return p, nil
}

// list is a page of any list in the API.
type list struct {
	Items      []json.RawMessage `json:"items"`
	NextCursor *string           `json:"next_cursor"`
}

// next sets the cursor of the page after this one.
func (l *list) next(p page, more bool, last string) {
	if more {
		cursor := encodeCursor(p.scope, last)
		l.NextCursor = &cursor
	}
}
