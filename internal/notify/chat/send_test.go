package chat_test

import (
	"fmt"
	"io"
	"iter"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/waybill-dev/waybill/internal/notify"
)

func TestSender_EveryStatus(t *testing.T) {
	t.Parallel()
	for name, url := range everyURL {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var code atomic.Int32
			c := (&far{}).start(t, 0, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(int(code.Load())) })
			for code := range allCodes(&code) {
				r := send(t, c, url, message(`{}`))
				if r.OK != (code/100 == 2) || r.Status != code || r.Gone != (code == 410) || r.Permanent != r.Gone {
					t.Errorf("%d: %+v", code, r)
				}
			}
		})
	}
}

// allCodes sets set to each status that net/http knows and a server can end with.
func allCodes(set *atomic.Int32) iter.Seq[int] {
	return func(yield func(int) bool) {
		for code := 200; code < 600; code++ {
			set.Store(int32(code))
			if http.StatusText(code) != "" && !yield(code) {
				return
			}
		}
	}
}

func TestSender_Refusals(t *testing.T) {
	t.Parallel()
	tests := []struct{ url, answer, want string }{
		{slackBot, `{"ok":false,"error":"channel_not_found"}`, "slack answered 200: Slack refused: channel_not_found"},
		{slackBot, `{"ok":true}`, ""},
		{slackHook, `ok`, ""},
		{telegramURL, `{"ok":false,"error_code":400,"description":"chat not found"}`, "@channel: telegram answered 200: Telegram refused: chat not found"},
		{teamsURL, `Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 429`, "teams answered 200: Teams refused"},
		{teamsURL, `1`, ""},
		{discordURL, ``, ""},
	}
	for _, test := range tests {
		r := send(t, (&far{}).start(t, 0, status(200, test.answer)), test.url, message(`{}`))
		if r.Error != test.want || string(r.Reply) != test.answer || r.Permanent {
			t.Errorf("%+v, want %q", r, test.want)
		}
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
		{slackHook, "1e300", "", 24 * time.Hour},
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

func TestSender_IsBoundedWhateverTheServiceDoes(t *testing.T) {
	t.Parallel()
	hijack := func(w http.ResponseWriter, answer string) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_, _ = io.WriteString(c, answer)
			_ = c.Close()
		}
	}
	flood := func(w io.Writer, s string) {
		for range 10 << 10 {
			if _, err := io.WriteString(w, s); err != nil {
				return
			}
		}
	}
	acts := map[string]struct {
		act  http.HandlerFunc
		want string // of the error; "": OK
	}{
		"no answer": {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "no answer in time"},
		"reset":     {func(w http.ResponseWriter, _ *http.Request) { hijack(w, "") }, "discord: "},
		"nonsense":  {func(w http.ResponseWriter, _ *http.Request) { hijack(w, "hello\r\n\r\n") }, "discord: "},
		"cut body": {func(w http.ResponseWriter, _ *http.Request) {
			hijack(w, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx")
		}, "broke off"},
		"10 MiB": {func(w http.ResponseWriter, _ *http.Request) { flood(w, strings.Repeat("x", 1<<10)) }, ""},
		"10 MiB of headers": {func(w http.ResponseWriter, _ *http.Request) {
			hijack(w, "HTTP/1.1 200 OK\r\n"+strings.Repeat("X: "+strings.Repeat("y", 1<<10)+"\r\n", 10<<10)+"\r\n")
		}, "discord: "},
		"slow drip": {func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = io.WriteString(w, "x")
				_ = http.NewResponseController(w).Flush()
				time.Sleep(5 * time.Millisecond) //nolint:forbidigo // slowness is what is tested
			}
		}, "no answer in time"},
	}
	for name, test := range acts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			timeout := 5 * time.Second
			if test.want == "no answer in time" {
				timeout = 400 * time.Millisecond
			}
			r := send(t, (&far{}).start(t, timeout, test.act), discordURL, message(`{}`))
			if r.Permanent || !strings.Contains(r.Error, test.want) || test.want == "" && !r.OK {
				t.Errorf("%+v, want %q", r, test.want)
			}
		})
	}
}

func TestSender_RedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	for _, code := range []int{301, 302, 303, 307, 308} {
		f := &far{}
		c := f.start(t, 0, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "https://10.0.0.1"+r.URL.Path, code) })
		r := send(t, c, discordURL, message(`{}`))
		if r.OK || r.Status != code || len(f.got) != 1 || !strings.Contains(r.Error, "redirects are not followed") {
			t.Errorf("%+v, %d requests", r, len(f.got))
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
		if r := send(t, f.start(t, 0, status(200, "")), url, m); !r.OK {
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
		send(t, f.start(t, 0, status(200, "")), url, message("{"+strings.Join(fields, ",")+"}"))
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
	if r.OK || r.Status != 500 || r.Error != "-100123: telegram answered 500: Telegram refused: down" || r.Progress != `{"done":["@channel","@third"]}` {
		t.Fatalf("%+v", r)
	}
	broken = false
	m.Progress = r.Progress
	if r = send(t, c, url, m); !r.OK || len(f.got) != 4 {
		t.Errorf("%+v, %d requests", r, len(f.got))
	}
}

func TestSender_ATokenAtTheEndOfWhatIsReadIsRedacted(t *testing.T) {
	t.Parallel()
	c := (&far{}).start(t, 0, status(400, strings.Repeat("x", notify.MaxReply-12)+discordToken))
	if r := send(t, c, discordURL, message(`{}`)); strings.Contains(string(r.Reply), discordToken[:4]) || !strings.HasSuffix(string(r.Reply), "xx***") {
		t.Errorf("%s", r.Reply[len(r.Reply)-20:])
	}
}
