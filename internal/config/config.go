// Package config reads the settings of a process from its environment, and the
// collections from waybill.yaml. It validates; what the settings mean is decided
// where they are used.
package config

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"

	"github.com/waybill-dev/waybill/internal/collection"
	"github.com/waybill-dev/waybill/internal/secret"
)

// Config is the environment of a process. Fields with a secret may be given by
// file: NAME_FILE names a file that holds the value of NAME.
type Config struct {
	RedisURL        string          `env:"REDIS_URL" secret:"true" doc:"Redis, which holds the queue: redis://, rediss://, unix://, redis-sentinel:// or redis-cluster://. Required by api and worker."`
	DatabaseURL     string          `env:"DATABASE_URL" secret:"true" doc:"The store: postgres://… or sqlite:PATH. Required by api and worker."`
	Listen          string          `env:"WAYBILL_LISTEN" envDefault:"127.0.0.1:8080" doc:"Address of the public API."`
	OpsListen       string          `env:"WAYBILL_OPS_LISTEN" doc:"Address for operators: /metrics, /livez, /readyz, /debug/pprof. Default 127.0.0.1:8081, for a worker 127.0.0.1:8082."`
	File            string          `env:"WAYBILL_CONFIG" doc:"The collections. Default waybill.yaml if there is one, else the built-in messages and todos."`
	Data            string          `env:"WAYBILL_DATA" envDefault:"./data" doc:"Where waybill up keeps everything."`
	Concurrency     int             `env:"WAYBILL_CONCURRENCY" envDefault:"4" doc:"Batches that a worker applies at a time, each on a database connection of its own."`
	Deliveries      int             `env:"WAYBILL_DELIVERY_CONCURRENCY" envDefault:"2048" doc:"Attempts at deliveries that a worker makes at a time, over all subscriptions."`
	Secret          string          `env:"WAYBILL_SECRET" secret:"true" doc:"Seals the secrets of subscriptions and signs access tokens, 32 bytes or more, the same for all processes. Without it there can be no subscriptions. waybill up makes one and keeps it under WAYBILL_DATA."`
	PublicURL       string          `env:"WAYBILL_PUBLIC_URL" doc:"Where the public API is reached from outside, such as https://waybill.example.com: links in e-mails lead there, and with https:// browsers are told to insist on it."`
	Retries         []time.Duration `env:"WAYBILL_WEBHOOK_RETRIES" envDefault:"5s,5m,30m,2h,5h,10h,10h" doc:"How long after each failed attempt the next one is made, ±20 %; after the last the delivery is dead. For all channels."`
	AllowCIDRs      []netip.Prefix  `env:"WAYBILL_WEBHOOK_ALLOW_CIDRS" doc:"Private address ranges that webhooks may reach, separated by commas. None by default; waybill up allows the loopback."`
	HTTPSOnly       bool            `env:"WAYBILL_WEBHOOK_HTTPS_ONLY" envDefault:"false" doc:"Refuse webhooks to http:// addresses."`
	Proxy           string          `env:"WAYBILL_WEBHOOK_PROXY" secret:"true" doc:"HTTP proxy for webhooks, http://user:password@host:port. The environment's usual proxy variables are not read."`
	SMTPURL         string          `env:"SMTP_URL" secret:"true" doc:"Mail server for e-mail subscriptions: smtp://user:password@host:587 (STARTTLS) or smtps://user:password@host:465. ?tls=required, opportunistic or none overrides."`
	SMTPFrom        string          `env:"SMTP_FROM" doc:"Sender's address of e-mails; needed with SMTP_URL."`
	AdminKey        string          `env:"WAYBILL_ADMIN_KEY" secret:"true" doc:"An API key that may do everything, made at the start if it is not there: wb_, an ID of at most 32 letters and digits, _, and a secret of 32 characters or more."`
	Registration    string          `env:"WAYBILL_REGISTRATION" doc:"Whether anybody may register: open or closed. Closed by default, open under waybill up."`
	TokenKeys       string          `env:"WAYBILL_TOKEN_KEYS" secret:"true" doc:"Keys of access tokens, in place of the one that is derived from WAYBILL_SECRET, so that they can be changed: see docs/security.md."`
	TrustedProxies  Networks        `env:"WAYBILL_TRUSTED_PROXIES" doc:"Addresses and address ranges of the proxies before the public API, separated by commas. X-Forwarded-For and X-Forwarded-Proto of others are not believed."`
	CORSOrigins     []string        `env:"WAYBILL_CORS_ORIGINS" doc:"Origins whose pages may use the API from a browser, such as https://app.example.com, separated by commas. None by default."`
	RateReads       collection.Rate `env:"WAYBILL_RATE_READS" doc:"Reads of one principal, else of one client address, by each process: such as 100/s, 5/m or 10/h. No limit by default."`
	RateWrites      collection.Rate `env:"WAYBILL_RATE_WRITES" doc:"Writes of one principal, else of one client address, by each process. No limit by default."`
	RateAuth        collection.Rate `env:"WAYBILL_RATE_AUTH" envDefault:"100/m" doc:"Logins, registrations, refreshes and failed credentials of one client address, by each process."`
	RateLogin       collection.Rate `env:"WAYBILL_RATE_LOGIN" envDefault:"10/m" doc:"Failed logins to one account from one client address, by each process."`
	MaxConnections  int             `env:"WAYBILL_MAX_CONNECTIONS" envDefault:"16384" doc:"Connections to the public API at a time, idle ones too; further ones wait. 0: no limit."`
	AuditRetention  time.Duration   `env:"WAYBILL_AUDIT_RETENTION" envDefault:"8760h" doc:"How long the audit is kept. 0: for ever."`
	OperationKeep   time.Duration   `env:"WAYBILL_OPERATION_RETENTION" envDefault:"720h" doc:"How long operations are kept after they ended. 0: for ever."`
	DeliveryKeep    time.Duration   `env:"WAYBILL_DELIVERY_RETENTION" envDefault:"720h" doc:"How long deliveries are kept after they ended, with their attempts, and events to be replayed. 0: for ever."`
	PrometheusURL   string          `env:"WAYBILL_PROMETHEUS_URL" doc:"A Prometheus that scrapes us, such as http://prometheus:9090: draws the charts in /queues/."`
	MaxBody         int64           `env:"WAYBILL_MAX_BODY" envDefault:"262144" doc:"Largest body of one record, in bytes."`
	ShutdownTimeout time.Duration   `env:"WAYBILL_SHUTDOWN_TIMEOUT" envDefault:"20s" doc:"How long a process may take to finish what it has in hand."`
	LogLevel        string          `env:"WAYBILL_LOG_LEVEL" envDefault:"info" doc:"debug, info, warn or error."`
	LogFormat       string          `env:"WAYBILL_LOG_FORMAT" envDefault:"text" doc:"text or json."`
}

