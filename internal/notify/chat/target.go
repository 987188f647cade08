package chat

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// maxURL is the longest URL of a chat, in bytes.
const maxURL = 2048

// target is what a URL of a chat means.
type target struct {
	service service
	posts   []post
	secrets []string // what of the URL no result may show
}

// post is one request: Telegram has one for each of its chats.
type post struct {
	name   string // what tells it from the target's others; no secret
	url    string
	header http.Header // nil: none but the usual ones
	body   func(text string) any
}

// service is how one of them takes messages and answers.
type service struct {
	limit  int                 // of a message, in UTF-16 units
	escape func(r rune) string // of its markup; an escape is never cut in two
	// accepts says whether a 2xx with this body is success; nil: always. whole is
	// false if the body broke off.
	accepts func(reply []byte, whole bool) bool
	explain func(reply []byte) string // why the service refused, "" if it does not say; nil: it never does
}

// parse reads a URL of a chat. Its errors say what is wrong and quote nothing of
// it but names of parameters: all the rest may be secret.
func parse(raw string) (*target, error) {
	if len(raw) > maxURL {
		return nil, fmt.Errorf("is longer than %d bytes", maxURL)
	}
	u, err := url.Parse(raw)
	if err != nil || u.Opaque != "" || u.Fragment != "" || strings.Contains(raw, "#") {
		return nil, errors.New("is not a URL")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, errors.New("has parameters that cannot be read")
	}
	if u.Port() != "" && u.Scheme != "teams+https" {
		return nil, errors.New("must not have a port")
	}
	switch u.Scheme {
	case "slack":
		return parseSlack(u, query)
	case "discord":
		return parseDiscord(u, query)
	case "telegram":
		return parseTelegram(u, query)
	case "teams":
		return parseTeams(u, query)
	case "teams+https":
		return parseTeamsURL(u)
	}
	return nil, errors.New("must begin with slack://, discord://, telegram://, teams:// or teams+https://")
}

// only refuses parameters that are unknown, empty or given twice. Each of those
// given is one of its names and what it must look like.
func only(query url.Values, known map[string]*regexp.Regexp) error {
	for name, values := range query {
		form, ok := known[name]
		if !ok {
			return fmt.Errorf("has an unknown parameter %q", name)
		}
		if len(values) != 1 || !form.MatchString(values[0]) {
			return fmt.Errorf("has a parameter %q that is not well-formed, or twice", name)
		}
	}
	return nil
}

// aliases returns the value of a parameter that has more than one name.
func aliases(query url.Values, names ...string) string {
	i := slices.IndexFunc(names, query.Has)
	if i < 0 {
		return ""
	}
	return query.Get(names[i])
}

// Forms of parameters.
var (
	anyLine = regexp.MustCompile(`^[^\pC]{1,80}$`)
	webURL  = regexp.MustCompile(`^https://[!-~]{1,500}$`)
	yesNo   = regexp.MustCompile(`^(?i:yes|no|true|false|1|0)$`)
	digits  = regexp.MustCompile(`^[0-9]{5,20}$`)
)

func isNo(value string) bool {
	return slices.Contains([]string{"no", "false", "0"}, strings.ToLower(value))
}
