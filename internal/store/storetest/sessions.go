package storetest

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/principal"
	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/store"
)

var sessionTests = map[string]func(*testing.T, *store.Store){
	"Session_IsKeptAsItWasMade":                   testSessionKept,
	"Session_IsAUsersOfItsTenant":                 testSessionUser,
	"Session_EndsOnce":                            testSessionEnds,
	"TakeLink_Once":                               testTakeLink,
	"RotateRefresh_SpendsATokenOnce":              testRotate,
	"RotateRefresh_OfAnEndedSession":              testRotateEnded,
	"RotateRefresh_TheSameTokenFromManyIsAReuse":  testRotateAtOnce,
	"RotateRefresh_RacesWithTheEndOfItsUsersDays": testRotateWhileDisabled,
}

// newSession returns a session of u that runs for an hour from storedAt.
func newSession(u *principal.User, kind principal.SessionKind) *principal.Session {
	made := &principal.Session{ID: newID(), Tenant: u.Tenant, Kind: kind, User: u.ID, CreatedAt: storedAt, ExpiresAt: storedAt.Add(time.Hour)}
	if kind != principal.Login {
		made.Hash = []byte("hash of " + made.ID)
	}
	return made
}

func newRefresh(text string) *principal.Refresh {
	return &principal.Refresh{Hash: []byte(text), CreatedAt: storedAt}
}

// logIn returns a login of a new user, whose refresh token has the hash given.
func logIn(t testing.TB, s *store.Store, hash string) *principal.Session {
	t.Helper()
	made := newSession(makeUser(t, s), principal.Login)
	must(t, s.CreateSession(acting(t), made, newRefresh(hash)))
	return made
}

// rotate shows a token for another, a minute after storedAt.
func rotate(t testing.TB, s *store.Store, hash, next string) func() error {
	t.Helper()
	return func() error {
		_, err := s.RotateRefresh(acting(t), []byte(hash), newRefresh(next), storedAt.Add(time.Minute))
		return err
	}
}

func testSessionKept(t *testing.T, s *store.Store) {
	u := makeUser(t, s)
	k := makeKey(t, s, u.Tenant, u.ID)
	free := makeKey(t, s, u.Tenant, "")
	viaKey, viaFree := newSession(u, principal.Browser), newSession(u, principal.Browser)
	viaKey.User, viaKey.Key = "", k.ID
	viaFree.User, viaFree.Key = "", free.ID
	revoked := newSession(u, principal.Link)
	revoked.RevokedAt = storedAt.Add(time.Minute)
	for _, test := range []struct {
		made  *principal.Session
		first *principal.Refresh
		user  *principal.User
		key   *principal.Key
	}{
		{newSession(u, principal.Login), newRefresh("first"), u, nil},
		{newSession(u, principal.Browser), nil, u, nil},
		{revoked, nil, u, nil}, {viaKey, nil, u, k}, {viaFree, nil, nil, free},
	} {
		follow(t, s, step{name: "create", do: func() error { return s.CreateSession(acting(t), test.made, test.first) }, audits: []string{"session.start"}})
		id, hash := test.made.ID, []byte(nil)
		for range 2 {
			got, user, key, err := s.SessionOwner(t.Context(), id, hash)
			must(t, err)
			same(t, "session, user and key", []any{got, user, key}, []any{test.made, test.user, test.key})
			if test.made.Hash != nil {
				id, hash = "", test.made.Hash
			}
		}
	}
	for _, odd := range oddTexts {
		_, _, _, err := s.SessionOwner(t.Context(), odd, nil)
		same(t, "SessionOwner by ID "+odd, fault.KindOf(err), fault.NotFound)
		_, _, _, err = s.SessionOwner(t.Context(), "", []byte(odd))
		same(t, "SessionOwner by hash "+odd, fault.KindOf(err), fault.NotFound)
		same(t, "EndSession "+odd, fault.KindOf(s.EndSession(acting(t), odd, storedAt)), fault.NotFound)
		_, err = s.RefreshSession(t.Context(), []byte(odd))
		same(t, "RefreshSession "+odd, fault.KindOf(err), fault.NotFound)
	}
}

func testSessionUser(t *testing.T, s *store.Store) {
	u := makeUser(t, s)
	elsewhere := newSession(u, principal.Login)
	elsewhere.Tenant = "other"
	disabled := newUser(record.DefaultTenant)
	disabled.DisabledAt = storedAt
	must(t, s.CreateUser(acting(t), disabled))
	for name, test := range map[string]struct {
		made *principal.Session
		want fault.Kind
	}{
		"another tenant":  {elsewhere, fault.NotFound},
		"nobody":          {newSession(newUser(u.Tenant), principal.Login), fault.NotFound},
		"a disabled user": {newSession(disabled, principal.Login), fault.Unauthorized},
	} {
		follow(t, s, step{name: name, do: func() error { return s.CreateSession(acting(t), test.made, newRefresh(name)) }, fails: test.want})
	}
}

func testSessionEnds(t *testing.T, s *store.Store) {
	made := logIn(t, s, "a")
	end := func(at time.Time) func() error {
		return func() error { return s.EndSession(acting(t), made.ID, at) }
	}
	follow(t, s, step{name: "end", do: end(storedAt), rises: 1, audits: []string{"session.end"}}, step{name: "again", do: end(storedAt.Add(time.Minute))})
	got, _, _, err := s.SessionOwner(t.Context(), made.ID, nil)
	must(t, err)
	same(t, "ended at", got.RevokedAt, storedAt)
}