// FromEnv reads the settings from environment, a list of NAME=value.
func FromEnv(environment []string) (Config, error) {
	vars := map[string]string{}
	for _, entry := range environment {
		if name, value, ok := strings.Cut(entry, "="); ok {
			vars[name] = value
		}
	}
	if err := readSecretFiles(vars); err != nil {
		return Config{}, err
	}
	c, err := env.ParseAsWithOptions[Config](env.Options{Environment: vars})
	if err != nil {
		return Config{}, fmt.Errorf("settings: %w", named(err))
	}
	return c, c.validate()
}

// named makes errors of env name the variable instead of the field.
func named(err error) error {
	all, ok := errors.AsType[env.AggregateError](err)
	if !ok {
		return err
	}
	var texts []error
	for _, e := range all.Errors {
		if p, ok := errors.AsType[env.ParseError](e); ok {
			if field, ok := reflect.TypeFor[Config]().FieldByName(p.Name); ok {
				e = fmt.Errorf("%s: %w", field.Tag.Get("env"), p.Err)
			}
		}
		texts = append(texts, e)
	}
	return errors.Join(texts...)
}

// address parses an http or https URL. Its errors would show what may be secret.
func address(text string) (*url.URL, bool) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, false
	}
	return u, true
}

// WebhookProxy returns WAYBILL_WEBHOOK_PROXY, nil for none.
func (c *Config) WebhookProxy() *url.URL {
	u, _ := address(c.Proxy)
	return u
}

