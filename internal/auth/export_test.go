package auth

import (
	"context"
	"time"

	"golang.org/x/crypto/argon2"
)

// Hashes returns how many passwords were hashed.
func (s *Service) Hashes() int64 { return s.hasher.made.Load() }

// Poll and Flush are what Run does now and then.
func (s *Service) Poll(ctx context.Context) error { return s.poll(ctx) }

// Flush is one of Run's.
func (s *Service) Flush(ctx context.Context) { s.flush(ctx) }

// ParseHash says whether text is a hash, how it is written again and whether it is too cheap.
func ParseHash(text string) (again string, cheap bool, err error) {
	h, err := parseHash(text)
	return h.String(), needsRehash(text), err
}

// Verify verifies an access token.
func (k TokenKeys) Verify(text string, now time.Time) error {
	_, err := k.verifyToken(text, now)
	return err
}

// Sign signs an access token.
func (k TokenKeys) Sign(user, tenant, session string, now time.Time) (string, error) {
	return k.signToken(user, tenant, session, now)
}

// CheapHash returns a hash as an older version made it.
func CheapHash(password string) string {
	c := cost{memory: 8 * 1024, passes: 1, lanes: 1, salt: 16, hash: 32}
	salt := make([]byte, c.salt)
	return passwordHash{cost: c, saltBytes: salt, hashBytes: argon2.IDKey([]byte(password), salt, c.passes, c.memory, c.lanes, 32)}.String()
}

// OccupyHasher takes all places of those who hash, until free is called.
func (s *Service) OccupyHasher() (free func()) {
	for range cap(s.hasher.slots) {
		s.hasher.slots <- struct{}{}
	}
	return func() {
		for range cap(s.hasher.slots) {
			<-s.hasher.slots
		}
	}
}
