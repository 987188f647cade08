package chat

import (
	"errors"
	"net/url"
	"regexp"
	"strings"
)

const discordHook = "https://discord.com/api/webhooks/"

var discordToken = regexp.MustCompile(`^[A-Za-z0-9_-]{20,200}$`)

type discordMessage struct {
	Content  string `json:"content"`
	Username string `json:"username,omitempty"`
	Avatar   string `json:"avatar_url,omitempty"`
	Mentions struct {
		Parse []string `json:"parse"`
	} `json:"allowed_mentions"`
	Flags int `json:"flags"`
}

const suppressEmbeds = 1 << 2 // no previews of links

// parseDiscord reads discord://token@webhookid.
func parseDiscord(u *url.URL, query url.Values) (*target, error) {
	id, token := u.Host, u.User.Username()
	if _, password := u.User.Password(); password || !digits.MatchString(id) || !discordToken.MatchString(token) || u.Path != "" {
		return nil, errors.New("must be discord://token@webhookid")
	}
	err := only(query, map[string]*regexp.Regexp{"thread_id": digits, "username": anyLine, "avatar": webURL, "avatarurl": webURL})
	if err != nil {
		return nil, err
	}
	p := post{url: discordHook + id + "/" + token}
	if thread := query.Get("thread_id"); thread != "" {
		p.url += "?thread_id=" + thread
	}
	m := discordMessage{Username: query.Get("username"), Avatar: aliases(query, "avatar", "avatarurl"), Flags: suppressEmbeds}
	m.Mentions.Parse = []string{} // nobody: nil would be everybody
	p.body = func(text string) any { m := m; m.Content = text; return m }
	return &target{
		service: service{limit: 2000, escape: discordEscape},
		posts:   []post{p}, secrets: []string{token},
	}, nil
}

func discordEscape(r rune) string {
	if strings.ContainsRune("\\*_~`|>#[]()<-", r) {
		return "\\" + string(r)
	}
	return string(r)
}
