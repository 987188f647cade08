package webhook_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/notify/notifytest"
	"github.com/waybill-dev/waybill/internal/notify/webhook"
)

// itemsOf returns the messages of a fault.InvalidRecord by their locations.
func itemsOf(t testing.TB, err error) map[string]string {
	t.Helper()
	e, ok := errors.AsType[*fault.Error](err)
	if !ok || e.Kind != fault.InvalidRecord || e.Detail == "" {
		t.Errorf("the error is %v, want %s", err, fault.InvalidRecord)
		return nil
	}
	items := map[string]string{}
	for _, i := range e.Items {
		items[i.Location] += i.Message + "\n"
	}
	return items
}

func TestChannel_ChecksObjects(t *testing.T) {
	t.Parallel()
	strict := channel(t, webhook.Options{HTTPSOnly: true, Resolver: resolver().resolver()})
	open := channel(t, webhook.Options{Resolver: resolver().resolver()})
	many := `{"H0":""`
	for i := range 32 {
		many += fmt.Sprintf(`,"X%d":""`, i)
	}
	const good = `"type":"webhook","url":"https://public.example/hook"`
	header := func(name, value string) string {
		return `{` + good + `,"headers":{"` + name + `":` + value + `}}`
	}
	for _, c := range []struct {
		object string
		want   []string // locations
	}{
		{`{` + good + `}`, nil},
		{`{"type":"webhook","url":"HTTPS://public.example:443/a%2Fb?x=1&y=%20"}`, nil},
		{header("X-Name", `"value, \"käse\""`), nil},
		{header("X-Empty", `""`), nil},
		{header("Authorization", `"Bearer x"`), nil},
		{``, []string{"body.channel"}},
		{`null`, []string{"body.channel"}},
		{`[]`, []string{"body.channel"}},
		{`"x"`, []string{"body.channel"}},
		{`{}`, []string{"body.channel.type", "body.channel.url"}},
		{`{"type":"email","url":"https://public.example"}`, []string{"body.channel.type"}},
		{`{"type":null,"url":null}`, []string{"body.channel.type", "body.channel.url"}},
		{`{"type":"webhook","url":5}`, []string{"body.channel.url"}},
		{`{"type":"webhook","url":""}`, []string{"body.channel.url"}},
		{`{` + good + `,"secret":"mine","a b":1}`, []string{`body.channel.secret`, `body.channel["a b"]`}},
		{`{` + good + `,"headers":null}`, []string{"body.channel.headers"}},
		{`{` + good + `,"headers":[]}`, []string{"body.channel.headers"}},
		{`{` + good + `,"headers":` + many + `}}`, []string{"body.channel.headers"}},
		{header("X-Name", `5`), []string{"body.channel.headers.X-Name"}},
		{header("X-Name", `null`), []string{"body.channel.headers.X-Name"}},
		{header("X-Name", `"***"`), []string{"body.channel.headers.X-Name"}},
		{header("X-Name", `"a\r\nX-Evil: 1"`), []string{"body.channel.headers.X-Name"}},
		{header("X-Name", `"a\u0000"`), []string{"body.channel.headers.X-Name"}},
		{header("X-Name", `"a\u007f"`), []string{"body.channel.headers.X-Name"}},
		{header("X-Name", `"`+strings.Repeat("x", 4097)+`"`), []string{"body.channel.headers.X-Name"}},
		{header("", `"x"`), []string{`body.channel.headers[""]`}},
		{header("X Name", `"x"`), []string{`body.channel.headers["X Name"]`}},
		{header("X:", `"x"`), []string{`body.channel.headers["X:"]`}},
		{header("X-Nämé", `"x"`), []string{`body.channel.headers["X-Nämé"]`}},
		{`{` + good + `,"headers":{"X-A":"1","x-a":"2","X-B":"3"}}`, []string{"body.channel.headers.x-a"}},
		{
			`{"type":"chat","url":"ftp://user:hunter22@10.0.0.1:0/#x","headers":{"Host":"a","X":1},"more":1}`,
			[]string{"body.channel.type", "body.channel.url", "body.channel.headers.Host", "body.channel.headers.X", "body.channel.more"},
		},
	} {
		for _, channel := range []*webhook.Channel{strict, open} {
			b, err := channel.Check(t.Context(), json.RawMessage(c.object), nil)
			if len(c.want) == 0 {
				if err != nil || !json.Valid(b) {
					t.Errorf("%s: %v", c.object, err)
				}
				continue
			}
			got := itemsOf(t, err)
			if want := slices.Sorted(slices.Values(c.want)); !slices.Equal(slices.Sorted(maps.Keys(got)), want) {
				t.Errorf("%s:\n got %v\nwant %v", c.object, got, want)
			}
			if strings.Contains(fmt.Sprint(err, got), "hunter22") {
				t.Errorf("%s: the password is shown: %v", c.object, err)
			}
		}
	}
}

func TestChannel_RefusesHeadersOfItsOwn(t *testing.T) {
	t.Parallel()
	c := channel(t, webhook.Options{Resolver: resolver().resolver()})
	for _, name := range []string{
		"content-type", "Content-Length", "HOST", "User-Agent", "connection", "Transfer-Encoding", "te", "trailer", "upgrade",
		"Proxy-Authorization", "proxy-connection", "keep-alive", "expect", "accept-encoding", "traceparent", "tracestate", "Webhook-ID",
		"webhook-signature", "webhook-anything",
	} {
		_, err := c.Check(t.Context(), json.RawMessage(`{"type":"webhook","url":"https://public.example","headers":{"`+name+`":"x"}}`), nil)
		if items := itemsOf(t, err); items["body.channel.headers."+name] == "" {
			t.Errorf("%s: %v", name, items)
		}
	}
}

