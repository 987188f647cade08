package chat_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/waybill-dev/waybill/internal/notify"
	"github.com/waybill-dev/waybill/internal/notify/chat"
	"github.com/waybill-dev/waybill/internal/notify/notifytest"
	"github.com/waybill-dev/waybill/internal/subscription"
)

// Tokens of URLs; no result may show one.
const (
	slackPart     = "xWvUtSrQpOnMlKjIhGfEdCbA"
	discordToken  = "disc0rd-token_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	telegramToken = "AAtelegram-token_bbbbbbbbbbbbbbbbbb"
	teamsGroup    = "11111111-1111-1111-1111-111111111111"
	teamsTenant   = "22222222-2222-2222-2222-222222222222"
	teamsAlt      = "33333333333333333333333333333333"
	teamsOwner    = "44444444-4444-4444-4444-444444444444"
	teamsExtra    = "V2extraextraextra"
	workflowSig   = "sigsigsigsigsig-sig_sig"

	slackHook     = "slack://hook:T00000000-B00000000-" + slackPart + "@webhook"
	slackBot      = "slack://xoxb:123456789012-1234567890123-" + slackPart + "@C001CH4NN3L"
	discordURL    = "discord://" + discordToken + "@1234567890"
	telegramURL   = "telegram://110201543:" + telegramToken + "@telegram?chats=@channel"
	teamsURL      = "teams://" + teamsGroup + "@" + teamsTenant + "/" + teamsAlt + "/" + teamsOwner + "/" + teamsExtra + "?host=org.webhook.office.com"
	workflowURL   = "teams+https://prod-01.westeurope.logic.azure.com:443/workflows/" + teamsAlt + "/triggers/manual/paths/invoke?api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=" + workflowSig
	laterTeamsURL = "teams:?host=https%3A%2F%2Fprod-01.westeurope.logic.azure.com%3A443%2Fworkflows%2Fx%3Fsig%3D" + workflowSig
	connectorURL  = "teams+https://org.webhook.office.com/webhookb2/" + teamsGroup + "@" + teamsTenant + "/IncomingWebhook/" + teamsAlt + "/" + teamsOwner + "/" + teamsExtra
)

var (
	everyURL = map[string]string{
		"slack hook": slackHook, "slack bot": slackBot, "discord": discordURL, "telegram": telegramURL, "teams": teamsURL, "teams workflow": workflowURL, "teams later": laterTeamsURL,
	}
	everySecret = []string{slackPart, discordToken, telegramToken, teamsAlt, teamsOwner, teamsExtra, workflowSig}
)

// request is what a service got.
type request struct {
	host, path, query, authorization string
	body                             map[string]any
	raw                              string
}

// far is the network's far end: every service at once, at a loopback address.
type far struct {
	mu  sync.Mutex
	got []request
}

// start returns a channel whose requests all go to answer.
func (f *far) start(t *testing.T, timeout time.Duration, answer http.HandlerFunc) *chat.Channel {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		got := request{r.Host, r.URL.Path, r.URL.RawQuery, r.Header.Get("Authorization"), nil, string(raw)}
		_ = json.Unmarshal(raw, &got.body)
		f.mu.Lock()
		f.got = append(f.got, got)
		f.mu.Unlock()
		answer(w, r)
	}))
	s.StartTLS()
	t.Cleanup(s.Close)
	trusting := s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	c, err := chat.New(chat.Options{Timeout: timeout, Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, s.Listener.Addr().String())
		},
		TLSClientConfig: &tls.Config{RootCAs: trusting, ServerName: "example.com", MinVersion: tls.VersionTLS12},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.CloseClientConnections)
	return c
}

// send makes one attempt and checks what holds for all of them.
func send(t *testing.T, c *chat.Channel, url string, m *notify.Message) notify.Result {
	t.Helper()
	settings, err := c.Check(t.Context(), object(url), nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.Sender(subscription.Key{Tenant: "acme", ID: "s"}, settings)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	r := s.Send(t.Context(), m)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
	if r.OK != (r.Error == "") || len(r.Reply) > notify.MaxReply {
		t.Errorf("OK is %t, Error %q, a reply of %d bytes", r.OK, r.Error, len(r.Reply))
	}
	notifytest.NoSecret(t, r, everySecret...)
	return r
}

func object(url string) json.RawMessage {
	b, _ := json.Marshal(map[string]string{"type": "chat", "url": url})
	return b
}

func message(data string) *notify.Message {
	return &notify.Message{
		Event: subscription.Event{Type: "messages.created", Body: []byte(`{"type":"messages.created","timestamp":"2026-11-24T10:00:00.000Z","data":` + data +
			`,"operation":"019b0000-0000-7000-8000-0000000000aa","tenant":"acme"}`)},
		Name: "all messages", Delivery: "d", Attempt: 1,
	}
}

func status(code int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
}
