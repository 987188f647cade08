package auth_test

import (
	"strings"
	"testing"

	"github.com/waybill-dev/waybill/internal/auth"
	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/principal"
	"github.com/waybill-dev/waybill/internal/record"
)

func TestCreateUser_Ranks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	platform := w.user(t, record.DefaultTenant, "platform@example.com", principal.Platform)
	admin := w.user(t, record.DefaultTenant, "admin@example.com", principal.Admin)
	member := w.user(t, record.DefaultTenant, "member@example.com", principal.Member)
	_, limited := w.key(t, platform, auth.NewKey{Scopes: readOnly})
	for name, c := range map[string]struct {
		by     *principal.Principal
		tenant string
		role   string
		kind   fault.Kind
	}{
		"platform makes platform":           {platform, "", "platform", ""},
		"platform makes platform elsewhere": {platform, "acme", "platform", fault.InvalidRecord},
		"platform makes admin elsewhere":    {platform, "acme", "admin", ""},
		"platform makes in a bad tenant":    {platform, "A B", "admin", fault.InvalidParameter},
		"admin makes admin":                 {admin, "", "admin", ""},
		"admin makes whoever":               {admin, "", "", ""},
		"admin makes platform":              {admin, "", "platform", fault.Forbidden},
		"admin makes member elsewhere":      {admin, "acme", "member", fault.Forbidden},
		"admin makes an unknown role":       {admin, "", "king", fault.InvalidRecord},
		"member makes member":               {member, "", "member", fault.Forbidden},
		"platform's key that may read":      {limited, "", "member", fault.Forbidden},
		"a guest":                           {principal.Guest(record.DefaultTenant), "", "member", fault.Forbidden},
	} {
		u, err := w.CreateUser(t.Context(), c.by, auth.NewUser{Tenant: c.tenant, Email: strings.ReplaceAll(name, " ", ".") + "@example.com", Password: password, Role: c.role})
		want(t, err, c.kind)
		if (u == nil) != (err != nil) {
			t.Errorf("%s: user %v, error %v", name, u, err)
		}
	}
	_, err := w.CreateUser(t.Context(), admin, auth.NewUser{Email: "x", Password: "y", Role: "king"})
	want(t, err, fault.InvalidRecord, "body.email", "body.password", "body.role")
}

