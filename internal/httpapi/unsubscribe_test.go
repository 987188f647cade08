package httpapi_test

import (
	"html"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	formType  = "Content-Type: application/x-www-form-urlencoded"
	oneClick  = "List-Unsubscribe=One-Click"
	pageRules = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

// isPage checks a page for people and returns its text.
func (a *answer) isPage() string {
	a.t.Helper()
	a.want(200).wantHeader("Content-Type", "text/html; charset=utf-8").wantHeader("Content-Security-Policy", pageRules).
		wantHeader("Cache-Control", "no-store").wantHeader("Referrer-Policy", "same-origin")
	if text := string(a.body); strings.Contains(text, "<script") || strings.Contains(text, "http") {
		a.t.Errorf("the page is not self-contained: %s", text)
	}
	return string(a.body)
}

func TestUnsubscribe(t *testing.T) {
	t.Parallel()
	s := newService(t)
	const odd = `<b>&"'@example.com`
	made := s.subscribed(`{"type":"email","to":["a@example.com","<b>&\"'@example.com"]}`, `"name":"<i>news</i>"`)
	link := unsubscribeLink(made.ID, odd, token(made.ID, odd))
	page := s.get(link).isPage()
	action := regexp.MustCompile(`<form method="post" action="([^"]*)">`).FindStringSubmatch(page)
	if action == nil || strings.Contains(page, "<b>") || strings.Contains(page, "<i>") || !strings.Contains(page, html.EscapeString("<i>news</i>")[:7]) {
		t.Fatalf("the page asks: %s", page)
	}
	if got := s.shown(made.ID); len(got.Channel["to"].([]any)) != 2 {
		t.Errorf("looking at the page changed %v", got.Channel)
	}
	form := html.UnescapeString(action[1])
	for range 2 { // it may be clicked again
		if page := s.send("POST", form, strings.NewReader(oneClick), formType).isPage(); strings.Contains(page, "<form") || !strings.Contains(page, "Unsubscribed") {
			t.Errorf("the page says: %s", page)
		}
		if got := s.shown(made.ID); len(got.Channel["to"].([]any)) != 1 || got.Status != "enabled" {
			t.Errorf("one is left: %+v", got)
		}
	}
	s.woken()
	last := unsubscribeLink(made.ID, "a@example.com", token(made.ID, "a@example.com"))
	multipart := "--x\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n--x--\r\n"
	s.send("POST", last, strings.NewReader(multipart), "Content-Type: multipart/form-data; boundary=x").isPage()
	got := s.shown(made.ID)
	if got.Status != "disabled" || got.DisabledReason == nil || *got.DisabledReason != "the last recipient unsubscribed" || got.DisabledAt == nil {
		t.Errorf("nobody is left: %+v", got)
	}
	if woken := s.woken(); !slices.Equal(woken, []string{made.ID}) { // who delivers to it stops
		t.Errorf("woken: %v", woken)
	}
	disabledAt := *got.DisabledAt
	s.send("POST", last, strings.NewReader(oneClick), formType).isPage()
	if got := s.shown(made.ID); *got.DisabledAt != disabledAt {
		t.Error("disabled again")
	}
}

// shown reads a subscription.
func (s *service) shown(id string) (got subscribed) {
	s.t.Helper()
	s.get("/api/subscriptions/" + id).want(200).into(&got)
	return got
}

func TestUnsubscribe_RefusesWhatIsNotItsLink(t *testing.T) {
	t.Parallel()
	s := newService(t)
	id := s.subscribed(mail("a@example.com", "b@example.com")).ID
	hooked := s.subscribed(hook("x")).ID
	before := s.state()
	good := token(id, "a@example.com")
	at := "/api/subscriptions/" + id + "/unsubscribe?"
	for path, want := range map[string]struct {
		status int
		code   string
		at     []string
	}{
		unsubscribeLink(id, "a@example.com", "x"):                          {403, "forbidden", nil},
		unsubscribeLink(id, "b@example.com", good):                         {403, "forbidden", nil},
		unsubscribeLink(hooked, "a@example.com", good):                     {403, "forbidden", nil},
		unsubscribeLink("0198c0de-0001-7abc-8def-012345670000", "a", good): {404, "not_found", nil},
		unsubscribeLink("x", "a@example.com", good):                        {404, "not_found", nil},
		at + "to=a@example.com&tenant=other&token=" + good:                 {404, "not_found", nil},
		at + "to=a@example.com":                                            {400, "invalid_parameter", []string{"query.token"}},
		at + "token=" + good:                                               {400, "invalid_parameter", []string{"query.to"}},
		at + "to=&token=" + good:                                           {400, "invalid_parameter", []string{"query.to"}},
		at + "to=%00&token=" + good:                                        {400, "invalid_parameter", []string{"query.to"}},
		at + "to=a@example.com&tenant=%ff&token=" + good:                   {400, "invalid_parameter", []string{"query.tenant"}},
		at + "to=a@example.com&tenant=&token=" + good:                      {400, "invalid_parameter", []string{"query.tenant"}},
		at + "to=a@example.com&to=b@example.com&token=" + good:             {400, "invalid_parameter", []string{"query.to"}},
		at + "to=a@example.com&all=1&token=" + good:                        {400, "invalid_parameter", []string{"query.all"}},
	} {
		s.get(path).problem(want.status, want.code, want.at...)
		s.send("POST", path, strings.NewReader(oneClick), formType).problem(want.status, want.code, want.at...)
	}
	link := unsubscribeLink(id, "a@example.com", good)
	s.post(link, `{}`).problem(415, "unsupported_media_type")
	s.act(link).problem(415, "unsupported_media_type")
	s.send("POST", link, strings.NewReader(strings.Repeat("x", 5*kib)), formType).problem(413, "too_large", "body")
	if after := s.state(); after != before {
		t.Errorf("something changed:\n%s\n%s", before, after)
	}
}
