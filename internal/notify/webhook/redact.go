package webhook

import (
	"bytes"
	"encoding/json"
	"net/url"
	"slices"
	"strings"

	"github.com/waybill-dev/waybill/internal/notify"
)

const (
	// leastSecret is the shortest value that is taken out of answers, in bytes:
	// shorter ones keep no secret and would tear every answer to pieces.
	leastSecret = 4
	// leastPart is the same for a part of a value, such as the token of "Bearer …".
	leastPart = 8
)

// redactor takes our secrets out of what a receiver answers: many repeat the
// request in their errors.
type redactor struct {
	secrets [][]byte // the longest first, so that none leaves a rest of another
}

func newRedactor(s *settings, u, proxy *url.URL) *redactor {
	var texts []string
	for _, value := range s.Headers {
		texts = append(texts, value)
		texts = append(texts, long(strings.Fields(value))...)
	}
	for _, secret := range s.Secrets {
		texts = append(texts, secret.Secret, strings.TrimPrefix(secret.Secret, secretPrefix))
	}
	texts = append(texts, u.RawQuery)
	for pair := range strings.SplitSeq(u.RawQuery, "&") {
		_, value, _ := strings.Cut(pair, "=")
		plain, _ := url.QueryUnescape(value)
		texts = append(texts, value, plain)
	}
	if proxy != nil {
		password, _ := proxy.User.Password()
		texts = append(texts, password)
	}
	return &redactor{spellings(texts)}
}

func long(parts []string) []string {
	return slices.DeleteFunc(parts, func(p string) bool { return len(p) < leastPart })
}

// spellings returns texts as they are, as JSON writes them, with escaped slashes
// too, and as URLs do, the longest first.
func spellings(texts []string) [][]byte {
	var found [][]byte
	for _, text := range texts {
		if len(text) < leastSecret {
			continue
		}
		html, _ := json.Marshal(text) // no string fails
		plain, _ := encode(text)
		found = append(found, []byte(text), []byte(url.QueryEscape(text)), []byte(url.PathEscape(text)))
		for _, quoted := range [][]byte{html[1 : len(html)-1], plain[1 : len(plain)-1]} {
			found = append(found, quoted, bytes.ReplaceAll(quoted, []byte("/"), []byte(`\/`)))
		}
	}
	slices.SortFunc(found, func(a, b []byte) int {
		if len(a) != len(b) {
			return len(b) - len(a)
		}
		return bytes.Compare(a, b)
	})
	return slices.CompactFunc(found, bytes.Equal)
}

// clean returns a reply with *** for every secret in it. It is never longer.
func (r *redactor) clean(reply []byte) []byte {
	if len(reply) == 0 {
		return reply
	}
	cut := len(reply) == notify.MaxReply
	for _, secret := range r.secrets {
		if bytes.Contains(reply, secret) {
			reply = bytes.ReplaceAll(reply, secret, []byte(mask))
		}
	}
	if cut {
		reply = r.trim(reply)
	}
	return reply
}

// trim cuts the beginning of a secret off the end of a reply that was not read
// to its end.
func (r *redactor) trim(reply []byte) []byte {
	most := 0
	for _, secret := range r.secrets {
		for n := min(len(secret)-1, len(reply)); n >= max(leastSecret, most+1); n-- {
			if bytes.HasSuffix(reply, secret[:n]) {
				most = n
			}
		}
	}
	if most == 0 {
		return reply
	}
	return append(reply[:len(reply)-most], mask...)
}
