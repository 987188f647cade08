package httpapi

import (
	"bytes"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/subscription"
)

// lastUnsubscribed is the reason of a subscription that nobody is left of.
const lastUnsubscribed = "the last recipient unsubscribed"

// maxForm bounds the form of a click, in bytes. Nothing in it is used.
const maxForm = 4 << 10

// routeUnsubscribe adds what the links in e-mails lead to. The token in them is
// the only credential: who reads the mail need not know us.
func (a *API) routeUnsubscribe() {
	operation := func(method, id, summary, description string, kinds ...fault.Kind) *huma.Operation {
		op := subscriptionOperation(method, "/api/subscriptions/{id}/unsubscribe", id, summary)
		op.Description = description
		token := queryParam("token", "The proof that the address got the link", stringSchema())
		to := queryParam("to", "The address", stringSchema())
		to.Required, token.Required = true, true
		op.Parameters = append(op.Parameters, to, queryParam("tenant", "Whose subscription it is; "+record.DefaultTenant+" if left out", stringSchema()), token)
		page := &huma.Response{Description: "A page for people", Content: map[string]*huma.MediaType{"text/html": {Schema: stringSchema()}}}
		op.Responses = a.answers(http.StatusOK, page, append(kinds, fault.InvalidParameter, fault.Forbidden, fault.NotFound, fault.StoreUnavailable)...)
		return op
	}
	a.route(operation(http.MethodGet, "ask-unsubscribe", "A page that asks whether to unsubscribe an address", "Changes nothing: mail programs open links by themselves."), access{}, a.askUnsubscribe)
	post := operation(http.MethodPost, "unsubscribe", "Unsubscribe an address from an e-mail channel",
		"One click, as RFC 8058 has it. An address that is gone already is fine. The subscription is disabled with its last address.", fault.TooLarge, fault.UnsupportedMediaType)
	post.RequestBody = body(map[string]*huma.Schema{typeForm: {
		Type: huma.TypeObject, Properties: map[string]*huma.Schema{"List-Unsubscribe": enumSchema("One-Click")},
	}, typeMultipart: {Type: huma.TypeObject, Properties: map[string]*huma.Schema{"List-Unsubscribe": enumSchema("One-Click")}}})
	a.route(post, access{effort: control}, a.unsubscribe)
}

const (
	typeForm      = "application/x-www-form-urlencoded"
	typeMultipart = "multipart/form-data"
)

// unsubscription is what such a link says.
type unsubscription struct {
	key       subscription.Key
	to, token string
}

func readUnsubscription(x *exchange, r *http.Request) (u unsubscription, err error) {
	if u.key, err = subscriptionKey(x, r); err != nil {
		return u, err
	}
	for _, name := range []string{"to", "token", "tenant"} {
		value := x.query.Get(name)
		switch {
		case value == "" && (name != "tenant" || x.query.Has(name)):
			return u, fault.At(fault.InvalidParameter, "query."+name, "is missing")
		case !utf8.ValidString(value) || strings.ContainsRune(value, 0):
			return u, fault.At(fault.InvalidParameter, "query."+name, "must be UTF-8 without NUL")
		}
	}
	u.to, u.token = x.query.Get("to"), x.query.Get("token")
	if x.query.Has("tenant") {
		u.key.Tenant = x.query.Get("tenant")
	}
	return u, nil
}

// askUnsubscribe serves GET /api/subscriptions/{id}/unsubscribe.
func (a *API) askUnsubscribe(x *exchange, r *http.Request) error {
	u, err := readUnsubscription(x, r)
	if err != nil {
		return err
	}
	s, err := a.o.Subscriptions.Subscription(r.Context(), u.key)
	if err != nil {
		return err
	}
	if _, _, err := a.o.Channels.Unsubscribe(s, u.to, u.token); err != nil { // tried only: nothing is kept of it
		return err
	}
	action := subscriptionPath(u.key.ID) + "/unsubscribe?" + url.Values{"to": {u.to}, "tenant": {u.key.Tenant}, "token": {u.token}}.Encode()
	return writePage(x, pageView{Name: s.Name, To: u.to, Action: action})
}

// unsubscribe serves POST /api/subscriptions/{id}/unsubscribe.
func (a *API) unsubscribe(x *exchange, r *http.Request) error {
	u, err := readUnsubscription(x, r)
	if err != nil {
		return err
	}
	if _, err := mediaType(r, typeForm, typeMultipart); err != nil {
		return err
	}
	if err := readBody(x, r, maxForm, func([]byte) error { return nil }); err != nil {
		return err
	}
	s, err := a.o.Subscriptions.UpdateSubscription(r.Context(), u.key, func(s *subscription.Subscription) error {
		target, left, err := a.o.Channels.Unsubscribe(s, u.to, u.token)
		if err != nil {
			return err
		}
		s.Target = target
		touch(s)
		if left == 0 && s.Enabled {
			disable(s, lastUnsubscribed)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if !s.Enabled {
		a.o.Waker.Wake(r.Context(), u.key)
	}
	return writePage(x, pageView{Name: s.Name, To: u.to})
}

// pageView is what the page says. Without Action, it is done.
type pageView struct{ Name, To, Action string }

var pageTemplate = template.Must(template.New("unsubscribe").Parse(`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{{if .Action}}Unsubscribe{{else}}Unsubscribed{{end}}</title>
<style>
:root { color-scheme: light dark }
body { font: 1.1rem/1.5 system-ui, sans-serif; max-width: 32rem; margin: 15vh auto 0; padding: 0 1rem; overflow-wrap: anywhere }
button { font: inherit; padding: .5rem 1.25rem; cursor: pointer }
</style>
</head>
<body>
<main>
{{- if .Action}}
<h1>Unsubscribe?</h1>
<p><strong>{{.To}}</strong> will get no more messages{{with .Name}} of “{{.}}”{{end}}.</p>
<form method="post" action="{{.Action}}">
<input type="hidden" name="List-Unsubscribe" value="One-Click">
<button type="submit">Unsubscribe</button>
</form>
{{- else}}
<h1>Unsubscribed</h1>
<p><strong>{{.To}}</strong> gets no more messages{{with .Name}} of “{{.}}”{{end}}.</p>
{{- end}}
</main>
</body>
</html>
`))

// writePage answers with HTML that can load nothing, run nothing and be framed
// by nobody, and whose address, which has the token, is told to nobody else. Told
// to nobody at all, a browser would say "Origin: null" with the form.
func writePage(x *exchange, v pageView) error {
	var page bytes.Buffer
	if err := pageTemplate.Execute(&page, v); err != nil {
		return fmt.Errorf("make the page: %w", err)
	}
	h := x.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "same-origin")
	x.WriteHeader(http.StatusOK)
	_, _ = x.Write(page.Bytes()) // that the client is gone is not a failure
	return nil
}
