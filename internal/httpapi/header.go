package httpapi

import (
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/waybill-dev/waybill/internal/fault"
)

// maxWait bounds Prefer: wait and ?wait=.
const maxWait = 30

func badHeader(name, format string, args ...any) error {
	return fault.At(fault.InvalidParameter, "header."+name, format, args...)
}

// mediaType returns the media type of the request's body, in lower case, if it
// is one of allowed, in UTF-8 and not encoded.
func mediaType(r *http.Request, allowed ...string) (string, error) {
	if r.Header.Get("Content-Encoding") != "" {
		return "", fault.New(fault.UnsupportedMediaType, "Content-Encoding is not supported")
	}
	list := strings.Join(allowed, ", ")
	given := r.Header.Values("Content-Type")
	if len(given) != 1 {
		return "", fault.New(fault.UnsupportedMediaType, "the body needs one Content-Type: %s", list)
	}
	if given[0] == allowed[0] {
		return allowed[0], nil
	}
	media, params, err := mime.ParseMediaType(given[0])
	if err != nil {
		return "", fault.New(fault.UnsupportedMediaType, "the Content-Type is malformed; use %s", list)
	}
	if charset, given := params["charset"]; given && !strings.EqualFold(charset, "utf-8") {
		return "", fault.New(fault.UnsupportedMediaType, "the charset must be utf-8")
	}
	for _, m := range allowed {
		if m == media {
			return m, nil
		}
	}
	return "", fault.New(fault.UnsupportedMediaType, "the Content-Type %q is not supported here; use %s", clip(media), list)
}

// idempotencyKey returns the request's Idempotency-Key, "" for none.
func idempotencyKey(r *http.Request) (string, error) {
	const name = "Idempotency-Key"
	values := r.Header.Values(name)
	if len(values) == 0 {
		return "", nil
	}
	if len(values) > 1 {
		return "", badHeader(name, "given more than once")
	}
	key := values[0]
	if key == "" || len(key) > 255 {
		return "", badHeader(name, "must have 1 to 255 characters")
	}
	for i := range len(key) {
		if key[i] < ' ' || key[i] > '~' {
			return "", badHeader(name, "must be printable ASCII")
		}
	}
	return key, nil
}

// preferWait returns the N of Prefer: wait=N, 0 for none. Other preferences are
// ignored, as RFC 7240 has it; so is all but the first wait.
func preferWait(r *http.Request) (time.Duration, error) {
	for _, line := range r.Header.Values("Prefer") {
		for _, preference := range splitUnquoted(line, ',') {
			token := splitUnquoted(preference, ';')[0] // without parameters
			name, value, _ := strings.Cut(token, "=")
			if !strings.EqualFold(strings.TrimSpace(name), "wait") {
				continue
			}
			value = strings.TrimSpace(value)
			if n := len(value); n >= 2 && value[0] == '"' && value[n-1] == '"' {
				value = value[1 : n-1]
			}
			seconds, ok := seconds(value)
			if !ok {
				return 0, badHeader("Prefer", "wait must be a whole number of seconds from 0 to %d", maxWait)
			}
			return seconds, nil
		}
	}
	return 0, nil
}

// splitUnquoted splits a header's value at separator, except inside quotes.
func splitUnquoted(s string, separator byte) []string {
	var parts []string
	start, quoted := 0, false
	for i := 0; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == separator && !quoted:
			parts = append(parts, s[start:i])
			start = i + 1
		}
	}
	return append(parts, s[start:])
}

// seconds reads a whole number from 0 to maxWait.
func seconds(s string) (time.Duration, bool) {
	n, err := strconv.ParseUint(s, 10, 16)
	return time.Duration(n) * time.Second, err == nil && n <= maxWait && s[0] != '+'
}

// preconditions reads If-Match: "<version>" and If-None-Match: * of a write.
// A header that could only be ignored is refused: the writer relies on it.
func preconditions(r *http.Request) (version int64, none bool, err error) {
	const ifMatch, ifNoneMatch = "If-Match", "If-None-Match"
	if values := r.Header.Values(ifMatch); len(values) > 0 {
		tag := strings.TrimSpace(values[0])
		if len(values) > 1 || len(tag) < 3 || tag[0] != '"' || tag[len(tag)-1] != '"' {
			return 0, false, badHeader(ifMatch, `must be one version in quotes, as in "3"`)
		}
		number := tag[1 : len(tag)-1]
		version, err = strconv.ParseInt(number, 10, 64)
		if err != nil || version < 1 || strconv.FormatInt(version, 10) != number {
			return 0, false, badHeader(ifMatch, `must be one version in quotes, as in "3"`)
		}
		if r.Method == http.MethodPost {
			return 0, false, badHeader(ifMatch, "a create has no version to match")
		}
	}
	if values := r.Header.Values(ifNoneMatch); len(values) > 0 {
		if len(values) > 1 || strings.TrimSpace(values[0]) != "*" {
			return 0, false, badHeader(ifNoneMatch, "must be * on a write")
		}
		if r.Method == http.MethodPatch || r.Method == http.MethodDelete {
			return 0, false, badHeader(ifNoneMatch, "%s needs a record that exists", r.Method)
		}
		if version != 0 {
			return 0, false, badHeader(ifNoneMatch, "contradicts If-Match")
		}
		none = r.Method == http.MethodPut
	}
	return version, none, nil
}

// matchesTag says whether a read's If-None-Match names tag (weak comparison).
func matchesTag(r *http.Request, tag string) bool {
	for _, line := range r.Header.Values("If-None-Match") {
		for candidate := range strings.SplitSeq(line, ",") {
			candidate = strings.TrimSpace(candidate)
			if candidate == "*" || strings.TrimPrefix(candidate, "W/") == tag {
				return true
			}
		}
	}
	return false
}
