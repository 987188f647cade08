// Package secret keeps secrets: it seals what must not be readable at rest, and
// signs what comes back from outside. Every use has a purpose of its own, from
// which its key is derived, so that nothing made for one use is good for another.
// No I/O, no configuration.
package secret

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
)

// MinBytes is the least that a master secret has.
const MinBytes = 32

// ErrSealed is returned for what was not sealed with this secret, for this
// purpose and owner, or was changed since.
var ErrSealed = errors.New("cannot be opened: sealed with another secret, or damaged")

// Box seals, opens and signs. The zero Box does nothing of it: it has no secret.
type Box struct{ master []byte }

// NewBox returns a Box on the master secret, of at least MinBytes.
func NewBox(master string) (Box, error) {
	if len(master) < MinBytes {
		return Box{}, fmt.Errorf("the secret must have at least %d bytes", MinBytes)
	}
	return Box{[]byte(master)}, nil
}

// Usable says whether the Box has a secret.
func (b Box) Usable() bool { return len(b.master) > 0 }

var errUnusable = errors.New("no secret is configured")

func (b Box) key(purpose string) ([]byte, error) {
	if !b.Usable() {
		return nil, errUnusable
	}
	return hkdf.Key(sha256.New, b.master, nil, "waybill/"+purpose, sha256.Size)
}

// Derive returns a key for purpose, 32 bytes, for uses that take a key of their own.
func (b Box) Derive(purpose string) ([]byte, error) {
	key, err := b.key("derive/" + purpose)
	if err != nil {
		return nil, fmt.Errorf("derive: %w", err)
	}
	return key, nil
}

func (b Box) aead(purpose string) (cipher.AEAD, error) {
	key, err := b.key(purpose)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// Seal encrypts plain with AES-256-GCM. owner is what it belongs to: it can be
// opened for that alone.
func (b Box) Seal(purpose, owner string, plain []byte) ([]byte, error) {
	aead, err := b.aead(purpose)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return aead.Seal(nil, nil, plain, []byte(owner)), nil
}

// Open returns what was sealed, or an error that wraps ErrSealed.
func (b Box) Open(purpose, owner string, sealed []byte) ([]byte, error) {
	aead, err := b.aead(purpose)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	plain, err := aead.Open(nil, nil, sealed, []byte(owner))
	if err != nil {
		return nil, fmt.Errorf("open: %w", ErrSealed)
	}
	return plain, nil
}

// Sign returns a MAC of message, 32 bytes.
func (b Box) Sign(purpose, message string) ([]byte, error) {
	key, err := b.key(purpose)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(message))
	return mac.Sum(nil), nil
}

// Verify says whether mac is what Sign returns for message, in constant time.
func (b Box) Verify(purpose, message string, mac []byte) bool {
	want, err := b.Sign(purpose, message)
	return err == nil && len(mac) > 0 && hmac.Equal(want, mac)
}

// Random returns n random bytes.
func Random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}
