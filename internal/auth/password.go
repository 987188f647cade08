package auth

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/principal"
	"github.com/waybill-dev/waybill/internal/secret"
)

// cost is what a hash of a password costs, and its sizes in bytes.
type cost struct {
	memory     uint32 // KiB
	passes     uint32
	lanes      uint8
	salt, hash int
}

// current is what OWASP asks of argon2id. Raised here, passwords follow at their
// next login.
var current = cost{memory: 19 * 1024, passes: 2, lanes: 1, salt: 16, hash: 32}

// sane bounds what a stored hash may ask of us: nobody's row may take a server down.
func (c cost) sane() bool {
	return c.memory >= 8*uint32(c.lanes) && c.memory <= 256*1024 && c.passes >= 1 && c.passes <= 16 &&
		c.lanes >= 1 && c.lanes <= 16 && c.salt >= 8 && c.salt <= 64 && c.hash >= 16 && c.hash <= 64
}

func (c cost) below(o cost) bool {
	return c.memory < o.memory || c.passes < o.passes || c.salt < o.salt || c.hash < o.hash
}

// passwordHash is a password as it is stored: argon2id in PHC string format,
// $argon2id$v=19$m=…,t=…,p=…$salt$hash.
type passwordHash struct {
	cost
	saltBytes, hashBytes []byte
}

var errHash = errors.New("the password's hash is malformed")

func parseHash(text string) (passwordHash, error) {
	parts := strings.Split(text, "$")
	if len(text) > 512 || len(parts) != 6 {
		return passwordHash{}, errHash
	}
	var h passwordHash
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &h.memory, &h.passes, &h.lanes); err != nil {
		return passwordHash{}, errHash
	}
	var err, err2 error
	h.saltBytes, err = base64.RawStdEncoding.DecodeString(parts[4])
	h.hashBytes, err2 = base64.RawStdEncoding.DecodeString(parts[5])
	h.salt, h.hash = len(h.saltBytes), len(h.hashBytes)
	// What is not written as we write it may mean something else to somebody else.
	if err != nil || err2 != nil || !h.sane() || h.String() != text {
		return passwordHash{}, errHash
	}
	return h, nil
}

func (h passwordHash) String() string {
	encode := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.memory, h.passes, h.lanes, encode(h.saltBytes), encode(h.hashBytes))
}

// needsRehash says whether a stored hash costs less than a new one would.
func needsRehash(stored string) bool {
	h, err := parseHash(stored)
	return err == nil && h.below(current)
}

// hasher makes and checks hashes of passwords, a few at a time: each takes a core
// and 19 MiB.
type hasher struct {
	slots chan struct{}
	made  atomic.Int64 // hashes, for tests: wall clocks say little
	dummy func() string
}

func newHasher() *hasher {
	h := &hasher{slots: make(chan struct{}, 2*runtime.GOMAXPROCS(0))}
	h.dummy = sync.OnceValue(func() string {
		return passwordHash{cost: current, saltBytes: secret.Random(current.salt), hashBytes: secret.Random(current.hash)}.String()
	})
	return h
}

// derive is fault.Overloaded if no slot gets free before ctx ends.
func (h *hasher) derive(ctx context.Context, password string, salt []byte, c cost) ([]byte, error) {
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	case <-ctx.Done():
		return nil, fault.Wrap(fault.Overloaded, ctx.Err(), "too many logins at a time")
	}
	h.made.Add(1)
	// One password has many spellings in Unicode, and keyboards differ.
	return argon2.IDKey([]byte(norm.NFC.String(password)), salt, c.passes, c.memory, c.lanes, uint32(c.hash)), nil
}

// hash returns password as it is stored.
func (h *hasher) hash(ctx context.Context, password string) (string, error) {
	salt := secret.Random(current.salt)
	hash, err := h.derive(ctx, password, salt, current)
	if err != nil {
		return "", err
	}
	return passwordHash{cost: current, saltBytes: salt, hashBytes: hash}.String(), nil
}

// matches says whether password is the one that was stored. Without one ("") it
// takes as long, and is false.
func (h *hasher) matches(ctx context.Context, stored, password string) (bool, error) {
	none := stored == ""
	if none {
		stored = h.dummy()
	}
	want, err := parseHash(stored)
	if err != nil {
		return false, fault.Wrap(fault.Internal, err, "the password cannot be checked")
	}
	got, err := h.derive(ctx, password, want.saltBytes, want.cost)
	if err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare(got, want.hashBytes) == 1 && !none, nil
}

// Bounds of a password.
const (
	minPassword = 12    // characters
	maxPassword = 1_024 // bytes
)

// CheckPassword says what is wrong with a password for the user with that address:
// fault.InvalidRecord at body.password.
func CheckPassword(email, password string) error {
	return checkPassword("body.password", email, password)
}

func checkPassword(location, email, password string) error {
	refuse := func(message string, args ...any) error {
		return fault.At(fault.InvalidRecord, location, message, args...)
	}
	switch {
	case len(password) > maxPassword:
		return refuse("must have at most %d bytes", maxPassword)
	case !utf8.ValidString(password):
		return refuse("must be UTF-8")
	case utf8.RuneCountInString(norm.NFC.String(password)) < minPassword:
		return refuse("must have at least %d characters", minPassword)
	case same(email, password):
		return refuse("must not be the e-mail address")
	}
	return nil
}

// same says whether a password is an address, however either is written.
func same(email, password string) bool {
	address, err := principal.EmailKey(email)
	if err != nil {
		return email == password
	}
	other, err := principal.EmailKey(strings.TrimSpace(password))
	return err == nil && address == other
}
