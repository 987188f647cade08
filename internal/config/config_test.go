package config_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waybill-dev/waybill/internal/collection"
	"github.com/waybill-dev/waybill/internal/config"
)

var prefixes = cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })

func TestFromEnv_Defaults(t *testing.T) {
	t.Parallel()
	want := config.Config{
		Listen: "127.0.0.1:8080", Data: "./data", Concurrency: 4, MaxBody: 256 << 10,
		ShutdownTimeout: 20 * time.Second, LogLevel: "info", LogFormat: "text", Deliveries: 2048,
		RateAuth: collection.Rate{N: 100, Per: time.Minute}, RateLogin: collection.Rate{N: 10, Per: time.Minute},
		MaxConnections: 16384, MaxBacklog: 1_000_000, AuditRetention: 365 * 24 * time.Hour, Queues: config.Queues{"writes", "notify", "maintenance"},
		OperationKeep: 720 * time.Hour, DeliveryKeep: 720 * time.Hour,
		Retries: []time.Duration{5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 10 * time.Hour},
	}
	for name, environment := range map[string][]string{
		"nothing set":      nil,
		"others' settings": {"PATH=/bin", "WAYBILL_UNKNOWN=1", "nonsense", "HOME="},
		"set to nothing": {"WAYBILL_CONCURRENCY=", "WAYBILL_LISTEN=", "REDIS_URL=", "REDIS_URL_FILE=",
			"WAYBILL_ADMIN_KEY=", "WAYBILL_TRUSTED_PROXIES=", "WAYBILL_CORS_ORIGINS=", "WAYBILL_RATE_READS=", "WAYBILL_RATE_AUTH="},
	} {
		got, err := config.FromEnv(environment)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if d := cmp.Diff(want, got, prefixes); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}

func TestFromEnv_EverySetting(t *testing.T) {
	t.Parallel()
	got, err := config.FromEnv([]string{
		"REDIS_URL=redis://r:6379/1?a=b", "DATABASE_URL=sqlite:x", "WAYBILL_LISTEN=:80", "WAYBILL_OPS_LISTEN=:81",
		"WAYBILL_CONFIG=/etc/w.yaml", "WAYBILL_DATA=/var/w", "WAYBILL_CONCURRENCY=256", "WAYBILL_MAX_BODY=1024",
		"WAYBILL_SHUTDOWN_TIMEOUT=1m30s", "WAYBILL_SHUTDOWN_DELAY=5s", "WAYBILL_MAX_BACKLOG=7", "WAYBILL_LOG_LEVEL=debug", "WAYBILL_LOG_FORMAT=json",
		"WAYBILL_DELIVERY_CONCURRENCY=7", "WAYBILL_SECRET=" + strings.Repeat("s", 32), "WAYBILL_PUBLIC_URL=https://w.example/x",
		"WAYBILL_WEBHOOK_RETRIES=1s,2m", "WAYBILL_WEBHOOK_ALLOW_CIDRS=10.0.0.0/8,::1/128", "WAYBILL_WEBHOOK_HTTPS_ONLY=true",
		"WAYBILL_WEBHOOK_PROXY=http://u:p@proxy:3128", "SMTP_URL=smtp://mail:25", "SMTP_FROM=w@example.com",
		"WAYBILL_ADMIN_KEY=" + key, "WAYBILL_REGISTRATION=closed", "WAYBILL_TOKEN_KEYS=any:thing", "WAYBILL_TRUSTED_PROXIES=10.0.0.0/8, ::1,192.0.2.1",
		"WAYBILL_CORS_ORIGINS=https://app.example,http://localhost:3000,https://[::1]:8443,https://xn--bcher-kva.example", "WAYBILL_RATE_READS=100/s", "WAYBILL_RATE_WRITES=5/m",
		"WAYBILL_RATE_AUTH=7/h", "WAYBILL_RATE_LOGIN=1/s", "WAYBILL_MAX_CONNECTIONS=1000000", "WAYBILL_AUDIT_RETENTION=1h", "WAYBILL_OPERATION_RETENTION=25h", "WAYBILL_DELIVERY_RETENTION=1h", "WAYBILL_PROMETHEUS_URL=http://p:9090",
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318", "OTEL_SERVICE_NAME=writes",
		"WAYBILL_QUEUES=notify, writes,notify", "WAYBILL_REDIS_WAIT=2",
	})
	if err != nil {
		t.Fatal(err)
	}
	want := config.Config{
		RedisURL: "redis://r:6379/1?a=b", DatabaseURL: "sqlite:x", Listen: ":80", OpsListen: ":81", File: "/etc/w.yaml", Data: "/var/w",
		Concurrency: 256, MaxBody: 1024, ShutdownTimeout: 90 * time.Second, ShutdownDelay: 5 * time.Second, MaxBacklog: 7, LogLevel: "debug", LogFormat: "json",
		Deliveries: 7, Secret: strings.Repeat("s", 32), PublicURL: "https://w.example/x", Retries: []time.Duration{time.Second, 2 * time.Minute},
		AllowCIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}, HTTPSOnly: true,
		Proxy: "http://u:p@proxy:3128", SMTPURL: "smtp://mail:25", SMTPFrom: "w@example.com",
		AdminKey: key, Registration: config.Closed, TokenKeys: "any:thing",
		TrustedProxies: config.Networks{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128"), netip.MustParsePrefix("192.0.2.1/32")},
		CORSOrigins:    []string{"https://app.example", "http://localhost:3000", "https://[::1]:8443", "https://xn--bcher-kva.example"},
		RateReads:      collection.Rate{N: 100, Per: time.Second}, RateWrites: collection.Rate{N: 5, Per: time.Minute},
		RateAuth: collection.Rate{N: 7, Per: time.Hour}, RateLogin: collection.Rate{N: 1, Per: time.Second},
		MaxConnections: 1_000_000, AuditRetention: time.Hour, OperationKeep: 25 * time.Hour, DeliveryKeep: time.Hour, PrometheusURL: "http://p:9090",
		OTLPEndpoint: "http://c:4318", ServiceName: "writes",
		Queues: config.Queues{"notify", "writes"}, RedisWait: 2,
	}
	if d := cmp.Diff(want, got, prefixes); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[config.Config]()) {
		if reflect.ValueOf(want).FieldByIndex(f.Index).IsZero() {
			t.Errorf("%s is not tried here", f.Name)
		}
	}
}

