package chat_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/notify/chat"
	"github.com/waybill-dev/waybill/internal/subscription"
)

// unreachable is a channel that must not be asked to send.
func unreachable(t *testing.T) *chat.Channel {
	t.Helper()
	c, err := chat.New(chat.Options{Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("no socket for the loopback")
	}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestChannel_GoodURLsGoToTheServicesHosts(t *testing.T) {
	t.Parallel()
	hook := "/services/T00000000/B00000000/" + slackPart
	connector := "/webhookb2/" + teamsGroup + "@" + teamsTenant + "/IncomingWebhook/" + teamsAlt + "/" + teamsOwner + "/" + teamsExtra
	for url, want := range map[string]string{
		slackHook: "hooks.slack.com" + hook,
		strings.Replace(slackHook, "hook:", "hook-", 1): "hooks.slack.com" + hook,
		"slack://T00000000/B00000000/" + slackPart:      "hooks.slack.com" + hook,
		"slack://bot@T00000000/B00000000/" + slackPart:  "hooks.slack.com" + hook,
		slackHook + "?botname=W&icon=truck":             "hooks.slack.com" + hook,
		slackBot:                                        "slack.com/api/chat.postMessage",
		slackBot + "?thread_ts=1503435956.000247":       "slack.com/api/chat.postMessage",
		discordURL: "discord.com/api/webhooks/1234567890/" + discordToken,
		discordURL + "?thread_id=99999&username=W": "discord.com/api/webhooks/1234567890/" + discordToken + "?thread_id=99999",
		telegramURL: "api.telegram.org/bot110201543:" + telegramToken + "/sendMessage",
		strings.Replace(telegramURL, "@channel", "-100123:7", 1) + "&preview=yes&notification=no&parsemode=None": "api.telegram.org/bot110201543:" + telegramToken + "/sendMessage",
		teamsURL:     "org.webhook.office.com" + connector,
		connectorURL: "org.webhook.office.com" + connector,
		workflowURL: "prod-01.westeurope.logic.azure.com/workflows/" + teamsAlt +
			"/triggers/manual/paths/invoke?api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=" + workflowSig,
		laterTeamsURL: "prod-01.westeurope.logic.azure.com/workflows/x?sig=" + workflowSig,
		"teams+https://a.b.environment.api.powerplatform.com:443/powerautomate/x?sig=" + workflowSig: "a.b.environment.api.powerplatform.com/powerautomate/x?sig=" + workflowSig,
	} {
		f := &far{}
		if r := send(t, f.start(t, 0, status(200, `{"ok":true}`)), url, message(`{"id":"1"}`)); !r.OK || r.Status != 200 {
			t.Errorf("%s: %+v", url, r)
		}
		got := f.got[0].host + f.got[0].path
		if f.got[0].query != "" {
			got += "?" + f.got[0].query
		}
		if got != want {
			t.Errorf("%s:\n got %s\nwant %s", url, got, want)
		}
	}
}

func TestChannel_BadURLs(t *testing.T) {
	t.Parallel()
	c := unreachable(t)
	teams := strings.TrimSuffix(teamsURL, "org.webhook.office.com")
	for _, bad := range []string{
		"slack://", "slack://x@webhook", "slack://hook:T0-B0-x@webhook", slackHook + ":80", slackHook + "?host=10.0.0.1", slackHook + "?color=red", slackHook + "#x",
		strings.Replace(slackHook, "@webhook", "@general", 1), strings.Replace(slackBot, "@C001CH4NN3L", "@", 1), slackHook + "/../../x", slackHook + "?icon=a&icon=b",
		"slack://hook:T00000000-B00000000/" + slackPart + "@webhook", "slack://hook:T00000000-B00000000-" + slackPart + "%2f..%2f@webhook",
		"slack://bot:pass@T00000000/B00000000/" + slackPart, "slack://127.0.0.1/T00000000/B00000000/" + slackPart, slackHook + "?thread_ts=x", slackHook + "?botname=a%0Ab",
		"discord://@1234567890", "discord://" + discordToken, "discord://" + discordToken + "@localhost", "discord://" + discordToken + "@127.0.0.1", "discord://" + discordToken + "@1234567890:99",
		discordURL + "/raw", discordURL + "?json=yes", discordURL + "?thread_id=1%2F..", "discord://a%2f..%2fb" + discordToken + "@1234567890", discordURL + "?avatar=http://10.0.0.1/",
		"telegram://110201543:" + telegramToken + "@telegram", "telegram://110201543:" + telegramToken + "@localhost?chats=@channel", "telegram://token@telegram?chats=@channel",
		telegramURL + "&parsemode=HTML", telegramURL + "&host=10.0.0.1", telegramURL + ",", telegramURL + ",@channel", telegramURL + "&channels=@other",
		telegramURL + ",1,2,3,4,5,6,7,8,9,10", "telegram://1:a%2F..%2Fb" + telegramToken + "@telegram?chats=@channel", "telegram://1%2F:" + telegramToken + "@telegram?chats=1",
		teams, teams + "10.0.0.1", teams + "localhost", teams + "webhook.office.com", teams + ".webhook.office.com", teams + "-.webhook.office.com", teams + "a..webhook.office.com",
		teams + "evil.org/.webhook.office.com", teams + "evil.org%23.webhook.office.com", teams + "evil.org%3F.webhook.office.com", teams + "u@evil.org:1%2F.webhook.office.com",
		teams + "a.webhook.office.com.evil.org", teams + "a.webhook.office.com:8080", teams + "evilwebhook.office.com", teams + "x.logic.azure.com", teams + "a_b.webhook.office.com",
		teams + "a.webhook.office.com&host=10.0.0.1", teams + "a.webhook.office.com%0a", teams + strings.Repeat("a", 64) + ".webhook.office.com", teamsURL + "&title=x",
		strings.Replace(teamsURL, teamsExtra, "..", 1) + "/../../x", strings.Replace(teamsURL, teamsGroup, "x", 1), "teams://dummy@dummy.com",
		"teams+https://10.0.0.1/workflows/x", "teams+https://evil.org/workflows/x", "teams+https://logic.azure.com/workflows/x", "teams+https://evillogic.azure.com/workflows/x",
		"teams+https://u:p@a.logic.azure.com/workflows/x", "teams+https://a.logic.azure.com:8080/workflows/x", "teams+https://a.logic.azure.com", "teams+https://a.logic.azure.com/x#y",
		"teams+https://a.logic.azure.com@evil.org/x", "teams+https://evil.org\\.logic.azure.com/x", "teams+https://[::1].logic.azure.com/x", "teams+https://a.logic.azure.com/x?sig=a%0D%0A b",
		"teams://?host=https%3A%2F%2Fevil.org%2Fx", "teams://?host=https%3A%2F%2F10.0.0.1%2Fworkflows", "teams://?host=http%3A%2F%2Fa.logic.azure.com%2Fx", "teams:?host=",
		"teams://evil.org/?host=https%3A%2F%2Fa.logic.azure.com%2Fx", "teams://?host=https%3A%2F%2Fa.logic.azure.com%2Fx%23y", "teams+http://a.logic.azure.com/x", "https://hooks.slack.com/services/T00000000/B00000000/" + slackPart, "generic://10.0.0.1", "slack:x", "not a url", "%zz", "slack://\x00",
		slackHook + "?botname=" + strings.Repeat("x", 3000), slackHook + "?botname=%zz",
	} {
		_, err := c.Check(t.Context(), object(bad), nil)
		e, ok := errors.AsType[*fault.Error](err)
		if !ok || e.Kind != fault.InvalidRecord || len(e.Items) != 1 || e.Items[0].Location != "body.channel.url" {
			t.Errorf("%s: %v", bad, err)
			continue
		}
		for _, s := range everySecret {
			if strings.Contains(err.Error(), s) {
				t.Errorf("%s: the error shows a secret: %v", bad, err)
			}
		}
	}
}

func TestChannel_TheObject(t *testing.T) {
	t.Parallel()
	c := unreachable(t)
	for object, want := range map[string]string{
		`{"type":"chat"}`:                           "body.channel.url",
		`{"type":"chat","url":7}`:                   "body.channel.url",
		`{"type":"chat","URL":"slack://x"}`:         "body.channel.URL body.channel.url",
		`{"type":"email","url":"slack://x","to":1}`: "body.channel.to body.channel.type",
		`[]`:   "body.channel",
		`null`: "body.channel",
	} {
		_, err := c.Check(t.Context(), []byte(object), nil)
		e, ok := errors.AsType[*fault.Error](err)
		got := fmt.Sprint(err)
		if ok {
			got = ""
			for _, item := range e.Items {
				got = strings.TrimSpace(got + " " + item.Location)
			}
		}
		if got != want {
			t.Errorf("%s: at %q, want %q", object, got, want)
		}
	}
}

func TestChannel_AMaskedURLKeepsTheStandingOne(t *testing.T) {
	t.Parallel()
	c := unreachable(t)
	for _, url := range everyURL {
		settings, err := c.Check(t.Context(), object(url), nil)
		if err != nil {
			t.Fatal(err)
		}
		shown, err := c.Show(settings)
		scheme, _, _ := strings.Cut(url, ":")
		if want := `{"type":"chat","url":"` + scheme + `://***"}`; err != nil || string(shown) != want {
			t.Errorf("%s, want %s (%v)", shown, want, err)
		}
		again, err := c.Check(t.Context(), shown, settings)
		if err != nil || string(again) != string(settings) {
			t.Errorf("%s, %v", again, err)
		}
		if _, err := c.Check(t.Context(), shown, nil); err == nil {
			t.Errorf("%s stands for nothing", shown)
		}
		if _, err := c.Check(t.Context(), object("other://***"), settings); err == nil {
			t.Error("another service's mask was taken")
		}
	}
}

func TestNew_NeedsAGuard(t *testing.T) {
	t.Parallel()
	if _, err := chat.New(chat.Options{}); err == nil {
		t.Error("a channel without a dialer")
	}
	r := send(t, unreachable(t), slackHook, message(`{}`))
	if r.OK || r.Permanent || r.Error != "the request failed" {
		t.Errorf("%+v", r)
	}
	if _, err := unreachable(t).Sender(subscription.Key{}, []byte(`{"url":"generic://`+slackPart+`"}`)); err == nil || strings.Contains(err.Error(), slackPart) {
		t.Error(err)
	}
}

func TestChannel_DialsTheServicesAlone(t *testing.T) {
	t.Parallel()
	wants := map[string]string{
		"slack hook": "hooks.slack.com:443", "slack bot": "slack.com:443", "discord": "discord.com:443", "telegram": "api.telegram.org:443",
		"teams": "org.webhook.office.com:443", "teams workflow": "prod-01.westeurope.logic.azure.com:443", "teams later": "prod-01.westeurope.logic.azure.com:443",
	}
	for name, url := range everyURL {
		dialed := make(chan string, 1)
		c, err := chat.New(chat.Options{Dial: func(_ context.Context, network, address string) (net.Conn, error) {
			dialed <- address
			return nil, errors.New(network + " is down")
		}})
		if err != nil {
			t.Fatal(err)
		}
		if r := send(t, c, url, message(`{}`)); r.OK || r.Error != "the request failed" {
			t.Errorf("%s: %+v", name, r)
		}
		if got := <-dialed; got != wants[name] {
			t.Errorf("%s: dialed %s, want %s", name, got, wants[name])
		}
	}
}
