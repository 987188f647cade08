package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-chi/chi/v5"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/principal"
	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/store"
	"github.com/waybill-dev/waybill/internal/subscription"
)

func deliveryPath(id string) string { return "/api/deliveries/" + id }

var ofDeliveries = []principal.Scope{principal.Deliveries}

func (a *API) routeDeliveries() {
	delivery := a.schemaOf(deliveryView{})
	id := idParam("The delivery's ID")
	statuses := make([]any, len(subscription.Statuses))
	for i, s := range subscription.Statuses {
		statuses[i] = string(s)
	}
	a.route(&huma.Operation{
		Method: http.MethodGet, Path: "/api/deliveries", OperationID: "list-deliveries", Tags: []string{"deliveries"},
		Summary: "Deliveries, newest first",
		Parameters: append([]*huma.Param{
			queryParam("subscription", "Only those of the subscription with this ID", stringSchema()),
			queryParam("status", "Only those that stand so", enumSchema(statuses...)),
			queryParam("operation", "Only those of the event that the operation with this ID made", stringSchema()),
		}, pageParams()...),
		Responses: a.answers(http.StatusOK, jsonAnswer("A page of deliveries", listSchema(delivery)), fault.InvalidParameter, fault.StoreUnavailable),
	}, access{scopes: ofDeliveries}, a.listDeliveries)
	a.route(&huma.Operation{
		Method: http.MethodGet, Path: "/api/deliveries/{id}", OperationID: "get-delivery", Tags: []string{"deliveries"},
		Summary: "A delivery with its attempts", Parameters: []*huma.Param{id},
		Responses: a.answers(http.StatusOK, jsonAnswer("The delivery", a.embedding(attemptedView{}, deliveryView{})), fault.InvalidParameter, fault.NotFound, fault.StoreUnavailable),
	}, access{scopes: ofDeliveries}, a.getDelivery)
	a.route(&huma.Operation{
		Method: http.MethodPost, Path: "/api/deliveries/{id}/retry", OperationID: "retry-delivery", Tags: []string{"deliveries"},
		Summary: "Try a delivery again now", Description: "A new generation of attempts begins. The body is empty or {}.",
		Parameters: []*huma.Param{id}, RequestBody: optionalBody(bodyOf("nothing")),
		Responses: a.answers(http.StatusAccepted, withHeader(jsonAnswer("The delivery", delivery), "Location", "The delivery's address"),
			append(actionFaults, fault.Conflict)...),
	}, access{role: principal.Member, scopes: ofDeliveries, effort: control}, a.retryDelivery)
}

// deliveryID returns the ID in the path, if anything can have it.
func deliveryID(r *http.Request) (string, error) {
	id := chi.URLParam(r, "id")
	if _, err := record.ParseID(id); err != nil {
		return "", fault.New(fault.NotFound, "there is no delivery %q", clip(id))
	}
	return id, nil
}

// listDeliveries serves GET /api/deliveries.
func (a *API) listDeliveries(x *exchange, r *http.Request) error {
	p, err := pageOf(r.URL.Path, x.query)
	if err != nil {
		return err
	}
	q := store.DeliveryQuery{
		Subscription: x.query.Get("subscription"), Event: x.query.Get("operation"), Status: subscription.Status(x.query.Get("status")),
	}
	for name, what := range map[string]string{"subscription": "a subscription", "operation": "an operation"} {
		if _, err := record.ParseID(x.query.Get(name)); err != nil && x.query.Has(name) {
			return fault.At(fault.InvalidParameter, "query."+name, "is not the ID of %s", what)
		}
	}
	if x.query.Has("status") && !slices.Contains(subscription.Statuses, q.Status) {
		return fault.At(fault.InvalidParameter, "query.status", "must be pending, delivered, dead or canceled")
	}
	deliveries, last, err := visible(p, func(before string, limit int) ([]subscription.Delivery, bool, error) {
		q.Before, q.Limit = before, limit
		return a.o.Subscriptions.Deliveries(r.Context(), x.tenant, q)
	}, func(items []subscription.Delivery) ([]bool, error) {
		return a.seesDeliveries(x, r, items)
	}, func(d *subscription.Delivery) string { return d.ID })
	if err != nil {
		return err
	}
	l := list{Items: make([]json.RawMessage, len(deliveries))}
	for i := range deliveries {
		if l.Items[i], err = json.Marshal(deliveryViewOf(&deliveries[i])); err != nil {
			return fmt.Errorf("encode a delivery: %w", err)
		}
	}
	l.next(p, last != "", last)
	return writeBytes(x, http.StatusOK, l.json())
}

// getDelivery serves GET /api/deliveries/{id}.
func (a *API) getDelivery(x *exchange, r *http.Request) error {
	id, err := deliveryID(r)
	if err != nil {
		return err
	}
	d, err := a.findDelivery(x, r, id)
	if err != nil {
		return err
	}
	attempts, err := a.o.Subscriptions.Attempts(r.Context(), x.tenant, id)
	if err != nil {
		return err
	}
	v := attemptedView{deliveryView: deliveryViewOf(d), Attempts: make([]attemptView, len(attempts))}
	own, err := a.owns(x, r, d.Subscription)
	if err != nil {
		return err
	}
	for i := range attempts {
		if v.Attempts[i] = attemptViewOf(&attempts[i]); !own {
			v.Attempts[i].Reply = "" // what a receiver says is its subscriber's alone
		}
	}
	return writeJSON(x, http.StatusOK, v)
}

// retryDelivery serves POST /api/deliveries/{id}/retry.
func (a *API) retryDelivery(x *exchange, r *http.Request) error {
	id, err := deliveryID(r)
	if err != nil {
		return err
	}
	if err := a.noBody(x, r); err != nil {
		return err
	}
	d, err := a.findDelivery(x, r, id)
	if err != nil {
		return err
	}
	own, err := a.owns(x, r, d.Subscription)
	if err != nil {
		return err
	}
	if !own {
		return fault.New(fault.Forbidden, "the subscription is somebody else's")
	}
	if d, err = a.o.Subscriptions.RetryDelivery(r.Context(), x.tenant, id); err != nil {
		return err
	}
	a.o.Waker.Wake(r.Context(), subscription.Key{Tenant: d.Tenant, ID: d.Subscription})
	return a.answerDelivery(x, d)
}

// answerDelivery answers with a delivery that is to be made.
func (a *API) answerDelivery(x *exchange, d *subscription.Delivery) error {
	x.Header().Set("Location", deliveryPath(d.ID))
	return writeJSON(x, http.StatusAccepted, deliveryViewOf(d))
}