func TestFromEnv_RefusesBadValuesByTheirName(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{
		"WAYBILL_CONCURRENCY=0", "WAYBILL_CONCURRENCY=257", "WAYBILL_CONCURRENCY=many", "WAYBILL_CONCURRENCY=-1", "WAYBILL_CONCURRENCY=1.5",
		"WAYBILL_MAX_BODY=1023", "WAYBILL_MAX_BODY=16777217", "WAYBILL_MAX_BODY=1MB",
		"WAYBILL_SHUTDOWN_TIMEOUT=999ms", "WAYBILL_SHUTDOWN_TIMEOUT=20", "WAYBILL_SHUTDOWN_TIMEOUT=-5s", "WAYBILL_SHUTDOWN_DELAY=-1s", "WAYBILL_SHUTDOWN_DELAY=11s", "WAYBILL_MAX_BACKLOG=-1", "WAYBILL_MAX_BACKLOG=1000000001",
		"WAYBILL_DELIVERY_CONCURRENCY=0", "WAYBILL_SECRET=short", "WAYBILL_PUBLIC_URL=w.example", "WAYBILL_PUBLIC_URL=https://u:p@w.example",
		"WAYBILL_WEBHOOK_RETRIES=5", "WAYBILL_WEBHOOK_RETRIES=5s,0s", "WAYBILL_WEBHOOK_RETRIES=-1s", "WAYBILL_WEBHOOK_RETRIES=169h", "WAYBILL_WEBHOOK_RETRIES=5s,,5s",
		"WAYBILL_WEBHOOK_ALLOW_CIDRS=10.0.0.0", "WAYBILL_WEBHOOK_HTTPS_ONLY=perhaps", "WAYBILL_WEBHOOK_PROXY=socks5://x:1", "SMTP_URL=smtp://mail",
		"WAYBILL_REGISTRATION=OPEN", "WAYBILL_REGISTRATION=yes", "WAYBILL_MAX_CONNECTIONS=-1", "WAYBILL_MAX_CONNECTIONS=1000001", "WAYBILL_MAX_CONNECTIONS=many",
		"WAYBILL_TRUSTED_PROXIES=proxy", "WAYBILL_TRUSTED_PROXIES=10.0.0.0/33", "WAYBILL_TRUSTED_PROXIES=10.0.0.1,,10.0.0.2", "WAYBILL_TRUSTED_PROXIES=::ffff:10.0.0.1",
		"WAYBILL_TRUSTED_PROXIES=::ffff:10.0.0.0/104", "WAYBILL_TRUSTED_PROXIES=fe80::1%eth0", "WAYBILL_TRUSTED_PROXIES=*",
		"WAYBILL_CORS_ORIGINS=*", "WAYBILL_CORS_ORIGINS=null", "WAYBILL_CORS_ORIGINS=app.example", "WAYBILL_CORS_ORIGINS=https://*.example", "WAYBILL_CORS_ORIGINS=https://app.example/",
		"WAYBILL_CORS_ORIGINS=https://App.example", "WAYBILL_CORS_ORIGINS=https://app.example:443", "WAYBILL_CORS_ORIGINS=http://app.example:80", "WAYBILL_CORS_ORIGINS=http://app.example:",
		"WAYBILL_CORS_ORIGINS=https://u@app.example", "WAYBILL_CORS_ORIGINS=https://app.example?a", "WAYBILL_CORS_ORIGINS=https://a.example, https://b.example", "WAYBILL_CORS_ORIGINS=https://bücher.example",
		"WAYBILL_CORS_ORIGINS=https://app.example#", "WAYBILL_CORS_ORIGINS=https://a b.example", "WAYBILL_CORS_ORIGINS=https://app.example:x", "WAYBILL_CORS_ORIGINS=ftp://app.example", "WAYBILL_CORS_ORIGINS=https://a.example,",
		"WAYBILL_RATE_READS=100", "WAYBILL_RATE_WRITES=0/s", "WAYBILL_RATE_AUTH=-1/m", "WAYBILL_RATE_LOGIN=10/d", "WAYBILL_AUDIT_RETENTION=59m", "WAYBILL_AUDIT_RETENTION=-1h", "WAYBILL_AUDIT_RETENTION=365",
		"WAYBILL_OPERATION_RETENTION=24h", "WAYBILL_OPERATION_RETENTION=-48h", "WAYBILL_DELIVERY_RETENTION=59m",
		"WAYBILL_QUEUES=write", "WAYBILL_QUEUES=writes,,notify", "WAYBILL_QUEUES=Writes", "WAYBILL_QUEUES=,", "WAYBILL_REDIS_WAIT=-1", "WAYBILL_REDIS_WAIT=17",
		"WAYBILL_PROMETHEUS_URL=prometheus:9090", "WAYBILL_PROMETHEUS_URL=ftp://p", "WAYBILL_PROMETHEUS_URL=http://",
		"OTEL_EXPORTER_OTLP_ENDPOINT=collector:4318",
	} {
		_, err := config.FromEnv([]string{bad})
		name, _, _ := strings.Cut(bad, "=")
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: error %v, want one that names %s", bad, err, name)
		}
	}
	_, err := config.FromEnv([]string{"WAYBILL_CONCURRENCY=0", "WAYBILL_MAX_BODY=1"})
	if err == nil || !strings.Contains(err.Error(), "WAYBILL_CONCURRENCY") || !strings.Contains(err.Error(), "WAYBILL_MAX_BODY") {
		t.Errorf("error %v, want both in it", err)
	}
}

