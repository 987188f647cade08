package auth_test

import (
	"strings"
	"testing"
	"time"

	"github.com/waybill-dev/waybill/internal/auth"
	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/principal"
	"github.com/waybill-dev/waybill/internal/record"
)

func TestCreateKey_SaysAllThatIsWrong(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.user(t, record.DefaultTenant, email, principal.Member)
	now := w.clock.Now()
	for name, c := range map[string]struct {
		key       auth.NewKey
		locations []string
	}{
		"nothing":           {auth.NewKey{}, []string{"body.name", "body.scopes"}},
		"long name":         {auth.NewKey{Name: strings.Repeat("ä", 101), Scopes: readOnly}, []string{"body.name"}},
		"control character": {auth.NewKey{Name: "a\nb", Scopes: readOnly}, []string{"body.name"}},
		"not UTF-8":         {auth.NewKey{Name: "\xff", Scopes: readOnly}, []string{"body.name"}},
		"unknown scope":     {auth.NewKey{Name: "n", Scopes: []string{"records:read", "all"}}, []string{"body.scopes[1]"}},
		"scope twice":       {auth.NewKey{Name: "n", Scopes: []string{"records:read", "records:read"}}, []string{"body.scopes[1]"}},
		"too many scopes":   {auth.NewKey{Name: "n", Scopes: make([]string, 1001)}, []string{"body.scopes"}},
		"no collections":    {auth.NewKey{Name: "n", Scopes: readOnly, Collections: []string{}}, []string{"body.collections"}},
		"collections":       {auth.NewKey{Name: "n", Scopes: readOnly, Collections: []string{"todos", "todos", "x"}}, []string{"body.collections[1]", "body.collections[2]"}},
		"expired":           {auth.NewKey{Name: "n", Scopes: readOnly, ExpiresAt: now}, []string{"body.expires_at"}},
		"all":               {auth.NewKey{Scopes: []string{"x"}, Collections: []string{"x"}, ExpiresAt: now.Add(-1)}, []string{"body.name", "body.scopes[0]", "body.collections[0]", "body.expires_at"}},
	} {
		t.Log(name)
		_, text, err := w.CreateKey(t.Context(), ada, ada.Tenant, c.key)
		want(t, err, fault.InvalidRecord, c.locations...)
		if text != "" {
			t.Error("refused, and a key is shown")
		}
	}
	keys, _, err := w.store.Keys(t.Context(), ada.Tenant, "", 10, "")
	if err != nil || len(keys) != 0 {
		t.Errorf("keys %v, %v", keys, err)
	}
}

