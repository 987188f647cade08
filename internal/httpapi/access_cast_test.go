package httpapi_test

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/waybill-dev/waybill/internal/auth"
	"github.com/waybill-dev/waybill/internal/principal"
)

// actor is somebody who asks, as docs/security.md describes them: nothing of it
// comes from the product.
type actor struct {
	name        string
	header      string // that shows the credentials; "Authorization:" shows none
	bad         bool   // the credentials are no good
	kind        string // anonymous, user or key
	tenant      string
	role        string // "", member, admin or platform
	who         string // of whom things are; "" for nobody's
	scopes      []string
	collections []string
	names       string        // the tenant that Waybill-Tenant names; "" for none
	again       func() string // another header that shows the same; nil: header is good for more than once
}

// reaches is the one collection that limited keys are for.
const reaches = "member_member"

var everyday = []string{"records:read", "records:write", "subscriptions", "deliveries", "queues"}

// cast makes everybody, once: people cost a hash of a password each.
type cast struct {
	*service
	ids map[string]string // of users, by name
}

const castPassword = "a password of tests"

// mail is the address of a user. It has the marker of the tenant.
func (c *cast) mail(tenant, name string) string { return name + "@" + marker(tenant) + ".example" }

// marker is what everything that a tenant has bears, and no answer to another may.
func marker(tenant string) string { return "marker-" + tenant }

// user makes somebody and returns the header that shows their token.
func (c *cast) user(tenant, name, role string) string {
	c.t.Helper()
	operator := &principal.Principal{Kind: principal.OfKey, ID: "key:operator", Tenant: "default", Role: principal.Platform, Scopes: principal.Scopes}
	u, err := c.auth.CreateUser(c.t.Context(), operator, auth.NewUser{Tenant: tenant, Email: c.mail(tenant, name), Password: castPassword, Role: role})
	must(c.t, err)
	c.ids[tenant+"/"+name] = u.ID
	return c.login(tenant, name)
}

func (c *cast) login(tenant, name string) string {
	c.t.Helper()
	tokens, err := c.auth.Login(c.t.Context(), c.mail(tenant, name), castPassword)
	must(c.t, err)
	return "Authorization: Bearer " + tokens.Access
}

// key makes a key, as it stands in the database, and returns its ID and the header
// that shows it.
func (c *cast) key(tenant, user string, change func(*principal.Key), scopes ...string) (id, header string) {
	c.t.Helper()
	id = strings.ReplaceAll(uuid.NewString(), "-", "")
	secret := strings.Repeat("s", 40)
	sum := sha256.Sum256([]byte(secret))
	k := &principal.Key{ID: id, Tenant: tenant, Name: marker(tenant) + " key", Hash: sum[:], User: user, CreatedAt: time.Now()}
	for _, scope := range scopes {
		k.Scopes = append(k.Scopes, principal.Scope(scope))
	}
	if change != nil {
		change(k)
	}
	must(c.t, c.store.CreateKey(c.t.Context(), k))
	return id, "Authorization: Bearer wb_" + id + "_" + secret
}

// cookie returns the header of a new cookie for what another header shows.
func (c *cast) cookie(header string) string {
	c.t.Helper()
	p, err := c.auth.Authenticate(c.t.Context(), strings.TrimPrefix(header, "Authorization: Bearer "))
	must(c.t, err)
	text, _, err := c.auth.OpenSession(c.t.Context(), p)
	must(c.t, err)
	return "Cookie: waybill_session=" + text
}

func limited(k *principal.Key) { k.Collections = []string{reaches} }

