package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"

	"github.com/google/uuid"

	"github.com/waybill-dev/waybill/internal/secret"
)

const keyPrefix = "wb_"

// ParseKey takes an API key's text apart: wb_<id>_<secret>, the id 1–32 letters
// and digits, the secret 32–256 printable ASCII characters without spaces.
func ParseKey(text string) (id, secret string, ok bool) {
	rest, ok := strings.CutPrefix(text, keyPrefix)
	if !ok {
		return "", "", false
	}
	id, secret, ok = strings.Cut(rest, "_")
	if !ok || !IsKeyID(id) || !isKeySecret(secret) {
		return "", "", false
	}
	return id, secret, true
}

// IsKeyID says whether id can be a key's: 1–32 letters and digits.
func IsKeyID(id string) bool {
	return len(id) >= 1 && len(id) <= 32 && !strings.ContainsFunc(id, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	})
}

func isKeySecret(s string) bool {
	return len(s) >= 32 && len(s) <= 256 && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// CheckAdminKey says what is wrong with the setting WAYBILL_ADMIN_KEY. The error
// does not show it.
func CheckAdminKey(text string) error {
	if _, _, ok := ParseKey(text); !ok {
		return errors.New("must be wb_<id>_<secret>: an id of 1 to 32 letters and digits, a secret of 32 to 256 printable characters without spaces")
	}
	return nil
}

// makeKey draws a key. Its id sorts by creation.
func makeKey() (id, text string, hash []byte) {
	u := uuid.Must(uuid.NewV7())
	id = hex.EncodeToString(u[:])
	s := opaque()
	return id, keyPrefix + id + "_" + s, hashOf(s)
}

// NewKeyText draws the text of a key, for Seed to make.
func NewKeyText() string {
	_, text, _ := makeKey()
	return text
}

// opaque draws a secret that nobody guesses: 32 random bytes in base64url.
func opaque() string { return base64.RawURLEncoding.EncodeToString(secret.Random(opaqueBytes)) }

const opaqueBytes = 32

// isOpaque says whether text may have been drawn by opaque.
func isOpaque(text string) bool {
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return err == nil && len(b) == opaqueBytes && len(text) == base64.RawURLEncoding.EncodedLen(opaqueBytes)
}

// hashOf returns what is stored of a secret. It needs no salt and costs nothing:
// secrets are random, or too long to be guessed.
func hashOf(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}

// sameHash compares in constant time.
func sameHash(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }
