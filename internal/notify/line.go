package notify

import (
	"strings"
	"unicode"
)

// Line returns text on one line, at most a number of characters of it: for people
// to read. What is no character to see becomes a space.
func Line(text string, most int) string {
	text = strings.TrimSpace(text)
	var b strings.Builder
	n, end := 0, 0 // end is where b is cut if it goes on
	for _, r := range text {
		if n++; n == most {
			end = b.Len()
		}
		if n > most {
			return b.String()[:end] + "…"
		}
		if !unicode.IsPrint(r) {
			r = ' '
		}
		b.WriteRune(r)
	}
	return strings.TrimSpace(b.String())
}