// of returns everybody of a tenant.
func (c *cast) of(tenant string) []actor {
	c.t.Helper()
	ann, bob, admin := c.user(tenant, "ann", "member"), c.user(tenant, "bob", "member"), c.user(tenant, "admin", "admin")
	disabled := c.user(tenant, "eve", "admin")
	_, err := c.store.UpdateUser(c.t.Context(), tenant, c.ids[tenant+"/eve"], "", func(u *principal.User) error {
		u.DisabledAt = time.Now()
		return nil
	})
	must(c.t, err)
	all := []actor{
		{name: "ann", header: ann, kind: "user", role: "member", who: "ann"},
		{name: "bob", header: bob, kind: "user", role: "member", who: "bob"},
		{name: "an admin", header: admin, kind: "user", role: "admin", who: "admin"},
		{name: "a disabled admin", header: disabled, bad: true},
		{name: "ann's cookie", header: c.cookie(ann), kind: "user", role: "member", who: "ann", again: func() string { return c.cookie(ann) }},
		{name: "an admin's cookie", header: c.cookie(admin), kind: "user", role: "admin", who: "admin", again: func() string { return c.cookie(admin) }},
	}
	keyed := func(name, user, who string, change func(*principal.Key), scopes ...string) actor {
		_, header := c.key(tenant, user, change, scopes...)
		return actor{name: name, header: header, kind: "key", role: "member", who: who, scopes: scopes}
	}
	for _, scope := range everyday {
		all = append(all, keyed("a key for "+scope, "", "", nil, scope))
	}
	boss := keyed("a key for admin", "", "", nil, "admin")
	boss.role = "admin"
	narrowBoss := keyed("a limited key for admin", "", "", limited, "admin")
	narrowBoss.role, narrowBoss.collections = "admin", []string{reaches}
	narrow := keyed("a limited key", "", "", limited, everyday...)
	narrow.collections = []string{reaches}
	narrowAnn := keyed("ann's limited key", c.ids[tenant+"/ann"], "ann", limited, everyday...)
	narrowAnn.collections = []string{reaches}
	expired := keyed("an expired key", "", "", func(k *principal.Key) { k.ExpiresAt = time.Now().Add(-time.Minute) }, "admin")
	revoked := keyed("a revoked key", "", "", func(k *principal.Key) { k.RevokedAt = time.Now().Add(-time.Minute) }, "admin")
	disabledKey := keyed("a key of a disabled admin", c.ids[tenant+"/eve"], "", nil, "admin")
	expired.bad, revoked.bad, disabledKey.bad = true, true, true
	annKey := keyed("ann's key", c.ids[tenant+"/ann"], "ann", nil, everyday...)
	annBoss := keyed("ann's key for admin", c.ids[tenant+"/ann"], "ann", nil, "admin") // no more than ann
	annBoss.scopes = append([]string{"admin"}, everyday...)
	boss.scopes, narrowBoss.scopes = annBoss.scopes, annBoss.scopes
	keyCookie := keyed("a key's cookie", "", "", nil, "queues", "records:read")
	header := keyCookie.header
	keyCookie.header, keyCookie.again = c.cookie(header), func() string { return c.cookie(header) }
	all = append(all, boss, narrowBoss, narrow, narrowAnn, expired, revoked, disabledKey, annKey, annBoss, keyCookie)
	for i := range all {
		all[i].tenant = tenant
		all[i].name += " of " + tenant
	}
	return all
}

// everybody returns all who ask, of two tenants and above.
func (c *cast) everybody() []actor {
	c.t.Helper()
	all := append(c.of("default"), c.of("acme")...)
	bystanders := map[string]actor{}
	for _, a := range all {
		bystanders[a.name] = a
	}
	platform := actor{name: "a platform admin", header: c.user("default", "root", "platform"), kind: "user", role: "platform", tenant: "default", who: "root"}
	key := actor{
		name: "the operator's key", header: "Authorization: Bearer " + operatorKey, kind: "key", role: "platform", tenant: "default",
		scopes: append([]string{"platform", "admin"}, everyday...),
	}
	anonymous := actor{name: "anonymous", header: "Authorization:", kind: "anonymous", tenant: "default"}
	all = append(all, platform, key, anonymous)
	for _, a := range []actor{
		platform, key, anonymous, bystanders["an admin of default"], bystanders["an admin of acme"],
		bystanders["ann of acme"], bystanders["a key for admin of acme"], bystanders["ann's cookie of default"],
	} {
		for _, tenant := range []string{"default", "acme"} {
			a.names = tenant
			all = append(all, a)
		}
	}
	for name, header := range map[string]string{
		"a wrong secret": "Authorization: Bearer wb_operator_" + strings.Repeat("x", 40), "an unknown key": "Authorization: Bearer wb_nobody_" + strings.Repeat("x", 40),
		"no token": "Authorization: Bearer x.y.z", "another scheme": "Authorization: Digest x", "an unknown cookie": "Cookie: waybill_session=" + strings.Repeat("A", 43),
		"an odd cookie": "Cookie: waybill_session=x",
	} {
		all = append(all, actor{name: name, header: header, bad: true})
	}
	for i := range all {
		if all[i].names != "" {
			all[i].name = fmt.Sprintf("%s, naming %s", all[i].name, all[i].names)
		}
	}
	return all
}
