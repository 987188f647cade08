package auth_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waybill-dev/waybill/internal/auth"
	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/principal"
	"github.com/waybill-dev/waybill/internal/record"
)

func TestRegister_MakesAMemberOfTheDefaultTenant(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	u, err := w.Register(t.Context(), "Ada@Example.com", password)
	if err != nil {
		t.Fatal(err)
	}
	if u.Tenant != record.DefaultTenant || u.Role != principal.Member || u.Email != "Ada@Example.com" || strings.Contains(u.Password, password) {
		t.Errorf("registered %+v", u)
	}
	if _, p := w.login(t, "ADA@example.COM"); p.User != u.ID || p.Kind != principal.OfUser {
		t.Errorf("logged in as %+v", p)
	}
}

func TestRegister_Refuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if _, err := w.Register(t.Context(), "ä"+email, password); err != nil {
		t.Fatal(err)
	}
	hashes := w.Hashes()
	_, err := w.Register(t.Context(), "nobody", "short")
	want(t, err, fault.InvalidRecord, "body.email", "body.password")
	_, err = w.Register(t.Context(), "nobody@", password)
	want(t, err, fault.InvalidRecord, "body.email")
	_, err = w.Register(t.Context(), email, strings.ToUpper(email))
	want(t, err, fault.InvalidRecord, "body.password")
	_, err = newWorld(t, func(o *auth.Options) { o.Registration = "closed" }).Register(t.Context(), email, password)
	want(t, err, fault.Forbidden)
	if w.Hashes() != hashes {
		t.Error("what is refused was hashed")
	}
	_, err = w.Register(t.Context(), "A\u0308"+strings.ToUpper(email), password) // decomposed, in capitals
	want(t, err, fault.Conflict)
}

func TestLogin_AnswersAndWorksTheSameWhateverIsWrong(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.user(t, record.DefaultTenant, email, principal.Member)
	off := w.user(t, record.DefaultTenant, "off@example.com", principal.Member)
	yes := true
	if _, err := w.UpdateUser(t.Context(), operator, off.Tenant, off.User, auth.UserChange{Disabled: &yes}); err != nil {
		t.Fatal(err)
	}
	if err := w.store.CreateUser(t.Context(), &principal.User{ID: "0", Tenant: "default", Email: "none@example.com", EmailKey: "none@example.com", Role: principal.Member}); err != nil {
		t.Fatal(err)
	}
	answers := map[string]int{}
	for name, c := range map[string][2]string{
		"wrong password":   {email, "wrong horse battery"},
		"unknown address":  {"eve@example.com", password},
		"no address":       {"eve", password},
		"disabled":         {"off@example.com", password},
		"without password": {"none@example.com", password},
		"empty password":   {"none@example.com", ""},
	} {
		hashes := w.Hashes()
		_, err := w.Login(t.Context(), c[0], c[1])
		want(t, err, fault.Unauthorized)
		answers[err.Error()]++
		if n := w.Hashes() - hashes; n != 1 {
			t.Errorf("%s: %d hashes, want 1", name, n)
		}
	}
	if len(answers) != 1 {
		t.Errorf("answers %v, want one", answers)
	}
	_, err := w.Login(t.Context(), email, strings.Repeat("x", 1_000_000))
	want(t, err, fault.Unauthorized)
}

func TestLogin_HashesAgainWhatHasBecomeCheap(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cheap := auth.CheapHash(password)
	w.clock.pass(-time.Hour)
	at := w.clock.Now()
	if err := w.store.CreateUser(t.Context(), &principal.User{
		ID: "0", Tenant: "default", Email: email, EmailKey: email, Role: principal.Member, Password: cheap, CreatedAt: at, UpdatedAt: at,
	}); err != nil {
		t.Fatal(err)
	}
	w.clock.pass(time.Hour)
	for _, hashes := range []int64{2, 1} {
		before := w.Hashes()
		w.login(t, email)
		if n := w.Hashes() - before; n != hashes {
			t.Errorf("%d hashes, want %d", n, hashes)
		}
	}
	u, err := w.store.UserByEmail(t.Context(), email)
	if err != nil {
		t.Fatal(err)
	}
	if _, cheap, err := auth.ParseHash(u.Password); cheap || err != nil || !u.LastLoginAt.Equal(w.clock.Now()) {
		t.Errorf("after the login: %q, at %v, %v", u.Password, u.LastLoginAt, err)
	}
}

func TestLogin_TakesAPasswordHoweverItIsTyped(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if _, err := w.Register(t.Context(), email, "pässword pässword"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Login(t.Context(), email, "pa\u0308ssword pa\u0308ssword"); err != nil {
		t.Error(err)
	}
}

func TestRefresh_SpentTwiceEndsTheSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.user(t, record.DefaultTenant, email, principal.Member)
	first, _ := w.login(t, email)
	second, err := w.Refresh(t.Context(), first.Refresh)
	if err != nil {
		t.Fatal(err)
	}
	if second.Refresh == first.Refresh || second.ExpiresIn != 15*time.Minute {
		t.Errorf("refreshed %+v", second)
	}
	if _, err := w.Authenticate(t.Context(), second.Access); err != nil {
		t.Error(err)
	}
	_, err = w.Refresh(t.Context(), first.Refresh)
	want(t, err, fault.Unauthorized)
	_, err = w.Refresh(t.Context(), second.Refresh)
	want(t, err, fault.Unauthorized)
	w.clock.pass(6 * time.Second)
	_, err = w.Authenticate(t.Context(), second.Access)
	want(t, err, fault.Unauthorized)
}

func TestLogin_WaitsForAFreeCoreNoLongerThanItsRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	free := w.OccupyHasher()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := w.Login(ctx, "nobody", password)
	want(t, err, fault.Overloaded)
	free()
	_, err = w.Login(t.Context(), "nobody", password)
	want(t, err, fault.Unauthorized)
}