func TestChannel_ChecksURLs(t *testing.T) {
	t.Parallel()
	strict := channel(t, webhook.Options{HTTPSOnly: true, Resolver: resolver().resolver()})
	open := channel(t, webhook.Options{Resolver: resolver().resolver()})
	for _, c := range []struct{ url, want string }{
		{"http://public.example/", "plain HTTP"},
		{"ftp://public.example/", "must begin with"},
		{"file:///etc/passwd", "must begin with"},
		{"gopher://public.example:70/_x", "must begin with"},
		{"//public.example/", "must begin with"},
		{"public.example", "must begin with"},
		{"https:public.example", "no host"},
		{"https:///x", "no host"},
		{"https://", "no host"},
		{"https://:443/", "no host"},
		{"https://user@public.example/", "user name"},
		{"https://user:hunter22@public.example/", "user name"},
		{"https://@public.example/", "user name"},
		{"https://public.example@127.0.0.1/", "user name"},
		{"https://public.example/#fragment", "fragment"},
		{"https://public.example/#", "fragment"},
		{"https://public.example:/", "port"},
		{"https://public.example:0/", "port"},
		{"https://public.example:65536/", "port"},
		{"https://public.example:http/", "not a URL"},
		{"https://public.example:-1/", "not a URL"},
		{"https://public.example/\n", "not a URL"},
		{"https://public.example/%zz", "not a URL"},
		{"https://public.example\\@127.0.0.1/", "not a URL"},
		{"https://public.example/" + strings.Repeat("x", 2048), "2048"},
	} {
		object, err := json.Marshal(map[string]string{"type": "webhook", "url": c.url})
		if err != nil {
			t.Fatal(err)
		}
		_, err = strict.Check(t.Context(), object, nil)
		items := itemsOf(t, err)
		if !strings.Contains(items["body.channel.url"], c.want) || len(items) != 1 {
			t.Errorf("%q: %v, want %q", c.url, items, c.want)
		}
		if strings.Contains(fmt.Sprint(items, err), "hunter22") {
			t.Errorf("%q: the password is shown: %v", c.url, items)
		}
		if _, err = open.Check(t.Context(), object, nil); (err == nil) != strings.HasPrefix(c.url, "http://public") {
			t.Errorf("%q, with plain HTTP: %v", c.url, err)
		}
	}
}

func TestChannel_KeepsWhatStands(t *testing.T) {
	t.Parallel()
	c := channel(t, webhook.Options{Resolver: resolver().resolver()})
	first, err := c.Check(t.Context(), json.RawMessage(
		`{"type":"webhook","url":"https://BÜCHER.example/?a=1&b=2","headers":{"X-Token":"tok-1","X-Other":"other-1"}}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	shown, err := c.Show(first)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"type":"webhook","url":"https://xn--bcher-kva.example/?a=1&b=2","headers":{"X-Other":"***","X-Token":"***"}}`
	if string(shown) != want {
		t.Errorf("shown %s\nwant  %s", shown, want)
	}
	second, err := c.Check(t.Context(), json.RawMessage(
		`{"type":"webhook","url":"https://bücher.example/other","headers":{"x-token":"***","X-New":"new-1"}}`), first)
	if err != nil {
		t.Fatal(err)
	}
	var s settings
	if err := json.Unmarshal(second, &s); err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(s.Headers, map[string]string{"x-token": "tok-1", "X-New": "new-1"}) || s.URL != "https://xn--bcher-kva.example/other" {
		t.Errorf("%+v", s)
	}
	if secretOf(t, c, first) != secretOf(t, c, second) {
		t.Error("the secret is another")
	}
	for object, location := range map[string]string{
		`{"type":"webhook","url":"https://bücher.example/","headers":{"X-None":"***"}}`:  "body.channel.headers.X-None",
		`{"type":"webhook","url":"https://public.example/","headers":{"X-Token":"***"}}`: "body.channel.headers.X-Token",
		`{"type":"webhook","url":"http://bücher.example/","headers":{"X-Token":"***"}}`:  "body.channel.headers.X-Token",
	} {
		_, err = c.Check(t.Context(), json.RawMessage(object), first)
		if items := itemsOf(t, err); items[location] == "" {
			t.Errorf("%s: there is no value to keep: %v", object, items)
		}
	}
}

func TestChannel_MakesSecrets(t *testing.T) {
	t.Parallel()
	c := local(t)
	seen := map[string]bool{}
	for range 16 {
		b, err := c.Check(t.Context(), json.RawMessage(`{"type":"webhook","url":"http://127.0.0.1:1/"}`), nil)
		if err != nil {
			t.Fatal(err)
		}
		secret := secretOf(t, c, b)
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
		if err != nil || len(key) < 24 || len(key) > 32 || seen[secret] {
			t.Errorf("%q: %d bytes, %v", secret, len(key), err)
		}
		seen[secret] = true
		shown, err := c.Show(b)
		if err != nil || strings.Contains(string(shown), "whsec") {
			t.Errorf("%s: %v", shown, err)
		}
	}
}

func TestChannel_RefusesOtherSettings(t *testing.T) {
	t.Parallel()
	c := local(t)
	key := notifytest.Message().Subscription
	for _, b := range []string{"", "null", "{}", `{"url":"hunter22"`, `{"url":"http://x/hunter22"}`, `{"url":"http://[hunter22","secrets":[{"secret":"whsec_AAAA"}]}`,
		`{"url":"http://x/","secrets":[{"secret":"whsec_hunter22!"}]}`, `{"url":"http://x/","secrets":[{"secret":"whsec_"}]}`} {
		if _, err := c.Sender(key, []byte(b)); err == nil || strings.Contains(err.Error(), "hunter22") {
			t.Errorf("%s: %v", b, err)
		}
	}
}