// maxRetry is the longest time between two attempts: a week.
const maxRetry = 7 * 24 * time.Hour

func (c *Config) validate() error {
	var all []error
	if c.Concurrency < 1 || c.Concurrency > 256 {
		all = append(all, errors.New("WAYBILL_CONCURRENCY must be from 1 to 256"))
	}
	if c.MaxBody < 1024 || c.MaxBody > 16<<20 {
		all = append(all, errors.New("WAYBILL_MAX_BODY must be from 1024 to 16777216 bytes"))
	}
	if c.Deliveries < 1 || c.Deliveries > 100_000 {
		all = append(all, errors.New("WAYBILL_DELIVERY_CONCURRENCY must be from 1 to 100000"))
	}
	if c.Secret != "" && len(c.Secret) < secret.MinBytes {
		all = append(all, fmt.Errorf("WAYBILL_SECRET must have at least %d bytes", secret.MinBytes))
	}
	if u, ok := address(c.PublicURL); c.PublicURL != "" && (!ok || u.RawQuery != "" || u.Fragment != "" || u.User != nil) {
		all = append(all, errors.New("WAYBILL_PUBLIC_URL must be http://host or https://host, with a path perhaps"))
	}
	if _, ok := address(c.Proxy); c.Proxy != "" && !ok {
		all = append(all, errors.New("WAYBILL_WEBHOOK_PROXY must be http://host:port or https://host:port"))
	}
	if len(c.Retries) > 50 || slices.ContainsFunc(c.Retries, func(d time.Duration) bool { return d <= 0 || d > maxRetry }) {
		all = append(all, errors.New("WAYBILL_WEBHOOK_RETRIES must be at most 50 durations above 0, of at most 168h"))
	}
	if c.SMTPURL != "" && c.SMTPFrom == "" {
		all = append(all, errors.New("SMTP_FROM is needed with SMTP_URL"))
	}
	all = append(all, c.validateAccess())
	if c.ShutdownTimeout < time.Second {
		all = append(all, errors.New("WAYBILL_SHUTDOWN_TIMEOUT must be at least 1s"))
	}
	return errors.Join(all...)
}

// readSecretFiles sets NAME from the file that NAME_FILE names, for all secrets.
func readSecretFiles(vars map[string]string) error {
	for field := range reflect.TypeFor[Config]().Fields() {
		name := field.Tag.Get("env")
		file := vars[name+"_FILE"]
		if field.Tag.Get("secret") == "" || file == "" {
			continue
		}
		if vars[name] != "" {
			return fmt.Errorf("settings: %s and %s_FILE are both set", name, name)
		}
		value, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("settings: %s_FILE: %w", name, err)
		}
		vars[name] = strings.TrimSpace(string(value))
	}
	return nil
}

// defaultFile is looked for where WAYBILL_CONFIG names none.
const defaultFile = "waybill.yaml"

// Collections reads the collections: of the file named, else of waybill.yaml in
// the working directory, else the built-in ones.
func (c *Config) Collections() (*collection.Set, error) {
	if c.File != "" {
		return collection.Load(c.File)
	}
	set, err := collection.Load(defaultFile)
	if errors.Is(err, fs.ErrNotExist) {
		return collection.Default(), nil
	}
	return set, err
}

// Usage returns a line for each setting, for a command's help.
func Usage() string {
	var b strings.Builder
	for field := range reflect.TypeFor[Config]().Fields() {
		name := field.Tag.Get("env")
		if field.Tag.Get("secret") != "" {
			name += "[_FILE]"
		}
		fmt.Fprintf(&b, "  %-26s %s", name, field.Tag.Get("doc"))
		if value := field.Tag.Get("envDefault"); value != "" {
			fmt.Fprintf(&b, " Default %s.", value)
		}
		b.WriteString("\n")
	}
	return b.String()
}
