package webhook

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
)

const (
	mostHeaders     = 32
	mostHeaderName  = 256     // bytes
	mostHeaderValue = 4 << 10 // bytes
)

// ours are the headers that we or the protocol set, lower-case.
var ours = []string{
	"accept-encoding", "connection", "content-encoding", "content-length", "content-type", "expect", "host", "keep-alive", "te",
	"traceparent", "tracestate", "trailer", "transfer-encoding", "upgrade", "user-agent",
}

// checkHeaders returns the headers of a channel object, by their names as given.
// The value *** is that of old, where names differ by their case at most.
func checkHeaders(raw json.RawMessage, old *settings, wrong *mistakes) map[string]string {
	const here = at + ".headers"
	var members map[string]json.RawMessage
	if json.Unmarshal(raw, &members) != nil || members == nil {
		wrong.add(here, "must be an object of strings")
		return nil
	}
	if len(members) > mostHeaders {
		wrong.add(here, "has %d headers, and %d are the most", len(members), mostHeaders)
		return nil
	}
	stands := standing(old)
	seen := make(map[string]string, len(members))
	headers := make(map[string]string, len(members))
	for _, name := range slices.Sorted(maps.Keys(members)) {
		location := here + segment(name)
		if why := badName(name); why != "" {
			wrong.add(location, "%s", why)
		}
		canonical := http.CanonicalHeaderKey(name)
		if twin, ok := seen[canonical]; ok {
			wrong.add(location, "is the same header as %s", twin)
		}
		seen[canonical] = name
		value, ok := text(members[name])
		kept, stood := stands[canonical]
		switch {
		case !ok:
			wrong.add(location, "must be a string")
		case value == mask && !stood:
			wrong.add(location, "is %s, which keeps the value that stands, and there is none for this host", mask)
		case value == mask:
			value = kept
		case len(value) > mostHeaderValue:
			wrong.add(location, "is longer than %d bytes", mostHeaderValue)
		case strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }):
			wrong.add(location, "has a line break or another control character")
		}
		headers[name] = value
	}
	return headers
}

// standing returns the headers of settings by their canonical names.
func standing(s *settings) map[string]string {
	found := map[string]string{}
	if s != nil {
		for name, value := range s.Headers {
			found[http.CanonicalHeaderKey(name)] = value
		}
	}
	return found
}

// badName says what is wrong with the name of a header, "" if nothing is.
func badName(name string) string {
	lower := strings.ToLower(name)
	switch {
	case !token(name) || len(name) > mostHeaderName:
		return "is not a header's name"
	case slices.Contains(ours, lower), strings.HasPrefix(lower, "webhook-"), strings.HasPrefix(lower, "proxy-"):
		return "is set by Waybill or by HTTP itself"
	}
	return ""
}

// token says whether s is a token of RFC 9110 §5.6.2.
func token(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	})
}
