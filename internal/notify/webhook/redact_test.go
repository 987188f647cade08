package webhook_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/waybill-dev/waybill/internal/notify"
	"github.com/waybill-dev/waybill/internal/notify/notifytest"
)

func TestSender_TakesSecretsOutOfReplies(t *testing.T) {
	t.Parallel()
	headers := map[string]string{"Authorization": "Bearer abcdef/123456", "X-Env": "prd", "X-Longer": "abcdef/123456-and-more"}
	fill := strings.Repeat(".", notify.MaxReply-6)
	for reply, want := range map[string]string{
		"":                                     "",
		"nothing of ours":                      "nothing of ours",
		"prd is too short to be a secret":      "prd is too short to be a secret",
		"got Bearer abcdef/123456!":            "got ***!",
		"got abcdef/123456!":                   "got ***!",
		`{"token":"abcdef\/123456"}`:           `{"token":"***"}`,
		"?t=abcdef%2F123456":                   "?t=***",
		"abcdef/123456-and-more":               "***",
		"abcdef/123456abcdef/123456":           "******",
		"Cannot POST /hook?key=q%2Fsecret&n=1": "Cannot POST /hook?***",
		"q/secret":                             "***",
		whsec + " " + whsec[6:]:                "*** ***",
		fill + "abcdef/123456":                 fill + "***",
		fill + "zbcdef":                        fill + "zbcdef",
	} {
		r := notifytest.Serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, reply)
		})
		got := sender(t, local(t), r.URL+"/hook?key=q%2Fsecret&n=1", headers).Send(t.Context(), notifytest.Message())
		if string(got.Reply) != want {
			t.Errorf("%.60q:\n got %.60q\nwant %.60q", reply, got.Reply, want)
		}
	}
}
