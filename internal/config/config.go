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
	Queues          Queues          `env:"WAYBILL_QUEUES" envDefault:"writes,notify,maintenance" doc:"Queues that a worker serves, separated by commas. Each needs a worker that does: see docs/scaling.md."`
	RedisWait       int             `env:"WAYBILL_REDIS_WAIT" envDefault:"0" doc:"Replicas of Redis that must have a write before it is confirmed (WAIT). Too few within a second: 503. See docs/scaling.md."`
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
	MaxBacklog      int64           `env:"WAYBILL_MAX_BACKLOG" envDefault:"1000000" doc:"Operations accepted and not finished: with so many, writes are refused with 503 until there are fewer, repeats too. Counted each second, so that a second of writes may pass it. 0: no limit."`
	MaxBody         int64           `env:"WAYBILL_MAX_BODY" envDefault:"262144" doc:"Largest body of one record, in bytes."`
	ShutdownTimeout time.Duration   `env:"WAYBILL_SHUTDOWN_TIMEOUT" envDefault:"20s" doc:"How long a process may take to finish what it has in hand."`
	ShutdownDelay   time.Duration   `env:"WAYBILL_SHUTDOWN_DELAY" envDefault:"0s" doc:"How long a process that is to stop goes on serving while /readyz says that it is not ready, so that a proxy notices first. Part of the shutdown timeout."`
	LogLevel        string          `env:"WAYBILL_LOG_LEVEL" envDefault:"info" doc:"debug, info, warn or error."`
	LogFormat       string          `env:"WAYBILL_LOG_FORMAT" envDefault:"text" doc:"text or json."`
	OTLPEndpoint    string          `env:"OTEL_EXPORTER_OTLP_ENDPOINT" doc:"Where traces go: an OpenTelemetry collector that takes OTLP over HTTP, such as http://collector:4318. Without it no spans are made. OpenTelemetry's other variables are read too: see docs/traces.md."`
	ServiceName     string          `env:"OTEL_SERVICE_NAME" doc:"The process's name in traces. Default waybill-api or waybill-worker, for both in one waybill."`
}

// FromEnv reads the settings from environment, a list of NAME=value. Beside an
// error, which has a line for each mistake, it returns what it understood.
func FromEnv(environment []string) (Config, error) {
	vars := variables(environment)
	var c Config
	err := readSecretFiles(vars)
	if parseErr := env.ParseWithOptions(&c, env.Options{Environment: vars}); parseErr != nil {
		// What could not be read has no value yet that could be judged.
		return c, fmt.Errorf("settings: %w", errors.Join(err, named(parseErr)))
	}
	if err = errors.Join(err, c.validate()); err != nil {
		return c, fmt.Errorf("settings: %w", err)
	}
	return c, nil
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
	if c.MaxBacklog < 0 || c.MaxBacklog > 1_000_000_000 {
		all = append(all, errors.New("WAYBILL_MAX_BACKLOG must be from 0 to 1000000000"))
	}
	if c.RedisWait < 0 || c.RedisWait > 16 {
		all = append(all, errors.New("WAYBILL_REDIS_WAIT must be from 0 to 16"))
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
	if _, ok := address(c.OTLPEndpoint); c.OTLPEndpoint != "" && !ok {
		all = append(all, errors.New("OTEL_EXPORTER_OTLP_ENDPOINT must be http://host:port or https://host:port"))
	}
	all = append(all, c.validateAccess())
	for name, value := range map[string]string{"WAYBILL_LISTEN": c.Listen, "WAYBILL_OPS_LISTEN": c.OpsListen} {
		if !isListener(value) {
			all = append(all, fmt.Errorf("%s must be host:port or :port", name))
		}
	}
	if c.ShutdownTimeout < time.Second {
		all = append(all, errors.New("WAYBILL_SHUTDOWN_TIMEOUT must be at least 1s"))
	}
	if c.ShutdownDelay < 0 || c.ShutdownDelay > c.ShutdownTimeout/2 {
		all = append(all, errors.New("WAYBILL_SHUTDOWN_DELAY must be from 0s to half of WAYBILL_SHUTDOWN_TIMEOUT"))
	}
	return errors.Join(all...)
}

// readSecretFiles sets NAME from the file that NAME_FILE names, for all secrets.
func readSecretFiles(vars map[string]string) error {
	var all []error
	for field := range reflect.TypeFor[Config]().Fields() {
		name := field.Tag.Get("env")
		file := vars[name+"_FILE"]
		if field.Tag.Get("secret") == "" || file == "" {
			continue
		}
		if vars[name] != "" {
			all = append(all, fmt.Errorf("%s and %s_FILE are both set", name, name))
			continue
		}
		value, err := os.ReadFile(file)
		if err != nil {
			all = append(all, fmt.Errorf("%s_FILE: %w", name, err))
			continue
		}
		vars[name] = strings.TrimSpace(string(value))
	}
	return errors.Join(all...)
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
