package queueui

import (
	"net/http"
	"slices"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/principal"
	"github.com/waybill-dev/waybill/internal/record"
)

// Gate lets those through to next who may see and change the queues. Whoever
// shows no good credentials is asked for some in a way that makes a browser ask
// its user: any name, and a key as the password. authenticate says who is asking;
// of its faults only Unauthorized asks.
func Gate(authenticate func(*http.Request) (*principal.Principal, error), fail Fail, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, err := authenticate(r)
		if err == nil {
			err = admit(p)
		}
		if err == nil {
			by := principal.Actor{Principal: p.ID, Key: p.Key, RequestID: w.Header().Get("X-Request-Id")}
			next.ServeHTTP(w, r.WithContext(principal.WithActor(r.Context(), by)))
			return
		}
		if fault.KindOf(err) == fault.Unauthorized {
			w.Header().Set("WWW-Authenticate", `Basic realm="waybill"`)
		}
		fail.answer(w, r, err)
	})
}

// admit says why a principal may not see the queues. They hold the bodies of all
// tenants, and whoever may pause or empty them does so to all. So a tenant's
// admin has no business there, except those of the default tenant: it is the one
// of whoever runs Waybill, and the only one where nobody speaks of tenants. For
// the same reason a key that is limited to collections is refused, whatever else
// it may.
func admit(p *principal.Principal) error {
	switch {
	case p == nil || p.Kind == principal.Anonymous:
		return fault.New(fault.Unauthorized, "the queues need credentials: a user name of your choice, and as the password a key")
	case len(p.Collections) > 0:
		return fault.New(fault.Forbidden, "the key is limited to collections, and the queues hold all")
	case p.Role.AtLeast(principal.Platform):
		return nil
	case p.Tenant != record.DefaultTenant:
		return fault.New(fault.Forbidden, "the queues hold the data of all tenants: only platform admins and the tenant %s see them", record.DefaultTenant)
	case p.Role.AtLeast(principal.Admin), p.Kind == principal.OfKey && slices.Contains(p.Scopes, principal.Queues):
		return nil
	}
	return fault.New(fault.Forbidden, "the queues are for admins, and keys with the scope %s", principal.Queues)
}
