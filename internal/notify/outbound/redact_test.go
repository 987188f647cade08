package outbound_test

import (
	"strings"
	"testing"

	"github.com/waybill-dev/waybill/internal/notify"
	"github.com/waybill-dev/waybill/internal/notify/outbound"
)

func TestRedactor_Clean(t *testing.T) {
	t.Parallel()
	r := outbound.NewRedactor("", "prd", "abcdef/123456", "abcdef/123456-and-more", `k<se"`)
	fill := strings.Repeat(".", notify.MaxReply-6)
	for reply, want := range map[string]string{
		"":                                   "",
		"nothing of ours":                    "nothing of ours",
		"prd is too short to be one":         "prd is too short to be one",
		"got abcdef/123456!":                 "got ***!",
		`{"token":"abcdef\/123456"}`:         `{"token":"***"}`,
		"?t=abcdef%2F123456":                 "?t=***",
		"abcdef/123456-and-more":             "***",
		"abcdef/123456abcdef/123456":         "******",
		`k<se" k<se\" k\u003cse\" k%3Cse%22`: "*** *** *** ***",
		fill + "abcdef":                      fill + "***",
		fill + "...abc":                      fill + "...abc", // three bytes give nothing away
		fill + "zbcdef":                      fill + "zbcdef",
		"not cut: abcdef":                    "not cut: abcdef",
	} {
		if got := string(r.Clean([]byte(reply))); got != want {
			t.Errorf("%.60q:\n got %.60q\nwant %.60q", reply, got, want)
		}
	}
}
