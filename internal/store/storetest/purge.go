package storetest

import (
	"testing"
	"time"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/principal"
	"github.com/waybill-dev/waybill/internal/store"
)

var purgeTests = map[string]func(*testing.T, *store.Store){
	"PurgeIdentity_KeepsWhatIsLive":      testPurge,
	"PurgeIdentity_RemovesOldAuditAlone": testPurgeAudit,
}

// purgeIdentity returns how many rows were removed in all.
func purgeIdentity(t *testing.T, s *store.Store, ended, audited time.Time, limit int) (n int64, err error) {
	removed, err := s.PurgeIdentity(t.Context(), ended, audited, limit)
	for _, rows := range removed {
		n += rows
	}
	return n, err
}

func testPurge(t *testing.T, s *store.Store) {
	u := makeUser(t, s)
	old, young := storedAt.Add(-24*time.Hour), storedAt.Add(24*time.Hour)
	login := func(name string, expires, revoked time.Time) *principal.Session {
		made := newSession(u, principal.Login)
		made.ExpiresAt, made.RevokedAt = expires, revoked
		must(t, s.CreateSession(acting(t), made, newRefresh(name)))
		return made
	}
	live, endedNow := login("live", young, time.Time{}), login("ended now", young, storedAt)
	rotateAt := func(hash, next string, at time.Time) {
		_, err := s.RotateRefresh(acting(t), []byte(hash), newRefresh(next), at)
		must(t, err)
	}
	rotateAt("live", "live 2", old)
	rotateAt("live 2", "live 3", storedAt)
	gone := []*principal.Session{login("expired", old, time.Time{}), login("revoked", young, old), login("both", old, old)}
	purged := int64(0)
	for rounds := 0; ; rounds++ {
		n, err := purgeIdentity(t, s, storedAt.Add(-time.Hour), old, 1)
		must(t, err)
		if n > 2 {
			t.Errorf("a purge of one of each removed %d", n)
		}
		if purged += n; n == 0 {
			break
		}
	}
	same(t, "removed", purged, int64(3+1+3)) // sessions, the spent token, theirs
	for _, session := range gone {
		_, _, _, err := s.SessionOwner(t.Context(), session.ID, nil)
		same(t, "one that ended long ago", fault.KindOf(err), fault.NotFound)
	}
	for _, session := range []*principal.Session{live, endedNow} {
		_, _, _, err := s.SessionOwner(t.Context(), session.ID, nil)
		must(t, err)
	}
	for hash, want := range map[string]fault.Kind{"live": fault.NotFound, "live 2": "", "live 3": "", "ended now": "", "expired": fault.NotFound, "revoked": fault.NotFound, "both": fault.NotFound} {
		_, err := s.RefreshSession(t.Context(), []byte(hash))
		same(t, "token "+hash, fault.KindOf(err), want)
	}
	rotateAt("live 3", "live 4", storedAt)
}

func testPurgeAudit(t *testing.T, s *store.Store) {
	for range 3 {
		makeUser(t, s)
	}
	future := time.Now().Add(time.Hour)
	for _, step := range []struct {
		before time.Time
		want   int64
	}{{time.Now().Add(-time.Hour), 0}, {future, 2}, {future, 1}, {future, 0}} {
		n, err := purgeIdentity(t, s, storedAt, step.before, 2)
		must(t, err)
		same(t, "removed", n, step.want)
	}
	same(t, "version", version(t, s), int64(1))
}
