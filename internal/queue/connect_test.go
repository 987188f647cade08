package queue

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

func TestConnect_ReadsURLs(t *testing.T) {
	t.Parallel()
	cases := []struct {
		url  string
		want redis.Options
	}{
		{"redis://localhost", redis.Options{Network: "tcp", Addr: "localhost:6379"}},
		{"redis://h:1/3", redis.Options{Network: "tcp", Addr: "h:1", DB: 3}},
		{"redis://[::1]:7/2", redis.Options{Network: "tcp", Addr: "[::1]:7", DB: 2}},
		{"redis://u:p%40%2F@h", redis.Options{Network: "tcp", Addr: "h:6379", Username: "u", Password: "p@/"}},
		{"redis://:p@h", redis.Options{Network: "tcp", Addr: "h:6379", Password: "p"}},
		{"unix://u:p@/run/redis.sock?db=4", redis.Options{Network: "unix", Addr: "/run/redis.sock", Username: "u", Password: "p", DB: 4}},
		{"unix:///run/redis.sock", redis.Options{Network: "unix", Addr: "/run/redis.sock"}},
	}
	for _, c := range cases {
		got := connect(t, c.url).(*redis.Client).Options()
		if got.Network != c.want.Network || got.Addr != c.want.Addr || got.DB != c.want.DB ||
			got.Username != c.want.Username || got.Password != c.want.Password {
			t.Errorf("%s: got %s %s db %d user %q password %q", c.url, got.Network, got.Addr, got.DB, got.Username, got.Password)
		}
		if !got.ContextTimeoutEnabled || got.MaxRetries != 0 || got.ReadTimeout != ioTimeout || got.DialTimeout != dialTimeout {
			t.Errorf("%s: deadlines %v, retries %d, read %v, dial %v", c.url,
				got.ContextTimeoutEnabled, got.MaxRetries, got.ReadTimeout, got.DialTimeout)
		}
	}
	tls := connect(t, "rediss://h").(*redis.Client).Options()
	if tls.TLSConfig == nil || tls.TLSConfig.ServerName != "h" {
		t.Error("rediss:// is not TLS")
	}
	if got := connect(t, "redis://h?read_timeout=7s&pool_size=3").(*redis.Client).Options(); got.ReadTimeout != 7*time.Second || got.PoolSize != 3 {
		t.Errorf("query ignored: %v, %d", got.ReadTimeout, got.PoolSize)
	}
}

func TestConnect_ReadsSentinelURLs(t *testing.T) {
	t.Parallel()
	cases := []struct {
		url  string
		want redis.FailoverOptions
	}{
		{"redis-sentinel://u:p@a,b:7/2?master=m", redis.FailoverOptions{
			MasterName: "m", SentinelAddrs: []string{"a:26379", "b:7"}, DB: 2,
			SentinelUsername: "u", SentinelPassword: "p", Username: "u", Password: "p"}},
		{"redis-sentinel://:p@a?master_name=m&username=u&password=q%2F", redis.FailoverOptions{
			MasterName: "m", SentinelAddrs: []string{"a:26379"},
			SentinelPassword: "p", Username: "u", Password: "q/"}},
		{"redis-sentinel://[::1]:7,b?master=m&password=q", redis.FailoverOptions{
			MasterName: "m", SentinelAddrs: []string{"[::1]:7", "b:26379"}, Password: "q"}},
	}
	for _, c := range cases {
		a, err := parseAddress(c.url)
		must(t, err)
		got, err := sentinelOptions(a)
		must(t, err)
		if got.MasterName != c.want.MasterName || !slices.Equal(got.SentinelAddrs, c.want.SentinelAddrs) || got.DB != c.want.DB ||
			got.SentinelUsername != c.want.SentinelUsername || got.SentinelPassword != c.want.SentinelPassword ||
			got.Username != c.want.Username || got.Password != c.want.Password {
			t.Errorf("%s: got %+v", c.url, got)
		}
		if !got.ContextTimeoutEnabled || got.MaxRetries != -1 {
			t.Errorf("%s: deadlines %v, retries %d", c.url, got.ContextTimeoutEnabled, got.MaxRetries)
		}
	}
	connect(t, cases[0].url)
}

func TestConnect_ReadsClusterURLs(t *testing.T) {
	t.Parallel()
	got := connect(t, "redis-cluster://u:p@a:1,b").(*redis.ClusterClient).Options()
	if !slices.Equal(got.Addrs, []string{"a:1", "b:6379"}) || got.Username != "u" || got.Password != "p" || !got.ContextTimeoutEnabled {
		t.Errorf("got %v %q %q %v", got.Addrs, got.Username, got.Password, got.ContextTimeoutEnabled)
	}
}

func TestConnect_NamesTheMistakeWithoutThePassword(t *testing.T) {
	t.Parallel()
	cases := []struct{ url, want string }{
		{"", "must begin with"},
		{"localhost:6379", "must begin with"},
		{"http://u:secret@h", "must begin with"},
		{"redis-foo://u:secret@h", "must begin with"},
		{"redis://u:secret@", "host is missing"},
		{"redis://u:secret@h:x", "host is missing or malformed"},
		{"redis://u:secret@h:99999", "port"},
		{"redis://u:secret@h/x", "database number"},
		{"redis://u:secret@h/-1", "database number"},
		{"redis://u:secret@a,b", "several hosts"},
		{"redis://u:secret/more@h", "percent-encoded"},
		{"redis://u:12/secret@h", "percent-encoded"},
		{"redis://u:12?secret@h", "percent-encoded"},
		{"redis://u:secret#more@h", "percent-encoded"},
		{"redis://u:secret%zz@h", "percent-encoded"},
		{"redis://u:sec ret@h", "percent-encoded"},
		{"redis://u:secret@h?foo=1", "foo"},
		{"redis://u:secret@h?pool_size=x", "pool_size"},
		{"unix://u:secret@", "empty unix socket path"},
		{"redis-sentinel://u:secret@h", "master"},
		{"redis-sentinel://u:secret@h/x?master=m", "database number"},
		{"redis-cluster://u:secret@h/1", "database 0"},
	}
	for _, c := range cases {
		_, err := Connect(c.url)
		if err == nil {
			t.Errorf("%s: no error", c.url)
			continue
		}
		if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %q does not say %q", c.url, err, c.want)
		}
		if strings.Contains(err.Error(), "sec") {
			t.Errorf("%s: %q shows the password", c.url, err)
		}
	}
}