// key is a good WAYBILL_ADMIN_KEY.
var key = "wb_first1_" + strings.Repeat("s_-~!", 7)

func TestFromEnv_RefusesBadAdminKeysWithoutShowingThem(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("hidden", 6)
	for _, bad := range []string{
		long, "wb_" + long, "wb__" + long, "WB_a_" + long, "wb_a-b_" + long, "wb_" + strings.Repeat("a", 33) + "_" + long, "wb_é_" + long,
		"wb_a_hidden", "wb_a_" + long[:31], "wb_a_" + long + " x", "wb_a_" + long + "é", "wb_a_" + long + "\n", " wb_a_" + long, "wb_a_" + long + "\x7f",
	} {
		_, err := config.FromEnv([]string{"WAYBILL_ADMIN_KEY=" + bad})
		if err == nil || !strings.Contains(err.Error(), "WAYBILL_ADMIN_KEY") || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%q: error %v, want one that names the setting and shows no secret", bad, err)
		}
	}
	for _, good := range []string{key, "wb_a_" + long[:32], "wb_" + strings.Repeat("A", 32) + "_" + long} {
		if c, err := config.FromEnv([]string{"WAYBILL_ADMIN_KEY=" + good}); err != nil || c.AdminKey != good {
			t.Errorf("%q: %v", good, err)
		}
	}
}

