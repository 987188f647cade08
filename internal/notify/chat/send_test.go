package chat_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/waybill-dev/waybill/internal/notify"
)

func TestSender_AnswersInTheServicesOwnTerms(t *testing.T) {
	t.Parallel()
	long := `"message":{"text":"` + strings.Repeat("x", notify.MaxReply) + `"}}`
	for _, test := range []struct {
		url    string
		status int
		answer string
		want   string // Error
	}{
		{slackBot, 200, `{"ok":true}`, ""},
		{slackBot, 200, `{"ok":true,` + long, ""}, // Slack repeats the message
		{slackBot, 200, `{"ok":false,"error":"channel_not_found"}`, "answered 200: Slack refused: channel_not_found"},
		{slackBot, 200, `{"ok":false,"error":"invalid_auth",` + long, "answered 200: Slack refused: invalid_auth"},
		{slackBot, 200, `{"ok":false}`, "answered 200: Slack refused"},
		{slackBot, 200, `{"ok":"true"}`, "answered 200: not a word of success"},
		{slackBot, 200, `{"error":"x"}`, "answered 200: not a word of success"},
		{slackBot, 200, `{` + long, "answered 200: not a word of success"},
		{slackBot, 200, ``, "answered 200: not a word of success"},
		{slackBot, 200, `<html>`, "answered 200: not a word of success"},
		{slackBot, 429, `{"ok":false,"error":"ratelimited"}`, "answered 429: Slack refused: ratelimited"},
		{slackBot, 500, `{"ok":true}`, "answered 500"},
		{slackHook, 200, `ok`, ""},
		{slackHook, 403, `invalid_token`, "answered 403"},
		{telegramURL, 200, `{"ok":true,"result":{}}`, ""},
		{telegramURL, 200, `{"ok":false,"error_code":400,"description":"chat not found"}`, "answered 200: Telegram refused: chat not found"},
		{telegramURL, 400, `{"ok":false,"description":"chat\nnot\u202e found"}`, "answered 400: Telegram refused: chat not  found"},
		{telegramURL, 400, `{"ok":false,"description":"` + strings.Repeat("ä", 999) + `"}`, "answered 400: Telegram refused: " + strings.Repeat("ä", 101) + "…"},
		{teamsURL, 200, `1`, ""},
		{teamsURL, 200, `Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 429`, "answered 200: Teams refused"},
		{workflowURL, 202, ``, ""},
		{discordURL, 204, ``, ""},
		{discordURL, 410, ``, "answered 410: the receiver wants no more"},
		{discordURL, 302, ``, "answered 302: redirects are not followed"},
	} {
		r := send(t, (&far{}).start(t, 0, status(test.status, test.answer)), test.url, message(`{}`))
		gone := test.status == http.StatusGone
		if r.Error != test.want || r.Status != test.status || !strings.HasPrefix(test.answer, string(r.Reply)) || r.Permanent != gone || r.Gone != gone {
			t.Errorf("%.40s: %+v, want %q", test.answer, r, test.want)
		}
	}
}

// TestSender_AnswersThatBreakOff are successes where the status says it all.
func TestSender_AnswersThatBreakOff(t *testing.T) {
	t.Parallel()
	const lost = "answered 200: connection closed within the answer"
	for _, test := range []struct{ url, begun, want string }{
		{slackHook, "o", ""}, {discordURL, "{", ""}, {teamsURL, "1", lost},
		{slackBot, `{"ok":true,"message":`, ""}, {slackBot, `{"ok"`, lost}, {telegramURL, `{"ok":false,"description":"no",`, "answered 200: Telegram refused: no"},
	} {
		c := (&far{}).start(t, 0, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, test.begun)
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		})
		if r := send(t, c, test.url, message(`{}`)); r.Error != test.want || r.Status != 200 || string(r.Reply) != test.begun {
			t.Errorf("%s %s: %+v, want %q", test.url, test.begun, r, test.want)
		}
	}
}

// TestSender_EndsByItself has no deadline from outside.
func TestSender_EndsByItself(t *testing.T) {
	t.Parallel()
	c := (&far{}).start(t, 300*time.Millisecond, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	if r := send(t, c, discordURL, message(`{}`)); !strings.HasPrefix(r.Error, "timed out after ") || r.Permanent {
		t.Errorf("%+v", r)
	}
}

func TestSender_RetryAfter(t *testing.T) {
	t.Parallel()
	tests := []struct {
		url, header, body string
		want              time.Duration
	}{
		{slackHook, "30", "", 30 * time.Second},
		{discordURL, "", `{"retry_after":1.5}`, 1500 * time.Millisecond},
		{discordURL, "1", `{"retry_after":2}`, 2 * time.Second},
		{telegramURL, "", `{"ok":false,"parameters":{"retry_after":35}}`, 35 * time.Second},
		{slackHook, "99999999999", "", 24 * time.Hour},
		{discordURL, "", `{"retry_after":1e300}`, 24 * time.Hour},
		{slackHook, "-1", `{"retry_after":-5}`, 0},
		{slackHook, "NaN", "", 0},
		{slackHook, "soon", `[]`, 0},
		{slackHook, "Mon, 02 Jan 2006 15:04:05 GMT", "", 0},
		{slackHook, "Mon, 02 Jan 2090 15:04:05 GMT", "", 24 * time.Hour},
	}
	for _, test := range tests {
		c := (&far{}).start(t, 0, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", test.header)
			w.WriteHeader(http.StatusTooManyRequests)
			_, _ = io.WriteString(w, test.body)
		})
		if r := send(t, c, test.url, message(`{}`)); r.OK || r.RetryAfter != test.want {
			t.Errorf("%q %q: %+v, want %s", test.header, test.body, r, test.want)
		}
	}
}

