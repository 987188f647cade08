package chat

import (
	"bytes"
	"errors"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

var (
	// The domains below which Microsoft gives out names for webhooks: connectors, and
	// workflows old and new.
	teamsHost = regexp.MustCompile(`^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+(?:webhook\.office\.com|logic\.azure\.com|environment\.api\.powerplatform\.com)$`)
	teamsPath = regexp.MustCompile(`^(?:/[A-Za-z0-9_.@%~-]+)+/?$`)
	teamsUUID = regexp.MustCompile(`^[0-9a-f-]{36}$`)
	teamsHash = regexp.MustCompile(`^[0-9a-f]{32}$`)
	teamsLast = regexp.MustCompile(`^[A-Za-z0-9_.~-]{1,200}$`)
)

type teamsMessage struct {
	Type        string            `json:"type"`
	Attachments []teamsAttachment `json:"attachments"`
}

type teamsAttachment struct {
	ContentType string    `json:"contentType"`
	Content     teamsCard `json:"content"`
}

type teamsCard struct {
	Schema  string       `json:"$schema"`
	Type    string       `json:"type"`
	Version string       `json:"version"`
	Body    []teamsBlock `json:"body"`
}

type teamsBlock struct {
	Type    string     `json:"type"`
	Inlines []teamsRun `json:"inlines"`
}

type teamsRun struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

// parseTeams reads shoutrrr's teams://group@tenant/altid/owner/extra?host=…, and
// the form of its later versions, teams://?host=https%3A%2F%2F….
func parseTeams(u *url.URL, query url.Values) (*target, error) {
	if err := only(query, map[string]*regexp.Regexp{"host": anyList}); err != nil {
		return nil, err
	}
	if whole := query.Get("host"); u.User == nil && u.Host == "" && u.Path == "" && strings.HasPrefix(whole, "https://") {
		hook, err := url.Parse(whole)
		if err != nil || strings.Contains(whole, "#") {
			return nil, errors.New("must have a webhook's URL as its host")
		}
		return parseTeamsURL(hook)
	}
	path := strings.Split(strings.Trim(u.Path, "/"), "/")
	group, tenant := u.User.Username(), u.Host
	_, password := u.User.Password()
	if password || len(path) != 3 || !teamsUUID.MatchString(group) || !teamsUUID.MatchString(tenant) || !teamsHash.MatchString(path[0]) ||
		!teamsUUID.MatchString(path[1]) || !teamsLast.MatchString(path[2]) {
		return nil, errors.New("must be teams://group@tenant/altid/owner/extra?host=…")
	}
	host := strings.ToLower(query.Get("host"))
	if !teamsDomain(host) || !strings.HasSuffix(host, ".webhook.office.com") {
		return nil, errors.New("must have host=….webhook.office.com")
	}
	hook := "https://" + host + "/webhookb2/" + group + "@" + tenant + "/IncomingWebhook/" + path[0] + "/" + path[1] + "/" + path[2]
	return teamsTarget(hook, append(path, group)), nil
}

// parseTeamsURL reads teams+https://…, a webhook's URL as Teams shows it: the only
// form that workflows have.
func parseTeamsURL(u *url.URL) (*target, error) {
	host := strings.ToLower(u.Hostname())
	if u.User != nil || !teamsDomain(host) || u.Port() != "" && u.Port() != "443" {
		return nil, errors.New("must be a webhook below webhook.office.com, logic.azure.com or environment.api.powerplatform.com")
	}
	if !teamsPath.MatchString(u.EscapedPath()) || u.RawQuery != "" && !anyList.MatchString(u.RawQuery) {
		return nil, errors.New("must have the path of a webhook")
	}
	hook := url.URL{Scheme: "https", Host: host, Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery}
	short := func(part string) bool { return len(part) < 16 } // "workflows" and the like
	secrets := slices.DeleteFunc(strings.Split(u.Path, "/"), short)
	if sig := u.Query().Get("sig"); sig != "" {
		secrets = append(secrets, sig)
	}
	return teamsTarget(hook.String(), secrets), nil
}

func teamsDomain(host string) bool { return len(host) <= 253 && teamsHost.MatchString(host) }

func teamsTarget(hook string, secrets []string) *target {
	return &target{
		service: service{limit: 10_000, escape: func(r rune) string { return string(r) }, accepts: teamsAccepts, explain: teamsExplain},
		posts:   []post{{url: hook, body: teamsBody}}, secrets: secrets,
	}
}

// teamsBody is an adaptive card of one block a line. Text runs know no markup, so
// nothing needs an escape.
func teamsBody(text string) any {
	card := teamsCard{Schema: "http://adaptivecards.io/schemas/adaptive-card.json", Type: "AdaptiveCard", Version: "1.4"}
	for line := range strings.Lines(text) {
		card.Body = append(card.Body, teamsBlock{"RichTextBlock", []teamsRun{{"TextRun", strings.TrimRight(line, "\n")}}})
	}
	return teamsMessage{"message", []teamsAttachment{{"application/vnd.microsoft.card.adaptive", card}}}
}

// teamsAccepts: connectors answer 200 with a sentence where Teams refused.
func teamsAccepts(reply []byte, whole bool) bool { return whole && teamsExplain(reply) == "" }

func teamsExplain(reply []byte) string {
	if bytes.Contains(bytes.ToLower(reply), []byte("delivery failed")) {
		return "Teams refused"
	}
	return ""
}
