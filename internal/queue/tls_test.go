package queue

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/waybill-dev/waybill/internal/testenv"
)

func TestConnect_SpeaksTLSWithItsOwnCertificate(t *testing.T) {
	t.Parallel()
	server := testenv.NewTLSRedis(t)
	c := server.Certificates()
	whole := server.URL() + "?tls_ca=" + c.CA + "&tls_cert=" + c.Cert + "&tls_key=" + c.Key
	for url, taken := range map[string]bool{
		whole:                            true,
		server.URL() + "?tls_ca=" + c.CA: false, // the server asks for a certificate
		strings.Replace(whole, c.CA, "/etc/hostname", 1):    false,
		strings.Replace(whole, "127.0.0.1", "localhost", 1): false, // not the certificate's name
		"redis://" + server.Addr():                          false,
	} {
		rc, err := Connect(url)
		if err == nil {
			err = rc.Ping(t.Context()).Err()
			_ = rc.Close()
		}
		if (err == nil) != taken {
			t.Errorf("%s: %v, want taken: %t", url, err, taken)
		}
	}
}

func TestConnect_HoldsEachHostToItsOwnName(t *testing.T) {
	t.Parallel()
	a, err := parseAddress("rediss-sentinel://a,b?master=m")
	must(t, err)
	o, err := sentinelOptions(a)
	must(t, err)
	(&identity{anyHost: true}).complete(o.TLSConfig)
	if o.TLSConfig == nil || o.TLSConfig.ServerName != "" {
		t.Errorf("sentinels: %+v", o.TLSConfig)
	}
	cluster := connect(t, "rediss-cluster://a,b").(*redis.ClusterClient).Options().TLSConfig
	if cluster == nil || cluster.ServerName != "" {
		t.Errorf("cluster: %+v", cluster)
	}
}

func TestConnect_NamesTheMistakeInCertificates(t *testing.T) {
	t.Parallel()
	empty := filepath.Join(t.TempDir(), "empty.pem")
	must(t, os.WriteFile(empty, nil, 0o600))
	for url, want := range map[string]string{
		"redis://h?tls_ca=/x":                            "rediss://",
		"redis-cluster://h?tls_cert=/x&tls_key=/y":       "rediss://",
		"rediss://u:secret@h?tls_ca=/none.pem":           "tls_ca: open /none.pem",
		"rediss://h?tls_ca=" + empty:                     "no certificate in",
		"rediss://h?tls_cert=/x":                         "go together",
		"rediss://h?tls_key=/x":                          "go together",
		"rediss://u:secret@h?tls_cert=/none&tls_key=/no": "tls_cert and tls_key: open /none",
	} {
		_, err := Connect(url)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v, want %q and no password", url, err, want)
		}
	}
}
