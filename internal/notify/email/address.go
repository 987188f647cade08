package email

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/mail"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/subscription"
)

// Bounds of a channel's addresses.
const (
	MostTo     = 50
	maxAddress = 254 // bytes, RFC 5321 §4.5.3.1.3 without the angle brackets
)

// checkObject returns the addresses of a channel object, or all that is wrong.
// Members are looked up by their exact names: encoding/json would take "To" too.
func checkObject(object json.RawMessage) (to []string, items []fault.Item) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(object, &members); err != nil || members == nil {
		return nil, []fault.Item{{Location: "body.channel", Message: "must be an object"}}
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		switch name {
		case "type":
			var kind subscription.Channel
			if json.Unmarshal(members[name], &kind) != nil || kind != subscription.Email {
				items = append(items, fault.Item{Location: "body.channel.type", Message: `must be "email"`})
			}
		case "to":
		default:
			items = append(items, fault.Item{Location: "body.channel." + name, Message: "is unknown: an e-mail channel has type and to"})
		}
	}
	to, mistakes := checkTo(members["to"])
	return to, append(items, mistakes...)
}

func checkTo(member json.RawMessage) (to []string, items []fault.Item) {
	var list []json.RawMessage
	if json.Unmarshal(member, &list) != nil || len(list) == 0 || len(list) > MostTo {
		return nil, []fault.Item{{Location: "body.channel.to", Message: fmt.Sprintf("must be an array of 1 to %d mail addresses", MostTo)}}
	}
	seen := make(map[string]int, len(list))
	for i, element := range list {
		address, mistake := "", "must be a string"
		if len(element) > 0 && element[0] == '"' && json.Unmarshal(element, &address) == nil {
			mistake = addressMistake(address)
		}
		if mistake == "" {
			if first, twice := seen[normal(address)]; twice {
				mistake = fmt.Sprintf("is the same address as to[%d]", first)
			}
			seen[normal(address)] = i
		}
		if mistake != "" {
			items = append(items, fault.Item{Location: fmt.Sprintf("body.channel.to[%d]", i), Message: mistake})
			continue
		}
		to = append(to, address)
	}
	return to, items
}

// domain is what follows the @. Literals such as [127.0.0.1] are not among them:
// they would send the mail server to an address of the client's choice.
var domain = regexp.MustCompile(`^[\pL\pN\pM](?:[\pL\pN\pM_-]*[\pL\pN\pM])?(?:\.[\pL\pN\pM](?:[\pL\pN\pM_-]*[\pL\pN\pM])?)*$`)

// addressMistake says what is wrong with a bare mail address, "" if nothing is.
func addressMistake(address string) string {
	if len(address) > maxAddress {
		return fmt.Sprintf("is longer than %d bytes", maxAddress)
	}
	odd := func(r rune) bool { return !unicode.IsPrint(r) || r == ' ' || r == utf8.RuneError }
	if strings.ContainsFunc(address, odd) {
		return "must not hold spaces, line breaks or control characters"
	}
	parsed, err := mail.ParseAddress(address)
	if err != nil || parsed.Name != "" || parsed.Address != address || !domain.MatchString(address[strings.LastIndexByte(address, '@')+1:]) {
		return "must be a bare mail address, such as a@example.org"
	}
	return ""
}

// normal is what two spellings of an address have in common: the domain's case
// does not matter, the rest is for the receiving server to say.
func normal(address string) string {
	at := strings.LastIndexByte(address, '@') + 1
	return address[:at] + strings.ToLower(address[at:])
}

func ascii(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf })
}
