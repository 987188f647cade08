package chat_test

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"testing"

	"github.com/waybill-dev/waybill/internal/notify"
	"github.com/waybill-dev/waybill/internal/notify/chat"
	"github.com/waybill-dev/waybill/internal/notify/notifytest"
	"github.com/waybill-dev/waybill/internal/notify/outbound"
	"github.com/waybill-dev/waybill/internal/subscription"
)

// redirected sends every request to a receiver of the kit instead of the service.
type redirected struct {
	*http.Transport
	to *url.URL
}

func (r redirected) RoundTrip(request *http.Request) (*http.Response, error) {
	moved := request.Clone(request.Context())
	moved.URL.Scheme, moved.URL.Host, moved.Host = r.to.Scheme, r.to.Host, ""
	return r.Transport.RoundTrip(moved)
}

func TestSender_PassesTheKit(t *testing.T) {
	t.Parallel()
	withBody := func(status int) bool {
		return status/100 == 2 && status != http.StatusNoContent
	}
	for name, c := range map[string]struct {
		url     string
		secrets []string
		answer  string
		accepts func(int) bool // nil: the status says it all
	}{
		"slack hook":     {slackHook, []string{slackPart}, "ok", nil},
		"slack bot":      {slackBot, []string{slackPart}, `{"ok":true}`, withBody},
		"discord":        {discordURL, []string{discordToken}, "", nil},
		"telegram":       {telegramURL, []string{telegramToken, "110201543:" + telegramToken}, `{"ok":true}`, withBody},
		"teams":          {teamsURL, []string{teamsGroup, teamsAlt, teamsOwner, teamsExtra}, "1", nil},
		"teams workflow": {workflowURL, []string{teamsAlt, workflowSig}, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			notifytest.HTTP(t, notifytest.Case{
				Sender: func(t testing.TB, r notifytest.Receiver) notify.Sender {
					t.Helper()
					return redirectedTo(t, r, c.url)
				},
				Secrets: c.secrets, Answer: c.answer, Accepts: c.accepts,
			})
		})
	}
}

// redirectedTo returns a Sender for a chat whose requests go to r.
func redirectedTo(t testing.TB, r notifytest.Receiver, address string) notify.Sender {
	t.Helper()
	to, err := url.Parse(r.URL)
	if err != nil {
		t.Fatal(err)
	}
	transport := outbound.NewTransport(new(net.Dialer).DialContext, notify.Timeout)
	transport.TLSClientConfig = &tls.Config{RootCAs: r.Roots, MinVersion: tls.VersionTLS12}
	t.Cleanup(transport.CloseIdleConnections)
	c, err := chat.New(chat.Options{Transport: redirected{transport, to}})
	if err != nil {
		t.Fatal(err)
	}
	settings, err := c.Check(t.Context(), object(address), nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.Sender(subscription.Key{Tenant: "acme", ID: "s"}, settings)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
