package auth

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/golang-jwt/jwt/v5"

	"github.com/waybill-dev/waybill/internal/secret"
)

// TokenKeys sign and verify access tokens: the first signs, all verify. The zero
// TokenKeys do neither.
type TokenKeys struct {
	signer *tokenKey
	byID   map[string]*tokenKey
}

// tokenKey is good for one algorithm alone, so that no token chooses how it is verified.
type tokenKey struct {
	id           string // kid
	method       jwt.SigningMethod
	sign, verify any // sign is nil for a key that only verifies
}

// kid is shorter than any key in base64, which an error would show.
var kid = regexp.MustCompile(`^[A-Za-z0-9._-]{1,32}$`)

// ParseTokenKeys reads the setting WAYBILL_TOKEN_KEYS: kid=hs256:BASE64,
// kid=ed25519:BASE64 (a seed) and kid=ed25519pub:BASE64, separated by commas; the
// first must be able to sign. Errors name entries by position and kid, never by key.
// "" are the zero TokenKeys.
func ParseTokenKeys(text string) (TokenKeys, error) {
	if strings.TrimSpace(text) == "" {
		return TokenKeys{}, nil
	}
	keys := TokenKeys{byID: map[string]*tokenKey{}}
	for i, entry := range strings.Split(text, ",") {
		k, err := parseTokenKey(strings.TrimSpace(entry))
		if err != nil {
			return TokenKeys{}, fmt.Errorf("entry %d: %w", i+1, err)
		}
		if keys.byID[k.id] != nil {
			return TokenKeys{}, fmt.Errorf("entry %d: there is another key %q", i+1, k.id)
		}
		keys.byID[k.id] = k
		if i == 0 {
			keys.signer = k
		}
	}
	if keys.signer.sign == nil {
		return TokenKeys{}, errors.New("entry 1: the first key signs, and a public key cannot")
	}
	return keys, nil
}

func parseTokenKey(entry string) (*tokenKey, error) {
	id, rest, ok := strings.Cut(entry, "=")
	algorithm, encoded, ok2 := strings.Cut(rest, ":")
	// Nothing is shown of what does not look like it: it may be a key.
	if !ok || !ok2 || !kid.MatchString(id) {
		return nil, errors.New("must be kid=algorithm:BASE64, the kid 1 to 32 of A-Z a-z 0-9 . _ -")
	}
	key, err := base64.RawStdEncoding.Strict().DecodeString(strings.TrimRight(encoded, "="))
	if err != nil {
		return nil, fmt.Errorf("key %q: not base64", id)
	}
	switch algorithm {
	case "hs256":
		return symmetric(id, key)
	case "ed25519":
		if len(key) != ed25519.SeedSize {
			return nil, fmt.Errorf("key %q: a seed must have %d bytes", id, ed25519.SeedSize)
		}
		private := ed25519.NewKeyFromSeed(key)
		return &tokenKey{id, jwt.SigningMethodEdDSA, private, private.Public()}, nil
	case "ed25519pub":
		if len(key) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("key %q: a public key must have %d bytes", id, ed25519.PublicKeySize)
		}
		return &tokenKey{id, jwt.SigningMethodEdDSA, nil, ed25519.PublicKey(key)}, nil
	}
	return nil, fmt.Errorf("key %q: the algorithm must be hs256, ed25519 or ed25519pub", id)
}

func symmetric(id string, key []byte) (*tokenKey, error) {
	if len(key) < secret.MinBytes {
		return nil, fmt.Errorf("key %q: must have at least %d bytes", id, secret.MinBytes)
	}
	return &tokenKey{id, jwt.SigningMethodHS256, key, key}, nil
}

// derivedKeys returns the one key that is used where none is set: made of the
// master secret, and named by its hash, so that another secret makes another kid.
func derivedKeys(box secret.Box) (TokenKeys, error) {
	key, err := box.Derive("access tokens")
	if err != nil {
		return TokenKeys{}, err
	}
	sum := sha256.Sum256(key)
	k, err := symmetric(hex.EncodeToString(sum[:8]), key)
	if err != nil {
		return TokenKeys{}, err
	}
	return TokenKeys{signer: k, byID: map[string]*tokenKey{k.id: k}}, nil
}