func TestFromEnv_NoLimitsAndForEver(t *testing.T) {
	t.Parallel()
	c, err := config.FromEnv([]string{"WAYBILL_MAX_CONNECTIONS=0", "WAYBILL_AUDIT_RETENTION=0", "WAYBILL_OPERATION_RETENTION=0", "WAYBILL_DELIVERY_RETENTION=0"})
	if err != nil || c.MaxConnections != 0 || c.AuditRetention != 0 || c.OperationKeep != 0 || c.DeliveryKeep != 0 {
		t.Errorf("%d connections, audit for %v, %v", c.MaxConnections, c.AuditRetention, err)
	}
}

func TestFromEnv_SecretsFromFiles(t *testing.T) {
	t.Parallel()
	file := func(content string) string {
		path := filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	c, err := config.FromEnv([]string{"REDIS_URL_FILE=" + file("redis://:p@r:6379\n"), "DATABASE_URL_FILE=" + file("sqlite:x"), "REDIS_URL="})
	if err != nil || c.RedisURL != "redis://:p@r:6379" || c.DatabaseURL != "sqlite:x" {
		t.Errorf("REDIS_URL %q, DATABASE_URL %q, error %v", c.RedisURL, c.DatabaseURL, err)
	}
	for name, environment := range map[string][]string{
		"both set":      {"REDIS_URL=redis://:hidden@r", "REDIS_URL_FILE=" + file("redis://:hidden@r")},
		"no such file":  {"REDIS_URL_FILE=" + filepath.Join(t.TempDir(), "none")},
		"a directory":   {"REDIS_URL_FILE=" + t.TempDir()},
		"both, of this": {"DATABASE_URL=postgres://u:hidden@h/d", "DATABASE_URL_FILE=" + file("x")},
	} {
		_, err := config.FromEnv(environment)
		if err == nil || !strings.Contains(err.Error(), "_URL_FILE") || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%s: error %v, want one that names the setting and shows no secret", name, err)
		}
	}
	c, err = config.FromEnv([]string{"WAYBILL_LISTEN_FILE=" + file(":1")}) // no secret, so no file
	if err != nil || c.Listen != "127.0.0.1:8080" {
		t.Errorf("WAYBILL_LISTEN %q, error %v", c.Listen, err)
	}
}

const custom = "collections:\n  orders: {schema: {type: object}}\n"

// Not parallel: where waybill.yaml is looked for is a matter of the whole process.
func TestCollections_OfTheFileNamedElseOfTheOneHereElseBuiltIn(t *testing.T) {
	names := func(c config.Config) string {
		t.Helper()
		set, err := c.Collections()
		if err != nil {
			return err.Error()
		}
		var all []string
		for _, one := range set.All() {
			all = append(all, one.Name)
		}
		return strings.Join(all, " ")
	}
	t.Chdir(t.TempDir())
	if got := names(config.Config{}); got != "messages todos" {
		t.Errorf("without a file: %s", got)
	}
	if got := names(config.Config{File: "none.yaml"}); !strings.Contains(got, "none.yaml") {
		t.Errorf("a file that is named and not there: %s", got)
	}
	if err := os.WriteFile("other.yaml", []byte(custom), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := names(config.Config{File: "other.yaml"}); got != "orders" {
		t.Errorf("of the file named: %s", got)
	}
	if err := os.Rename("other.yaml", "waybill.yaml"); err != nil {
		t.Fatal(err)
	}
	if got := names(config.Config{}); got != "orders" {
		t.Errorf("of waybill.yaml: %s", got)
	}
	if err := os.WriteFile("waybill.yaml", []byte("colections: {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := names(config.Config{}); !strings.Contains(got, "waybill.yaml") || !strings.Contains(got, "colections") {
		t.Errorf("a waybill.yaml with a mistake: %s", got)
	}
	if err := os.Remove("waybill.yaml"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir("waybill.yaml", 0o700); err != nil {
		t.Fatal(err)
	}
	if got := names(config.Config{}); !strings.Contains(got, "waybill.yaml") {
		t.Errorf("a waybill.yaml that cannot be read: %s", got)
	}
}
