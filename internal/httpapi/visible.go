package httpapi

import (
	"net/http"
	"strings"

	"github.com/waybill-dev/waybill/internal/collection"
	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/principal"
	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/subscription"
)

// mostPassed bounds how many items one page passes over because the principal
// may not see them. The page is shorter then, and its cursor goes on behind them.
const mostPassed = 5000

// mostRead bounds how many items are read at once while those before were hidden.
const mostRead = 500

// visible reads pages from read, which begins after an ID, until it has as many
// items as p asks for that keep lets through. last is where the next page begins,
// "" if there is none. The first read is of as many as are asked for, those after
// it of more: few may be visible.
func visible[T any](p page, read func(before string, limit int) ([]T, bool, error), keep func([]T) ([]bool, error), id func(*T) string) (found []T, last string, err error) {
	last = p.last
	for passed, limit := 0, p.limit; ; limit = mostRead {
		items, more, err := read(last, limit)
		if err != nil {
			return nil, "", err
		}
		kept, err := keep(items)
		if err != nil {
			return nil, "", err
		}
		for i := range items {
			last = id(&items[i])
			if !kept[i] {
				passed++
				continue
			}
			if found = append(found, items[i]); len(found) == p.limit {
				if !more && i == len(items)-1 {
					last = ""
				}
				return found, last, nil
			}
		}
		if !more {
			return found, "", nil
		}
		if passed >= mostPassed {
			return found, last, nil
		}
	}
}

// each applies keep to all items.
func each[T any](items []T, keep func(*T) bool) []bool {
	kept := make([]bool, len(items))
	for i := range items {
		kept[i] = keep(&items[i])
	}
	return kept
}

// anyPublic says whether somebody without credentials may read the collection of
// that name, or, where name is "", any.
func (a *API) anyPublic(name string) bool {
	for _, c := range a.o.Collections.All() {
		if (name == "" || c.Name == name) && c.Access.Read == collection.Public {
			return true
		}
	}
	return false
}

// seesDeliveries says which deliveries the principal may see: those of events
// whose record they may read, and those to subscriptions that they manage.
func (a *API) seesDeliveries(x *exchange, r *http.Request, deliveries []subscription.Delivery) ([]bool, error) {
	owners, err := a.ownersOf(x, r, deliveries)
	if err != nil {
		return nil, err
	}
	seen := make([]bool, len(deliveries))
	managed := map[string]bool{}
	for i := range deliveries {
		d := &deliveries[i]
		name, fromRecord := collectionOf(d)
		if owner, known := owners[d.Event]; fromRecord && a.sees(x.who, name, owner) && (known || !a.owned(name)) {
			seen[i] = true
			continue
		}
		if _, asked := managed[d.Subscription]; !asked {
			if managed[d.Subscription], err = a.owns(x, r, d.Subscription); err != nil {
				return nil, err
			}
		}
		seen[i] = managed[d.Subscription]
	}
	return seen, nil
}

// collectionOf returns the collection whose record a delivery's event is about,
// if it is about one.
func collectionOf(d *subscription.Delivery) (string, bool) {
	if d.Type == subscription.TypeDisabled || d.Type == subscription.TypeTest {
		return "", false
	}
	return d.Type[:strings.LastIndexByte(d.Type, '.')], true
}

// owned says whether who reads a collection depends on whose record it is.
func (a *API) owned(name string) bool {
	c, known := a.o.Collections.Get(name)
	return known && c.Access.Read == collection.Owner
}

// ownersOf returns who owns the records that deliveries are about, by event, as
// far as it matters to the principal.
func (a *API) ownersOf(x *exchange, r *http.Request, deliveries []subscription.Delivery) (map[string]string, error) {
	owners := map[string]string{}
	var keys []record.OperationKey
	for i := range deliveries {
		if name, ok := collectionOf(&deliveries[i]); ok && a.owned(name) {
			keys = append(keys, record.OperationKey{Tenant: x.tenant, ID: deliveries[i].Event})
		}
	}
	if len(keys) == 0 {
		return owners, nil
	}
	operations, err := a.o.Store.OperationsOf(r.Context(), keys)
	for id, op := range operations {
		owners[id] = op.Owner
	}
	return owners, err
}

// owns says whether the principal manages a subscription. One that is deleted is
// the admins'.
func (a *API) owns(x *exchange, r *http.Request, id string) (bool, error) {
	if x.managesAll() || x.who.Kind == principal.Anonymous {
		return x.managesAll(), nil
	}
	s, err := a.o.Subscriptions.Subscription(r.Context(), subscription.Key{Tenant: x.tenant, ID: id})
	if fault.KindOf(err) == fault.NotFound {
		return false, nil
	}
	return err == nil && x.manages(s), err
}

// findDelivery returns a delivery that the principal may see.
func (a *API) findDelivery(x *exchange, r *http.Request, id string) (*subscription.Delivery, error) {
	d, err := a.o.Subscriptions.Delivery(r.Context(), x.tenant, id)
	if err != nil {
		return nil, err
	}
	seen, err := a.seesDeliveries(x, r, []subscription.Delivery{*d})
	if err == nil && !seen[0] {
		err = x.hidden("there is no delivery %q", id) // as the store says it
	}
	return d, err
}
