package principal

import (
	"errors"
	"net/mail"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// maxEmail is the longest address that SMTP carries, in bytes (RFC 3696, erratum 1690).
const maxEmail = 254

var errEmail = errors.New("must be a plain e-mail address, such as ada@example.com, of at most 254 bytes")

// EmailKey checks an e-mail address, given without a name or brackets, and returns
// it as addresses are compared: NFKC-normalised and case-folded, so that two which
// look alike are one user's. A key is the key of itself.
func EmailKey(email string) (string, error) {
	if !plainAddress(email) {
		return "", errEmail
	}
	key := email
	// Folding may undo the normalisation and the reverse: both are repeated until
	// nothing changes, which the second round is for nearly all.
	for range 4 {
		next := norm.NFKC.String(cases.Fold().String(norm.NFKC.String(key)))
		if next == key {
			break
		}
		key = next
	}
	// A character may fold to one that means something, such as a second @.
	if !plainAddress(key) {
		return "", errEmail
	}
	at := strings.LastIndexByte(key, '@')
	domain, err := idna.Lookup.ToASCII(key[at+1:]) // xn--… and what it stands for are one
	if err != nil {
		return "", errEmail
	}
	return key[:at+1] + domain, nil
}

func plainAddress(text string) bool {
	if len(text) > maxEmail || !utf8.ValidString(text) || strings.ContainsFunc(text, invisible) {
		return false
	}
	a, err := mail.ParseAddress(text)
	return err == nil && a.Name == "" && a.Address == text
}

// invisible says whether r is a control or format character, or no character at all.
func invisible(r rune) bool { return unicode.Is(unicode.C, r) }
