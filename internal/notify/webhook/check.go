package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/waybill-dev/waybill/internal/fault"
)

// at is where the channel object is in a request.
const at = "body.channel"

// mistakes collects what is wrong with a channel object.
type mistakes []fault.Item

func (m *mistakes) add(location, format string, args ...any) {
	*m = append(*m, fault.Item{Location: location, Message: fmt.Sprintf(format, args...)})
}

// err returns nil, or the fault with all mistakes.
func (m mistakes) err() error {
	if len(m) == 0 {
		return nil
	}
	e := fault.New(fault.InvalidRecord, "%s: %s", m[0].Location, m[0].Message)
	if len(m) > 1 {
		e.Detail = fmt.Sprintf("The channel has %d mistakes.", len(m))
	}
	e.Items = m
	return e
}

// check returns the settings that a channel object asks for, but for the secrets.
// old are the settings that stand, nil if there are none.
func (c *Channel) check(ctx context.Context, object json.RawMessage, old *settings) (*settings, error) {
	var wrong mistakes
	var members map[string]json.RawMessage
	if json.Unmarshal(object, &members) != nil || members == nil {
		wrong.add(at, "must be an object with type and url")
		return nil, wrong.err()
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if name != "type" && name != "url" && name != "headers" {
			wrong.add(at+segment(name), "is unknown: a webhook has type, url and headers")
		}
	}
	if name, ok := text(members["type"]); !ok || name != kind {
		wrong.add(at+".type", "must be %q", kind)
	}
	s := &settings{}
	if raw, given := members["url"]; !given {
		wrong.add(at+".url", "is required")
	} else if address, ok := text(raw); !ok {
		wrong.add(at+".url", "must be a string")
	} else {
		s.URL = c.checkURL(ctx, address, &wrong)
	}
	if raw, given := members["headers"]; given {
		if old != nil && !sameOrigin(old.URL, s.URL) {
			old = nil // nobody may have headers that they cannot read sent to a place of their own
		}
		s.Headers = checkHeaders(raw, old, &wrong)
	}
	return s, wrong.err()
}

// sameOrigin says whether two URLs lead to the same scheme, host and port.
func sameOrigin(a, b string) bool {
	first, err := url.Parse(a)
	if err != nil {
		return false
	}
	second, err := url.Parse(b)
	return err == nil && first.Scheme == second.Scheme && first.Host == second.Host
}

// text returns a JSON value as a string, if it is one.
func text(raw json.RawMessage) (string, bool) {
	if len(raw) == 0 || raw[0] != '"' { // null would pass for ""
		return "", false
	}
	var s string
	err := json.Unmarshal(raw, &s)
	return s, err == nil
}

// segment renders a member's name as the part of a location after its object's.
func segment(name string) string {
	const most = 64 // bytes of somebody's input that an error repeats
	if len(name) <= most && token(name) && !strings.Contains(name, ".") {
		return "." + name
	}
	return "[" + strconv.Quote(strings.ToValidUTF8(name[:min(len(name), most)], "")) + "]"
}
