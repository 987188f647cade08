package queue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// What a connection is given unless the URL says otherwise (dial_timeout=…,
// read_timeout=…, write_timeout=…, pool_timeout=…, pool_size=…).
const (
	dialTimeout = time.Second
	ioTimeout   = 2 * time.Second // also bounds a dequeue, to which asynq gives no deadline
	poolTimeout = time.Second
	poolSize    = 32
)

// Connect returns a client for one of
//
//	redis://user:password@host:6379/0           (rediss: with TLS)
//	unix://user:password@/path/to/redis.sock?db=0
//	redis-sentinel://user:password@host:26379,host:26379/0?master=name
//	redis-cluster://user:password@host:6379,host:6379
//
// without connecting yet. A sentinel URL's user and password are for both the
// sentinels and Redis; where Redis has others (or the sentinels none), they are
// the query's username and password. rediss-sentinel and rediss-cluster speak
// TLS. With TLS the query may name PEM files: tls_ca, the authorities to trust in
// place of the system's, and tls_cert and tls_key, our certificate; they are read
// once. Special characters in a password are percent-encoded. No error shows any
// part of the URL that could be a password.
//
// The client honours deadlines and never repeats a command by itself: whoever
// sent it knows whether that is harmless, and Certain could not be answered. The
// exception is a cluster's, which follows redirections; its failures are
// uncertain.
func Connect(rawURL string) (redis.UniversalClient, error) {
	redis.SetLogger(quiet{})
	a, err := parseAddress(rawURL)
	if err != nil {
		return nil, fmt.Errorf("redis URL: %w", err)
	}
	id, err := a.takeIdentity()
	if err != nil {
		return nil, fmt.Errorf("redis URL: %w", err)
	}
	switch a.kind {
	case "sentinel":
		o, err := sentinelOptions(a)
		if err != nil {
			return nil, err
		}
		id.complete(o.TLSConfig)
		c := redis.NewFailoverClient(o)
		c.AddHook(sentinelHook{})
		return c, nil
	case "cluster":
		return connectCluster(a, id)
	default:
		o, err := redis.ParseURL(a.url())
		if err != nil {
			return nil, fmt.Errorf("redis URL: %w", err)
		}
		id.complete(o.TLSConfig)
		o.MaxRetries, o.DialerRetries, o.PipelinePoolSize, o.ContextTimeoutEnabled = -1, 1, -1, true
		setDefaults(&o.DialTimeout, &o.ReadTimeout, &o.WriteTimeout, &o.PoolTimeout, &o.PoolSize)
		o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
		return redis.NewClient(o), nil
	}
}

func sentinelOptions(a *address) (*redis.FailoverOptions, error) {
	if master := a.query.Get("master"); master != "" {
		a.query.Set("master_name", master)
		a.query.Del("master")
	}
	if a.query.Get("master_name") == "" {
		return nil, errors.New("redis URL: no master: the sentinels must be asked for one by name (?master=…)")
	}
	o, err := redis.ParseFailoverURL(a.url())
	if err != nil {
		return nil, fmt.Errorf("redis URL: %w", err)
	}
	if o.Username == "" && o.Password == "" {
		o.Username, o.Password = o.SentinelUsername, o.SentinelPassword
	}
	o.MaxRetries, o.DialerRetries, o.PipelinePoolSize, o.ContextTimeoutEnabled = -1, 1, -1, true
	setDefaults(&o.DialTimeout, &o.ReadTimeout, &o.WriteTimeout, &o.PoolTimeout, &o.PoolSize)
	return o, nil
}

func connectCluster(a *address, id *identity) (redis.UniversalClient, error) {
	o, err := redis.ParseClusterURL(a.url())
	if err != nil {
		return nil, fmt.Errorf("redis URL: %w", err)
	}
	id.complete(o.TLSConfig)
	o.MaxRetries, o.DialerRetries, o.PipelinePoolSize, o.ContextTimeoutEnabled = -1, 1, -1, true
	setDefaults(&o.DialTimeout, &o.ReadTimeout, &o.WriteTimeout, &o.PoolTimeout, &o.PoolSize)
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	c := redis.NewClusterClient(o)
	c.AddHook(clusterHook{})
	return c, nil
}