func TestUpdateUser_Ranks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	people := map[string]*principal.Principal{
		"platform":  w.user(t, record.DefaultTenant, "platform@example.com", principal.Platform),
		"chief":     w.user(t, record.DefaultTenant, "chief@example.com", principal.Platform),
		"admin":     w.user(t, record.DefaultTenant, "admin@example.com", principal.Admin),
		"colleague": w.user(t, record.DefaultTenant, "colleague@example.com", principal.Admin),
		"member":    w.user(t, record.DefaultTenant, "member@example.com", principal.Member),
		"stranger":  w.user(t, "acme", "stranger@example.com", principal.Member),
	}
	_, people["adminkey"] = w.key(t, people["admin"], auth.NewKey{Scopes: []string{"admin"}})
	yes, no, next, short := true, false, "battery horse correct", "short"
	role := func(r string) auth.UserChange { return auth.UserChange{Role: &r} }
	tenant := func(n string) auth.UserChange { return auth.UserChange{Tenant: &n} }
	for name, c := range map[string]struct {
		by, of string
		change auth.UserChange
		kind   fault.Kind
	}{
		"admin promotes member to platform": {"admin", "member", role("platform"), fault.Forbidden},
		"admin sets an unknown role":        {"admin", "member", role("king"), fault.InvalidRecord},
		"admin sets no role":                {"admin", "member", role(""), fault.InvalidRecord},
		"admin demotes platform":            {"admin", "platform", role("member"), fault.Forbidden},
		"admin disables platform":           {"admin", "platform", auth.UserChange{Disabled: &yes}, fault.Forbidden},
		"admin gives platform a password":   {"admin", "platform", auth.UserChange{Password: &next}, fault.Forbidden},
		"admin gives a short password":      {"admin", "member", auth.UserChange{Password: &short}, fault.InvalidRecord},
		"admin moves member":                {"admin", "member", tenant("acme"), fault.Forbidden},
		"admin moves member to where it is": {"admin", "member", tenant(record.DefaultTenant), ""},
		"admin touches another tenant":      {"admin", "stranger", role("admin"), fault.Forbidden},
		"admin disables itself":             {"admin", "admin", auth.UserChange{Disabled: &yes}, fault.Conflict},
		"admin demotes itself":              {"admin", "admin", role("member"), fault.Conflict},
		"admin by key demotes itself":       {"adminkey", "admin", role("member"), fault.Conflict},
		"admin by key disables itself":      {"adminkey", "admin", auth.UserChange{Disabled: &yes}, fault.Conflict},
		"admin enables itself":              {"admin", "admin", auth.UserChange{Disabled: &no}, ""},
		"admin leaves itself as it is":      {"admin", "admin", role("admin"), ""},
		"platform moves itself":             {"platform", "platform", tenant("acme"), fault.Conflict},
		"platform moves platform":           {"platform", "chief", tenant("acme"), fault.InvalidRecord},
		"platform moves to a bad tenant":    {"platform", "member", tenant("A B"), fault.InvalidRecord},
		"platform makes platform elsewhere": {"platform", "stranger", role("platform"), fault.InvalidRecord},
		"platform promotes elsewhere":       {"platform", "stranger", role("admin"), ""},
		"member changes itself":             {"member", "member", role("admin"), fault.Forbidden},
		"member changes another":            {"member", "admin", auth.UserChange{Disabled: &yes}, fault.Forbidden},
		"admin demotes admin":               {"admin", "colleague", role("member"), ""},
	} {
		of := people[c.of]
		before, err := w.store.User(t.Context(), of.Tenant, of.User)
		if err != nil {
			t.Fatal(err)
		}
		_, err = w.UpdateUser(t.Context(), people[c.by], of.Tenant, of.User, c.change)
		if fault.KindOf(err) != c.kind {
			t.Errorf("%s: error %v, want %q", name, err, c.kind)
		}
		after, err := w.store.User(t.Context(), of.Tenant, of.User)
		if err != nil {
			t.Fatal(err)
		}
		if c.kind != "" && *after != *before {
			t.Errorf("%s: refused and changed", name)
		}
	}
	name := "made-for-nothing"
	_, err := w.UpdateUser(t.Context(), people["platform"], record.DefaultTenant, people["chief"].User, tenant(name))
	want(t, err, fault.InvalidRecord)
	_, err = w.CreateUser(t.Context(), people["platform"], auth.NewUser{Tenant: name, Email: "x", Password: password})
	want(t, err, fault.InvalidRecord)
	tenants, _, err := w.store.Tenants(t.Context(), 10, "")
	if err != nil || len(tenants) != 2 { // default, acme
		t.Errorf("tenants %v, %v", tenants, err)
	}
	_, err = w.UpdateUser(t.Context(), people["admin"], record.DefaultTenant, people["stranger"].User, auth.UserChange{Disabled: &yes})
	want(t, err, fault.NotFound)
}

func TestUpdateUser_MovesToATenantThatItMakes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	member := w.user(t, record.DefaultTenant, email, principal.Member)
	name := "new-one"
	u, err := w.UpdateUser(t.Context(), operator, member.Tenant, member.User, auth.UserChange{Tenant: &name})
	if err != nil || u.Tenant != name {
		t.Fatalf("moved: %+v, %v", u, err)
	}
	tenants, _, err := w.store.Tenants(t.Context(), 10, "")
	if err != nil || len(tenants) != 2 || tenants[1].Name != name {
		t.Errorf("tenants %v, %v", tenants, err)
	}
	if _, p := w.login(t, email); p.Tenant != name {
		t.Errorf("logged in as %+v", p)
	}
}

func TestEnsureTenant_LooksOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, name := range []string{"", "A", "-a", "_a", "a b", "a/b", "ä", "a\n", strings.Repeat("a", 64)} {
		want(t, w.EnsureTenant(t.Context(), operator, name), fault.InvalidParameter, "header.Waybill-Tenant")
	}
	for _, name := range []string{"default", "a", "0_-", strings.Repeat("a", 63)} {
		if err := w.EnsureTenant(t.Context(), operator, name); err != nil {
			t.Error(err)
		}
	}
	w.flaky.away.Store(true)
	for _, name := range []string{"default", "a"} {
		if err := w.EnsureTenant(t.Context(), operator, name); err != nil {
			t.Errorf("%s is known: %v", name, err)
		}
	}
	want(t, w.EnsureTenant(t.Context(), operator, "b"), fault.StoreUnavailable)
}