func TestCreateKey_NobodyGivesMoreThanTheyHave(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	end := w.clock.Now().Add(time.Hour)
	platform := w.user(t, record.DefaultTenant, "platform@example.com", principal.Platform)
	admin := w.user(t, record.DefaultTenant, "admin@example.com", principal.Admin)
	member := w.user(t, record.DefaultTenant, "member@example.com", principal.Member)
	_, reader := w.key(t, admin, auth.NewKey{Scopes: readOnly})
	_, narrow := w.key(t, admin, auth.NewKey{Scopes: []string{"admin"}, Collections: []string{"todos"}, ExpiresAt: end})
	makes := func(scopes ...string) auth.NewKey { return auth.NewKey{Name: "n", Scopes: scopes} }
	todos := auth.NewKey{Name: "n", Scopes: readOnly, Collections: []string{"todos"}, ExpiresAt: end}
	late, wide := todos, todos
	late.ExpiresAt = end.Add(1)
	wide.Collections = []string{"todos", "messages"}
	for name, c := range map[string]struct {
		by     *principal.Principal
		tenant string
		key    auth.NewKey
		kind   fault.Kind
		at     []string
	}{
		"member":               {member, "default", makes("records:read", "records:write", "subscriptions", "deliveries"), "", nil},
		"member queues":        {member, "default", makes("records:read", "queues", "admin"), fault.Forbidden, []string{"body.scopes[1]", "body.scopes[2]"}},
		"member elsewhere":     {member, "acme", makes("records:read"), fault.Forbidden, nil},
		"admin":                {admin, "default", makes("queues", "admin"), "", nil},
		"admin platform":       {admin, "default", makes("platform"), fault.Forbidden, []string{"body.scopes[0]"}},
		"admin elsewhere":      {admin, "acme", makes("records:read"), fault.Forbidden, nil},
		"platform":             {platform, "default", makes("platform"), "", nil},
		"platform elsewhere":   {platform, "acme", makes("admin"), "", nil},
		"platform scope there": {platform, "acme", makes("platform"), fault.InvalidRecord, []string{"body.scopes[0]"}},
		"guest":                {principal.Guest("default"), "default", makes("records:read"), fault.Forbidden, nil},
		"a key without admin":  {reader, "default", makes("records:read"), fault.Forbidden, nil},
		"a key within":         {narrow, "default", todos, "", nil},
		"a key, later":         {narrow, "default", late, fault.Forbidden, []string{"body.expires_at"}},
		"a key, wider":         {narrow, "default", wide, fault.Forbidden, []string{"body.collections[1]"}},
		"a key, for ever":      {narrow, "default", makes("records:read"), fault.Forbidden, []string{"body.collections", "body.expires_at"}},
		"a key, higher":        {narrow, "default", makes("platform"), fault.Forbidden, []string{"body.scopes[0]", "body.collections", "body.expires_at"}},
	} {
		t.Log(name)
		k, text, err := w.CreateKey(t.Context(), c.by, c.tenant, c.key)
		want(t, err, c.kind, c.at...)
		if err != nil {
			continue
		}
		user := c.by.User
		if c.tenant != c.by.Tenant {
			user = ""
		}
		if id, _, ok := auth.ParseKey(text); !ok || id != k.ID || k.User != user || k.Tenant != c.tenant || k.CreatedBy != c.by.ID || strings.Contains(string(k.Hash), text) {
			t.Errorf("made %+v, %q", k, text)
		}
	}
}

func TestRevokeKey_OwnOnesOrAllAsAdmin(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	platform := w.user(t, record.DefaultTenant, "platform@example.com", principal.Platform)
	admin := w.user(t, record.DefaultTenant, "admin@example.com", principal.Admin)
	member := w.user(t, record.DefaultTenant, "member@example.com", principal.Member)
	stranger := w.user(t, "acme", "stranger@example.com", principal.Admin)
	_, reader := w.key(t, member, auth.NewKey{Scopes: readOnly})
	for name, c := range map[string]struct {
		by, of *principal.Principal
		kind   fault.Kind
	}{
		"member, own":             {member, member, ""},
		"member, an admin's":      {member, admin, fault.NotFound},
		"admin, a member's":       {admin, member, ""},
		"admin, a platform's":     {admin, platform, fault.Forbidden},
		"platform, a platform's":  {platform, platform, ""},
		"stranger, a member's":    {stranger, member, fault.NotFound},
		"key, of the same member": {reader, member, fault.Forbidden},
		"platform, a stranger's":  {platform, stranger, ""},
	} {
		t.Log(name)
		scopes := readOnly
		if c.of.Role == principal.Platform {
			scopes = []string{"platform"}
		}
		text, p := w.key(t, c.of, auth.NewKey{Scopes: scopes})
		want(t, w.RevokeKey(t.Context(), c.by, c.of.Tenant, p.Key), c.kind)
		w.clock.pass(6 * time.Second)
		_, err := w.Authenticate(t.Context(), text)
		if c.kind == "" {
			want(t, err, fault.Unauthorized)
			want(t, w.RevokeKey(t.Context(), c.by, c.of.Tenant, p.Key), fault.NotFound)
		} else if err != nil {
			t.Errorf("refused and revoked: %v", err)
		}
	}
	if err := w.RevokeKey(t.Context(), reader, reader.Tenant, reader.Key); err != nil {
		t.Errorf("a key ends itself: %v", err)
	}
}