func testTakeLink(t *testing.T, s *store.Store) {
	u := makeUser(t, s)
	link, late, browser := newSession(u, principal.Link), newSession(u, principal.Link), newSession(u, principal.Browser)
	late.ExpiresAt = storedAt.Add(time.Minute)
	for _, made := range []*principal.Session{link, late, browser} {
		must(t, s.CreateSession(acting(t), made, nil))
	}
	take := func(hash []byte) func() error {
		return func() error {
			got, err := s.TakeLink(acting(t), hash, storedAt.Add(time.Minute))
			if err == nil {
				same(t, "taken", []string{got.ID, got.User, got.Tenant}, []string{link.ID, u.ID, u.Tenant})
			}
			return err
		}
	}
	follow(t, s,
		step{name: "too late", do: take(late.Hash), fails: fault.Unauthorized},
		step{name: "no link", do: take(browser.Hash), fails: fault.Unauthorized},
		step{name: "unknown", do: take([]byte("x")), fails: fault.Unauthorized},
		step{name: "empty", do: take(nil), fails: fault.Unauthorized},
		step{name: "take", do: take(link.Hash), rises: 1, audits: []string{"session.end"}},
		step{name: "again", do: take(link.Hash), fails: fault.Unauthorized})
	again := newSession(u, principal.Link)
	must(t, s.CreateSession(acting(t), again, nil))
	var taken atomic.Int32
	together(8, func(int) {
		_, err := s.TakeLink(t.Context(), again.Hash, storedAt)
		if err == nil {
			taken.Add(1)
		} else if fault.KindOf(err) != fault.Unauthorized {
			t.Error(err)
		}
	})
	same(t, "taken by", taken.Load(), int32(1))
}

func testRotate(t *testing.T, s *store.Store) {
	made := logIn(t, s, "a")
	bystander := logIn(t, s, "x")
	follow(t, s, step{name: "rotate", do: rotate(t, s, "a", "b")}, step{name: "the next", do: rotate(t, s, "b", "c")},
		step{name: "unknown", do: rotate(t, s, "z", "y"), fails: fault.Unauthorized}, step{name: "empty", do: rotate(t, s, "", "y"), fails: fault.Unauthorized})
	for _, hash := range []string{"a", "b", "c"} {
		got, err := s.RefreshSession(t.Context(), []byte(hash))
		must(t, err)
		same(t, "session of "+hash, got, made)
	}
	follow(t, s, step{name: "reuse", do: rotate(t, s, "a", "d"), fails: fault.Unauthorized, rises: 1, audits: []string{"session.reuse"}},
		step{name: "the good one after it", do: rotate(t, s, "c", "d"), fails: fault.Unauthorized},
		step{name: "reuse again", do: rotate(t, s, "a", "d"), fails: fault.Unauthorized},
		step{name: "the bystander's", do: rotate(t, s, "x", "y")})
	if got, err := s.RefreshSession(t.Context(), []byte("a")); err != nil || !got.RevokedAt.Equal(storedAt.Add(time.Minute)) {
		t.Errorf("the session of the reused token: %+v, %v", got, err)
	}
	if _, err := s.RefreshSession(t.Context(), []byte("d")); fault.KindOf(err) != fault.NotFound {
		t.Errorf("a token of a refused rotation: %v", err)
	}
	got, err := s.RotateRefresh(t.Context(), []byte("y"), newRefresh("w"), storedAt)
	must(t, err)
	same(t, "answered", got, bystander)
}

func testRotateEnded(t *testing.T, s *store.Store) {
	ended, late := logIn(t, s, "ended"), newSession(makeUser(t, s), principal.Login)
	must(t, s.EndSession(acting(t), ended.ID, storedAt))
	late.ExpiresAt = storedAt.Add(time.Minute)
	must(t, s.CreateSession(acting(t), late, newRefresh("late")))
	follow(t, s, step{name: "ended", do: rotate(t, s, "ended", "a"), fails: fault.Unauthorized},
		step{name: "expired", do: rotate(t, s, "late", "b"), fails: fault.Unauthorized})
}

func testRotateAtOnce(t *testing.T, s *store.Store) {
	const n = 8
	made := logIn(t, s, "token")
	before := len(actions(t, s))
	var won atomic.Int32
	together(n, func(i int) {
		_, err := s.RotateRefresh(t.Context(), []byte("token"), newRefresh(string(rune('a'+i))), storedAt)
		if err == nil {
			won.Add(1)
		} else if fault.KindOf(err) != fault.Unauthorized {
			t.Error(err)
		}
	})
	same(t, "won", won.Load(), int32(1))
	same(t, "audit", actions(t, s)[before:], []string{"session.reuse"})
	got, _, _, err := s.SessionOwner(t.Context(), made.ID, nil)
	must(t, err)
	if got.RevokedAt.IsZero() {
		t.Error("the session goes on")
	}
	for i := range n { // the winner's next token came to nothing too
		if err := rotate(t, s, string(rune('a'+i)), "z")(); fault.KindOf(err) != fault.Unauthorized {
			t.Errorf("token %d: %v", i, err)
		}
	}
}

func testRotateWhileDisabled(t *testing.T, s *store.Store) {
	made := logIn(t, s, "0")
	together(4, func(i int) {
		if i > 0 {
			_, err := s.RotateRefresh(t.Context(), []byte{byte('0')}, newRefresh("next"), storedAt)
			if kind := fault.KindOf(err); kind != "" && kind != fault.Unauthorized {
				t.Error(err)
			}
			return
		}
		_, err := s.UpdateUser(t.Context(), made.Tenant, made.User, "", func(u *principal.User) error { u.DisabledAt = storedAt; return nil })
		if err != nil {
			t.Error(err)
		}
	})
	got, _, _, err := s.SessionOwner(t.Context(), made.ID, nil)
	must(t, err)
	if got.RevokedAt.IsZero() {
		t.Error("the session goes on")
	}
}
