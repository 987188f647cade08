package webhook_test

import (
	"crypto/x509"
	"sync"
	"testing"

	"github.com/waybill-dev/waybill/internal/notify"
	"github.com/waybill-dev/waybill/internal/notify/notifytest"
	"github.com/waybill-dev/waybill/internal/notify/webhook"
)

func TestSender_PassesTheKit(t *testing.T) {
	t.Parallel()
	const header, query = `Bearer tök/"en-0123456789`, "q=s3cr3t/query&again"
	var mu sync.Mutex
	channels := map[*x509.CertPool]*webhook.Channel{nil: local(t)}
	of := func(roots *x509.CertPool) *webhook.Channel {
		mu.Lock()
		defer mu.Unlock()
		if channels[roots] == nil {
			channels[roots] = local(t)
			channels[roots].Trust(roots)
		}
		return channels[roots]
	}
	notifytest.HTTP(t, notifytest.Case{
		Sender: func(t testing.TB, r notifytest.Receiver) notify.Sender {
			t.Helper()
			return sender(t, of(r.Roots), r.URL+"/hook?"+query, map[string]string{"Authorization": header})
		},
		Secrets: []string{whsec, header, `tök/"en-0123456789`, "s3cr3t/query"},
	})
}