func TestSender_EchoedTokensAreRedacted(t *testing.T) {
	t.Parallel()
	for name, url := range everyURL {
		for _, code := range []int{200, 400} {
			t.Run(fmt.Sprint(name, code), func(t *testing.T) {
				t.Parallel()
				all := strings.Join(everySecret, " ")
				for _, echo := range []string{
					url, all, `{"ok":false,"error":"` + all + `","description":"` + all + `"}`,
					strings.Repeat("x", notify.MaxReply-10) + all, strings.Repeat(url+" ", 200), strings.Repeat("ä"+url, 200),
				} {
					c := (&far{}).start(t, 0, func(w http.ResponseWriter, r *http.Request) {
						w.WriteHeader(code)
						// Only what the service was told: others' tokens are not ours to know.
						for _, s := range everySecret {
							if !strings.Contains(url, s) {
								echo = strings.ReplaceAll(echo, s, "")
							}
						}
						_, _ = io.WriteString(w, echo+r.URL.Path+r.Header.Get("Authorization"))
					})
					send(t, c, url, message(`{}`))
				}
			})
		}
	}
}

func TestSender_MarkupIsNeutral(t *testing.T) {
	t.Parallel()
	m := message(`{"text":"<!channel> <@U1> &amp; @everyone *b* [x](https://x.org) @name\r\nline","n":{"a":[1]},"nil":null}`)
	m.Name = "a\n<!here>\u202e"
	texts := map[string]func(request) string{
		slackHook:   func(r request) string { return r.body["text"].(string) },
		discordURL:  func(r request) string { return r.body["content"].(string) },
		telegramURL: func(r request) string { return r.body["text"].(string) },
		teamsURL:    func(r request) string { return r.raw },
	}
	wants := map[string][]string{
		slackHook:   {"messages.created · a &lt;!here&gt;", "text: &lt;!channel&gt; &lt;@U1&gt; &amp;amp; @everyone", "n: {\"a\":[1]}", "nil: null", "operation: 019b"},
		discordURL:  {`text: \<!channel\> \<@U1\> &amp; @everyone \*b\* \[x\]\(https://x.org\)`},
		telegramURL: {"<!channel>", "@\u200bname  line", "@\u200beveryone"},
		teamsURL:    {`"type":"RichTextBlock"`, `AdaptiveCard`, `[x](https://x.org)`},
	}
	for url, text := range texts {
		f := &far{}
		if r := send(t, f.start(t, 0, status(200, `{"ok":true}`)), url, m); !r.OK {
			t.Fatalf("%+v", r)
		}
		got := text(f.got[0])
		for _, want := range wants[url] {
			if !strings.Contains(got, want) {
				t.Errorf("%s\nlacks %q", got, want)
			}
		}
		switch url {
		case discordURL:
			if !strings.Contains(f.got[0].raw, `"allowed_mentions":{"parse":[]}`) {
				t.Error(f.got[0].raw)
			}
		case telegramURL:
			if f.got[0].body["parse_mode"] != nil || f.got[0].body["chat_id"] != "@channel" {
				t.Error(f.got[0].raw)
			}
		}
	}
}

func TestSender_LongMessagesAreCut(t *testing.T) {
	t.Parallel()
	var fields []string
	for i := range 40 {
		fields = append(fields, fmt.Sprintf(`"f%d":"%s"`, i, strings.Repeat("😀<*", 5000)))
	}
	for url, limit := range map[string]int{slackHook: 4000, discordURL: 2000, telegramURL: 4096} {
		f := &far{}
		send(t, f.start(t, 0, status(200, `{"ok":true}`)), url, message("{"+strings.Join(fields, ",")+"}"))
		text, _ := f.got[0].body["text"].(string)
		if url == discordURL {
			text = f.got[0].body["content"].(string)
		}
		n := len(utf16.Encode([]rune(text)))
		if n > limit || n < limit/2 || !utf8.ValidString(text) || strings.HasSuffix(text, "\\…") || strings.HasSuffix(text, "&…") {
			t.Errorf("%s: %d of %d, ends %q", url, n, limit, text[len(text)-20:])
		}
	}
}

func TestSender_FailuresAreExplained(t *testing.T) {
	t.Parallel()
	m := message(`null`)
	m.Event.Body = []byte(`{"type":"messages.failed","data":{"id":1},"operation":null,"action":"create","error":{"code":"conflict","detail":"is taken"}}`)
	f := &far{}
	send(t, f.start(t, 0, status(200, "")), slackHook, m)
	if want := "messages.failed · all messages\ncould not be stored (create): conflict: is taken\nid: 1"; f.got[0].body["text"] != want {
		t.Errorf("%q", f.got[0].body["text"])
	}
}

func TestSender_SeveralChatsGetTheMessageOnce(t *testing.T) {
	t.Parallel()
	broken := true
	f := &far{}
	c := f.start(t, 0, func(w http.ResponseWriter, _ *http.Request) {
		if broken && strings.Contains(f.got[len(f.got)-1].raw, "-100") {
			status(500, `{"ok":false,"description":"down"}`)(w, nil)
			return
		}
		status(200, `{"ok":true}`)(w, nil)
	})
	url := telegramURL + ",-100123,@third"
	m := message(`{}`)
	r := send(t, c, url, m)
	if r.OK || r.Status != 500 || r.Error != "-100123: answered 500: Telegram refused: down" || r.Progress != `{"done":["@channel","@third"]}` {
		t.Fatalf("%+v", r)
	}
	broken = false
	m.Progress = r.Progress
	if r = send(t, c, url, m); !r.OK || len(f.got) != 4 {
		t.Errorf("%+v, %d requests", r, len(f.got))
	}
}