func TestLogin_ThatAChangeOvertakesIsNone(t *testing.T) {
	t.Parallel()
	yes, next, tenant := true, "battery horse correct", "acme"
	for name, change := range map[string]auth.UserChange{"disabled": {Disabled: &yes}, "password": {Password: &next}, "moved": {Tenant: &tenant}} {
		w := newWorld(t)
		u := w.user(t, record.DefaultTenant, email, principal.Member)
		w.flaky.beforeSession = func() {
			if _, err := w.UpdateUser(t.Context(), operator, u.Tenant, u.User, change); err != nil {
				t.Error(err)
			}
		}
		t.Log(name)
		_, err := w.Login(t.Context(), email, password)
		want(t, err, fault.Unauthorized)
	}
}

func TestLogout_CountsAtOnceWhereItHappened(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.user(t, record.DefaultTenant, email, principal.Member)
	tokens, p := w.login(t, email)
	if err := w.Logout(t.Context(), p, ""); err != nil {
		t.Fatal(err)
	}
	_, err := w.Authenticate(t.Context(), tokens.Access)
	want(t, err, fault.Unauthorized)
}

func TestRefresh_Refuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.user(t, record.DefaultTenant, email, principal.Member)
	cookie, _, err := w.OpenSession(t.Context(), ada)
	if err != nil {
		t.Fatal(err)
	}
	late, _ := w.login(t, email)
	for _, token := range []string{"", "x", late.Access, cookie, strings.Repeat("A", 43), late.Refresh + "=", late.Refresh + "\n"} {
		_, err := w.Refresh(t.Context(), token)
		want(t, err, fault.Unauthorized)
	}
	w.clock.pass(30 * 24 * time.Hour)
	_, err = w.Refresh(t.Context(), late.Refresh)
	want(t, err, fault.Unauthorized)
}

func TestRefresh_OfManyAtATimeOneWins(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.user(t, record.DefaultTenant, email, principal.Member)
	tokens, _ := w.login(t, email)
	var mu sync.Mutex
	var all sync.WaitGroup
	kinds := map[fault.Kind]int{}
	for range 8 {
		all.Go(func() {
			_, err := w.Refresh(t.Context(), tokens.Refresh)
			mu.Lock()
			defer mu.Unlock()
			kinds[fault.KindOf(err)]++
		})
	}
	all.Wait()
	// The winner's own answer is Unauthorized if a loser has ended the session by then.
	if kinds[""] > 1 || kinds[""]+kinds[fault.Unauthorized] != 8 {
		t.Errorf("answers %v", kinds)
	}
}

func TestLogout_EndsTheSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.user(t, record.DefaultTenant, email, principal.Member)
	for name, logout := range map[string]func(*auth.Tokens, *principal.Principal) error{
		"by access token": func(_ *auth.Tokens, p *principal.Principal) error { return w.Logout(t.Context(), p, "") },
		"by refresh token": func(tokens *auth.Tokens, _ *principal.Principal) error {
			return w.Logout(t.Context(), nil, tokens.Refresh)
		},
		"by a guest": func(tokens *auth.Tokens, _ *principal.Principal) error {
			return w.Logout(t.Context(), principal.Guest("default"), tokens.Refresh)
		},
		"by both": func(tokens *auth.Tokens, p *principal.Principal) error {
			return w.Logout(t.Context(), p, tokens.Refresh)
		},
	} {
		tokens, p := w.login(t, email)
		other, _ := w.login(t, email)
		for range 2 { // the second time it has ended
			if err := logout(tokens, p); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		w.clock.pass(6 * time.Second)
		_, err := w.Authenticate(t.Context(), tokens.Access)
		want(t, err, fault.Unauthorized)
		_, err = w.Refresh(t.Context(), tokens.Refresh)
		want(t, err, fault.Unauthorized)
		if _, err := w.Authenticate(t.Context(), other.Access); err != nil {
			t.Errorf("%s: another login: %v", name, err)
		}
	}
	want(t, w.Logout(t.Context(), nil, ""), fault.Unauthorized)
	for _, unknown := range []string{"x", strings.Repeat("A", 43)} {
		if err := w.Logout(t.Context(), nil, unknown); err != nil {
			t.Error(err)
		}
	}
}

func TestChangePassword_EndsOtherSessions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.user(t, record.DefaultTenant, email, principal.Member)
	tokens, p := w.login(t, email)
	other, _ := w.login(t, email)
	const next = "battery horse correct"
	want(t, w.ChangePassword(t.Context(), p, "wrong horse battery", next), fault.Forbidden, "body.current_password")
	want(t, w.ChangePassword(t.Context(), p, password, "short"), fault.InvalidRecord, "body.new_password")
	want(t, w.ChangePassword(t.Context(), p, password, email), fault.InvalidRecord, "body.new_password")
	if err := w.ChangePassword(t.Context(), p, password, next); err != nil {
		t.Fatal(err)
	}
	w.clock.pass(6 * time.Second)
	if _, err := w.Authenticate(t.Context(), tokens.Access); err != nil {
		t.Errorf("the session that changed it: %v", err)
	}
	_, err := w.Authenticate(t.Context(), other.Access)
	want(t, err, fault.Unauthorized)
	_, err = w.Login(t.Context(), email, password)
	want(t, err, fault.Unauthorized)
	if _, err := w.Login(t.Context(), email, next); err != nil {
		t.Error(err)
	}
	_, key := w.key(t, p, auth.NewKey{Scopes: readOnly})
	want(t, w.ChangePassword(t.Context(), key, next, password), fault.Forbidden)
}
