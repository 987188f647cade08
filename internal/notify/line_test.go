package notify_test

import (
	"strings"
	"testing"

	"github.com/waybill-dev/waybill/internal/notify"
)

func TestLine(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                       "",
		" \r\n ":                 "",
		"\u202e abc \x00":        "abc",
		"a\r\nb\u2028c\x1b[1m":   "a  b c [1m",
		"a\xffb":                 "a\ufffdb",
		strings.Repeat("ü", 10):  strings.Repeat("ü", 10),
		strings.Repeat("ü", 11):  strings.Repeat("ü", 9) + "…",
		"0123456789\n":           "0123456789",
		strings.Repeat("\n", 50): "",
	} {
		if got := notify.Line(text, 10); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
