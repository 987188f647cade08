package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"hash"
	"strings"
	"sync"
	"time"
)

// signer signs with one secret. Keyed MACs are kept: making one costs as much as
// signing a small body.
type signer struct {
	until time.Time
	macs  sync.Pool // of hash.Hash
}

func newSigner(s *signingSecret) (*signer, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(s.Secret, secretPrefix))
	if err != nil || len(key) == 0 {
		return nil, errors.New("a webhook's secret cannot be read") // err could show it
	}
	return &signer{until: s.Until, macs: sync.Pool{New: func() any { return hmac.New(sha256.New, key) }}}, nil
}

// append appends the signature of a message whose head is "id.timestamp.":
// v1, and base64 of HMAC-SHA256 of head and body.
func (s *signer) append(b []byte, head string, body []byte) []byte {
	mac := s.macs.Get().(hash.Hash)
	defer s.macs.Put(mac)
	mac.Reset()
	mac.Write([]byte(head))
	mac.Write(body)
	var sum [sha256.Size]byte
	return base64.StdEncoding.AppendEncode(append(b, "v1,"...), mac.Sum(sum[:0]))
}

// sign returns the value of webhook-signature: one signature a secret that is
// valid, separated by spaces, the current one's first.
func sign(signers []*signer, now time.Time, head string, body []byte) string {
	var space [128]byte
	b := space[:0]
	for _, s := range signers {
		if !s.until.IsZero() && !now.Before(s.until) {
			continue
		}
		if len(b) > 0 {
			b = append(b, ' ')
		}
		b = s.append(b, head, body)
	}
	return string(b)
}
