package webhook

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/waybill-dev/waybill/internal/secret"
)

const (
	// mask stands for a header's value: shown instead of it, and given for "as it is".
	mask = "***"
	// overlap is how long a secret signs on after it was replaced.
	overlap = 24 * time.Hour
	// mostSecrets sign at once: the contract's two. Who rotates again before the day
	// is over ends the oldest: it may be the one that leaked.
	mostSecrets = 2
	// secretBytes is the size of a new secret; Standard Webhooks asks for 24 to 64.
	secretBytes  = 32
	secretPrefix = "whsec_"
)

// settings are what is kept, sealed, of a subscription's channel.
type settings struct {
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers,omitempty"`
	Secrets []signingSecret   `json:"secrets"` // never empty; the first is the current one
}

// signingSecret signs until a time; the zero time is for ever.
type signingSecret struct {
	Secret string    `json:"secret"`
	Until  time.Time `json:"until,omitzero"`
}

func (s *signingSecret) valid(now time.Time) bool { return s.Until.IsZero() || now.Before(s.Until) }

// errSettings has no cause: an error of the decoder could show what is sealed.
var errSettings = errors.New("the settings of a webhook cannot be read")

func parseSettings(b []byte) (*settings, error) {
	var s settings
	if json.Unmarshal(b, &s) != nil || s.URL == "" || len(s.Secrets) == 0 {
		return nil, errSettings
	}
	return &s, nil
}

// rotate puts a new secret before the others and gives the one that it replaces
// an end. Secrets past theirs are dropped.
func (s *settings) rotate(now time.Time) {
	fresh := secretPrefix + base64.StdEncoding.EncodeToString(secret.Random(secretBytes))
	secrets := []signingSecret{{Secret: fresh}}
	for _, old := range s.Secrets {
		if old.Until.IsZero() {
			old.Until = now.UTC().Add(overlap)
		}
		if old.valid(now) && len(secrets) < mostSecrets {
			secrets = append(secrets, old)
		}
	}
	s.Secrets = secrets
}

// leastPart is the shortest part of a header's value, such as the token of
// "Bearer …", that is a secret by itself, in bytes.
const leastPart = 8

// confidential returns all that a receiver knows of us and that is not to be shown:
// of the settings, of u, which is their URL, and of the proxy's, if there is one.
func (s *settings) confidential(u, proxy *url.URL) (secrets []string) {
	for _, value := range s.Headers {
		secrets = append(secrets, value)
		short := func(part string) bool { return len(part) < leastPart }
		secrets = append(secrets, slices.DeleteFunc(strings.Fields(value), short)...)
	}
	for _, secret := range s.Secrets {
		secrets = append(secrets, secret.Secret, strings.TrimPrefix(secret.Secret, secretPrefix))
	}
	secrets = append(secrets, u.RawQuery)
	for pair := range strings.SplitSeq(u.RawQuery, "&") {
		_, value, _ := strings.Cut(pair, "=")
		plain, _ := url.QueryUnescape(value)
		secrets = append(secrets, value, plain)
	}
	if proxy != nil {
		password, _ := proxy.User.Password()
		secrets = append(secrets, password)
	}
	return secrets
}

// encode returns v as compact JSON, without HTML's escapes.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
