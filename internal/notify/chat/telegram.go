package chat

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

const (
	telegramAPI = "https://api.telegram.org/bot"
	mostChats   = 10
)

var (
	telegramToken = regexp.MustCompile(`^[0-9]{1,20}:[A-Za-z0-9_-]{20,100}$`)
	telegramChat  = regexp.MustCompile(`^(@[A-Za-z][A-Za-z0-9_]{3,31}|-?[0-9]{1,19})(?::([0-9]{1,9}))?$`)
	anyList       = regexp.MustCompile(`^[!-~]+$`)
	parseNone     = regexp.MustCompile(`^(?i:none)$`)
)

type telegramMessage struct {
	Chat    string `json:"chat_id"`
	Thread  int    `json:"message_thread_id,omitempty"`
	Text    string `json:"text"`
	Silent  bool   `json:"disable_notification,omitempty"`
	Preview struct {
		Disabled bool `json:"is_disabled"`
	} `json:"link_preview_options"`
}

// parseTelegram reads telegram://token@telegram?chats=@name,-100123[:thread].
func parseTelegram(u *url.URL, query url.Values) (*target, error) {
	secret, _ := u.User.Password()
	token := u.User.Username() + ":" + secret
	if u.Host != "telegram" || !telegramToken.MatchString(token) || strings.Trim(u.Path, "/") != "" {
		return nil, errors.New("must be telegram://token@telegram?chats=…")
	}
	err := only(query, map[string]*regexp.Regexp{
		"chats": anyList, "channels": anyList, "preview": yesNo, "notification": yesNo, "parsemode": parseNone,
	})
	if err != nil {
		return nil, err
	}
	t := &target{
		service: service{limit: 4096, escape: telegramEscape, accepts: saysOK, explain: because("Telegram refused", "description")},
		secrets: []string{token, secret},
	}
	m := telegramMessage{Silent: isNo(query.Get("notification"))}
	m.Preview.Disabled = isNo(query.Get("preview")) || !query.Has("preview")
	chats := strings.Split(aliases(query, "chats", "channels"), ",")
	if len(chats) > mostChats || query.Has("chats") && query.Has("channels") {
		return nil, fmt.Errorf("must have one list of at most %d chats", mostChats)
	}
	seen := map[string]bool{}
	for _, chat := range chats {
		part := telegramChat.FindStringSubmatch(chat)
		if part == nil || seen[chat] {
			return nil, errors.New("must have chats=@name or chats=number, parted by commas, each once")
		}
		seen[chat] = true
		m := m
		m.Chat = part[1]
		m.Thread, _ = strconv.Atoi(part[2]) // "" is none
		t.posts = append(t.posts, post{
			name: chat, url: telegramAPI + token + "/sendMessage",
			body: func(text string) any { m := m; m.Text = text; return m },
		})
	}
	return t, nil
}

// telegramEscape parts an @ from what follows by a space without width: without a
// parse mode, names are all that Telegram acts upon.
func telegramEscape(r rune) string {
	if r == '@' {
		return "@\u200b"
	}
	return string(r)
}
