package outbound

import (
	"bytes"
	"encoding/json"
	"net/url"
	"slices"

	"github.com/waybill-dev/waybill/internal/notify"
)

// leastSecret is the shortest value that is taken out of answers, in bytes:
// shorter ones keep no secret and would tear every answer to pieces.
const leastSecret = 4

// mask stands for a secret.
const mask = "***"

// Redactor takes our secrets out of what a receiver answers: many repeat the
// request in their errors.
type Redactor struct {
	secrets [][]byte // the longest first, so that none leaves a rest of another
}

// NewRedactor returns a Redactor of secrets. Those shorter than four bytes are
// passed over.
func NewRedactor(secrets ...string) *Redactor { return &Redactor{spellings(secrets)} }

// spellings returns texts as they are, as JSON writes them, with escaped slashes
// too, and as URLs do, the longest first.
func spellings(texts []string) [][]byte {
	var found [][]byte
	for _, text := range texts {
		if len(text) < leastSecret {
			continue
		}
		found = append(found, []byte(text), []byte(url.QueryEscape(text)), []byte(url.PathEscape(text)))
		for _, html := range []bool{true, false} {
			quoted := quote(text, html)
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

// quote returns text as JSON writes it, with or without HTML's escapes, but for the
// quotation marks.
func quote(text string, html bool) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(html)
	_ = e.Encode(text)              // no string fails
	return b.Bytes()[1 : b.Len()-2] // a line break is the last
}

// Clean returns what ReadReply did, with *** for every secret in it. It is never
// longer.
func (r *Redactor) Clean(reply []byte) []byte {
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
func (r *Redactor) trim(reply []byte) []byte {
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
