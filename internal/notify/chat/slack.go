package chat

import (
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// The fixed addresses of Slack.
const (
	slackHook = "https://hooks.slack.com/services/"
	slackAPI  = "https://slack.com/api/chat.postMessage"
)

var (
	slackToken   = regexp.MustCompile(`^(?:(xox[a-z]|hook)[-:])?([A-Z0-9]{9,})([-/,])([A-Z0-9]{9,})([-/,])([A-Za-z0-9]{24,})$`)
	slackChannel = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,79}$`)
	slackThread  = regexp.MustCompile(`^[0-9]{1,12}\.[0-9]{1,9}$`)
	slackIcon    = regexp.MustCompile(`^(?::?[a-z0-9_+'-]{1,60}:?|https://[!-~]{1,500})$`)
)

type slackMessage struct {
	Channel     string `json:"channel,omitempty"`
	Text        string `json:"text"`
	Username    string `json:"username,omitempty"`
	IconEmoji   string `json:"icon_emoji,omitempty"`
	IconURL     string `json:"icon_url,omitempty"`
	ThreadTS    string `json:"thread_ts,omitempty"`
	Markdown    bool   `json:"mrkdwn"`
	LinkNames   bool   `json:"link_names"`
	UnfurlLinks bool   `json:"unfurl_links"`
	UnfurlMedia bool   `json:"unfurl_media"`
}

// parseSlack reads slack://hook:T-B-X@webhook, slack://xoxb:1-2-X@channel, and the
// old slack://[botname@]T/B/X.
func parseSlack(u *url.URL, query url.Values) (*target, error) {
	raw, channel, bot := u.User.String(), u.Hostname(), ""
	_, password := u.User.Password()
	old := strings.Trim(u.Path, "/") != ""
	if old {
		raw, channel, bot = u.Host+u.Path, "webhook", u.User.Username()
	}
	part := slackToken.FindStringSubmatch(raw)
	if part == nil || part[3] != part[5] || old && password {
		return nil, errors.New("must be slack://hook:T…-B…-X…@webhook or slack://xoxb:…-…-…@channel")
	}
	if !slackChannel.MatchString(channel) || bot != "" && !anyLine.MatchString(bot) {
		return nil, errors.New("has a channel or a bot's name that is not well-formed")
	}
	err := only(query, map[string]*regexp.Regexp{
		"botname": anyLine, "username": anyLine, "icon": slackIcon, "icon_emoji": slackIcon, "icon_url": webURL, "thread_ts": slackThread,
	})
	if err != nil {
		return nil, err
	}
	kind, one, two, three := part[1], part[2], part[4], part[6]
	m := slackMessage{Username: bot, ThreadTS: query.Get("thread_ts")}
	if name := aliases(query, "botname", "username"); name != "" {
		m.Username = name
	}
	if icon := aliases(query, "icon", "icon_emoji", "icon_url"); strings.HasPrefix(icon, "https://") {
		m.IconURL = icon
	} else {
		m.IconEmoji = icon
	}
	s := service{limit: 4000, escape: slackEscape}
	p := post{}
	switch {
	case kind != "" && kind != "hook":
		p.url, m.Channel = slackAPI, channel
		s.accepts, s.explain = saysOK, because("Slack refused", "error")
		p.header = http.Header{"Authorization": {"Bearer " + kind + "-" + one + "-" + two + "-" + three}}
	case channel != "webhook":
		return nil, errors.New("must have webhook as its channel: where a webhook writes is set in Slack")
	default:
		p.url = slackHook + one + "/" + two + "/" + three
	}
	p.body = func(text string) any { m := m; m.Text = text; return m }
	return &target{service: s, posts: []post{p}, secrets: []string{one, two, three}}, nil
}

// slackEscape also takes <!channel> its force: all that Slack acts upon begins
// with <.
func slackEscape(r rune) string {
	switch r {
	case '&':
		return "&amp;"
	case '<':
		return "&lt;"
	case '>':
		return "&gt;"
	}
	return string(r)
}