func setDefaults(dial, read, write, wait *time.Duration, size *int) {
	*dial = cmp.Or(*dial, dialTimeout)
	*read = cmp.Or(*read, ioTimeout)
	*write = cmp.Or(*write, ioTimeout)
	*wait = cmp.Or(*wait, poolTimeout)
	*size = cmp.Or(*size, poolSize)
}

// address is a URL taken apart. net/url refuses several hosts with ports, and
// its errors, like go-redis's, may show what was a password.
type address struct {
	scheme string // redis, rediss or unix
	kind   string // "", sentinel or cluster
	user   string // percent-encoded user:password@, or ""
	hosts  []string
	path   string
	query  url.Values
}

func parseAddress(rawURL string) (*address, error) {
	scheme, rest, ok := strings.Cut(rawURL, "://")
	a := &address{}
	a.scheme, a.kind, _ = strings.Cut(scheme, "-")
	known := a.scheme == "redis" || a.scheme == "rediss"
	if !ok || !(known && (a.kind == "" || a.kind == "sentinel" || a.kind == "cluster") || scheme == "unix") {
		return nil, errors.New("must begin with redis://, rediss://, unix://, redis-sentinel:// or redis-cluster://")
	}
	authority, tail := rest, ""
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority, tail = rest[:i], rest[i:]
	}
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		a.user, authority = authority[:i+1], authority[i+1:]
	}
	if known && strings.ContainsRune(tail, '@') {
		return nil, errors.New("an @ after the host: special characters in user and password must be percent-encoded")
	}
	u, err := url.Parse("x://" + a.user + "host" + tail)
	if err != nil || u.Fragment != "" {
		return nil, errors.New("malformed: special characters in user and password must be percent-encoded")
	}
	if a.query, err = url.ParseQuery(u.RawQuery); err != nil {
		return nil, errors.New("malformed query")
	}
	a.path = u.EscapedPath()
	if a.scheme == "unix" {
		return a, nil
	}
	if err := a.parseHosts(authority); err != nil {
		return nil, err
	}
	return a, a.checkDatabase()
}

func (a *address) parseHosts(authority string) error {
	standard := "6379"
	if a.kind == "sentinel" {
		standard = "26379"
	}
	for host := range strings.SplitSeq(authority, ",") {
		u, err := url.Parse("x://" + host)
		if err != nil || u.Hostname() == "" {
			return errors.New("a host is missing or malformed (host:port)")
		}
		port := cmp.Or(u.Port(), standard)
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return errors.New("a port is not between 1 and 65535")
		}
		a.hosts = append(a.hosts, net.JoinHostPort(u.Hostname(), port))
	}
	if a.kind == "" && len(a.hosts) > 1 {
		return errors.New("several hosts need redis-sentinel:// or redis-cluster://")
	}
	return nil
}

func (a *address) checkDatabase() error {
	db := strings.Trim(a.path, "/")
	if n, err := strconv.Atoi(db); db != "" && (err != nil || n < 0) {
		return errors.New("the path must be a database number")
	} else if n != 0 && a.kind == "cluster" {
		return errors.New("a cluster has database 0 alone")
	}
	return nil
}

// url is the address in the form that go-redis reads.
func (a *address) url() string {
	u := a.scheme + "://" + a.user
	if len(a.hosts) > 0 {
		u += a.hosts[0]
		for _, host := range a.hosts[1:] {
			a.query.Add("addr", host)
		}
	}
	return u + a.path + "?" + a.query.Encode()
}

// quiet drops what go-redis would print to stderr, a line for each failed dial:
// every failure is returned as well, and logged by whoever handles it.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}
