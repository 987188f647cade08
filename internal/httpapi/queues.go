package httpapi

import (
	"net/http"

	"github.com/waybill-dev/waybill/internal/principal"
)

// routeQueues adds the pages of the queues, which see to it themselves who may
// visit them.
func (a *API) routeQueues() {
	if a.o.Queues == nil {
		return
	}
	pages := a.o.Queues(a.visitor, a.refuse)
	for _, pattern := range []string{"/queues", "/queues/*"} {
		a.routes = append(a.routes, Route{"*", pattern})
		a.router.Handle(pattern, a.plain(pattern, func(x *exchange, r *http.Request) error {
			pages.ServeHTTP(x, r)
			return nil
		}))
	}
}

// visitor returns who visits a page.
func (a *API) visitor(r *http.Request) (*principal.Principal, error) {
	x := &exchange{address: clientAddress(r, a.o.TrustedProxies)}
	if _, password, ok := r.BasicAuth(); ok && len(r.Header["Authorization"]) == 1 && a.o.Identity != nil {
		return a.verified(x, r, password, a.o.Identity.Authenticate)
	}
	return a.identify(x, r)
}
