package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/waybill-dev/waybill/internal/collection"
	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/principal"
)

// Failures of reads by ID, of what a body says, and of actions on what an ID names.
var (
	readFaults   = []fault.Kind{fault.InvalidParameter, fault.NotFound, fault.StoreUnavailable}
	bodyFaults   = []fault.Kind{fault.InvalidParameter, fault.InvalidJSON, fault.TooLarge, fault.UnsupportedMediaType, fault.InvalidRecord, fault.StoreUnavailable}
	actionFaults = []fault.Kind{
		fault.InvalidParameter, fault.InvalidJSON, fault.TooLarge, fault.UnsupportedMediaType, fault.InvalidRecord, fault.StoreUnavailable, fault.NotFound,
	}
)

// ofSubscriptions is what reading and changing subscriptions need.
func ofSubscriptions(e effort) access {
	return access{role: principal.Member, scopes: []principal.Scope{principal.Subscriptions}, effort: e}
}

func (a *API) routeSubscriptions() error {
	input, patch, err := a.subscriptionSchemas()
	if err != nil {
		return fmt.Errorf("openapi of subscriptions: %w", err)
	}
	const many, one = "/api/subscriptions", "/api/subscriptions/{id}"
	view, revealed := a.schemaOf(subscriptionView{}), a.embedding(revealedView{}, subscriptionView{})

	create := subscriptionOperation(http.MethodPost, many, "create-subscription", "Subscribe to events")
	create.RequestBody = body(map[string]*huma.Schema{typeJSON: input})
	made := withHeader(jsonAnswer("The subscription, and the secret of a webhook", revealed), "Location", "The subscription's address")
	create.Responses = a.answers(http.StatusCreated, made, bodyFaults...)
	a.route(create, ofSubscriptions(control), a.createSubscription)

	list := subscriptionOperation(http.MethodGet, many, "list-subscriptions", "Subscriptions, newest first")
	list.Parameters = pageParams()
	list.Responses = a.answers(http.StatusOK, jsonAnswer("A page of subscriptions", listSchema(view)), fault.InvalidParameter, fault.StoreUnavailable)
	a.route(list, ofSubscriptions(reads), a.listSubscriptions)

	get := subscriptionOperation(http.MethodGet, one, "get-subscription", "A subscription")
	get.Responses = a.answers(http.StatusOK, jsonAnswer("The subscription", view), readFaults...)
	a.route(get, ofSubscriptions(reads), a.getSubscription)

	change := subscriptionOperation(http.MethodPatch, one, "patch-subscription", "Change a subscription by an RFC 7396 merge patch")
	change.Description = "A channel of another type replaces the whole channel."
	change.RequestBody = body(map[string]*huma.Schema{typePatch: patch, typeJSON: patch})
	change.Responses = a.answers(http.StatusOK, jsonAnswer("The subscription, and the secret of a webhook that was another channel", revealed), append(actionFaults, fault.Conflict)...)
	a.route(change, ofSubscriptions(control), a.patchSubscription)

	remove := subscriptionOperation(http.MethodDelete, one, "delete-subscription", "Unsubscribe; what is pending is canceled")
	remove.Responses = a.answers(http.StatusNoContent, &huma.Response{Description: "It is gone"}, readFaults...)
	a.route(remove, ofSubscriptions(control), a.deleteSubscription)

	a.routeSubscriptionActions(one)
	return nil
}

func (a *API) routeSubscriptionActions(one string) {
	view, revealed, delivery := a.schemaOf(subscriptionView{}), a.embedding(revealedView{}, subscriptionView{}), a.schemaOf(deliveryView{})
	action := func(name, summary string, status int, good *huma.Response, h handler, kinds ...fault.Kind) {
		op := subscriptionOperation(http.MethodPost, one+"/"+name, name+"-subscription", summary)
		op.RequestBody = optionalBody(bodyOf("nothing"))
		op.Responses = a.answers(status, good, append(kinds, actionFaults...)...)
		a.route(op, ofSubscriptions(control), h)
	}
	action("test", "Deliver an event of the type subscription.test to this subscription alone", http.StatusAccepted,
		withHeader(jsonAnswer("The delivery", delivery), "Location", "The delivery's address"), a.testSubscription, fault.Conflict)
	action("rotate-secret", "Sign with a new secret; the old one signs too for 24 h", http.StatusOK,
		jsonAnswer("The subscription and its new secret", revealed), a.rotateSecret, fault.Conflict)
	action("enable", "Enable a subscription, whatever disabled it", http.StatusOK, jsonAnswer("The subscription", view), a.enableSubscription)
	action("disable", "Disable a subscription; what is pending is canceled", http.StatusOK, jsonAnswer("The subscription", view), a.disableSubscription)

	replay := subscriptionOperation(http.MethodPost, one+"/replay", "replay-subscription", "Deliver again what was announced within a time")
	replay.Description = "since and until lie at most 30 days apart."
	replay.RequestBody = body(map[string]*huma.Schema{typeJSON: rawSchema(bodyOf("replay"))})
	replay.Responses = a.answers(http.StatusAccepted, jsonAnswer("How many deliveries begin anew", a.schemaOf(replayView{})), append(actionFaults, fault.Conflict)...)
	a.route(replay, ofSubscriptions(control), a.replaySubscription)
}

func subscriptionOperation(method, path, id, summary string) *huma.Operation {
	op := &huma.Operation{Method: method, Path: path, OperationID: id, Tags: []string{"subscriptions"}, Summary: summary}
	if path != "/api/subscriptions" {
		op.Parameters = []*huma.Param{idParam("The subscription's ID")}
	}
	return op
}

// optionalBody is a body that may be left out.
func optionalBody(c *collection.Collection) *huma.RequestBody {
	b := body(map[string]*huma.Schema{typeJSON: rawSchema(c)})
	b.Required = false
	return b
}

func rawSchema(c *collection.Collection) *huma.Schema {
	var keywords map[string]any
	if err := json.Unmarshal(c.Schema, &keywords); err != nil {
		panic(err) // collection made it
	}
	return raw(keywords)
}

// subscriptionSchemas are the schemas of a subscription's body and of a patch
// of it. Their names have capitals, as no collection's have.
func (a *API) subscriptionSchemas() (input, patch *huma.Schema, err error) {
	var whole struct{ Properties map[string]any }
	if err := json.Unmarshal(bodyOf("subscription").Schema, &whole); err != nil {
		return nil, nil, fmt.Errorf("read the schema: %w", err)
	}
	patched := map[string]any{}
	for field, schema := range whole.Properties {
		patched[field] = map[string]any{"anyOf": []any{schema, map[string]any{"type": "null"}}}
	}
	patched["events"] = whole.Properties["events"] // and channel: these two must be there
	patched["channel"] = map[string]any{"type": "object", "description": "What changes of the channel"}
	patched["filter"] = map[string]any{"type": []any{"object", "null"}, "description": "What changes of the filter; null removes it"}
	return a.define("SubscriptionInput", rawSchema(bodyOf("subscription")).Extensions),
		a.define("SubscriptionPatch", map[string]any{
			"type": "object", "properties": patched, "additionalProperties": false,
			"description": "An RFC 7396 merge patch: null removes filter and rate_limit, and resets name and max_in_flight",
		}), nil
}
