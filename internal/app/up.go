package app

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/waybill-dev/waybill/internal/auth"
	"github.com/waybill-dev/waybill/internal/config"
	"github.com/waybill-dev/waybill/internal/secret"
)

// Up is everything in one process with nothing installed: SQLite and, as a child
// or in memory, Redis, both under the data directory.
type Up struct {
	*App
	data   string
	lock   *os.File
	redis  localRedis
	closed bool

	adminKey string // the one that we keep; "" if the environment gave one
}

// localRedis is the queue's Redis under waybill up.
type localRedis interface {
	URL() string
	Describe() string
	Durability() string // as GET /api tells it; "" to ask
	Close() error
}

// What waybill up keeps in its data directory: the store, and the admin's key.
const (
	databaseFile = "waybill.db"
	adminKeyFile = "admin.key"
)

// NewUp prepares the data directory, which only one process may use at a time,
// starts Redis, and makes the App on them. Where REDIS_URL or DATABASE_URL are
// set, those are used instead. After an error nothing is left running.
func NewUp(ctx context.Context, c config.Config, log *slog.Logger) (u *Up, err error) {
	u = &Up{data: c.Data}
	defer func() {
		if err != nil {
			_ = u.Close()
		}
	}()
	if u.data, err = filepath.Abs(c.Data); err != nil {
		return u, fmt.Errorf("WAYBILL_DATA: %w", err)
	}
	if err := os.MkdirAll(u.data, 0o700); err != nil {
		return u, fmt.Errorf("WAYBILL_DATA: %w", err)
	}
	if u.lock, err = lockFile(ctx, filepath.Join(u.data, "lock")); err != nil {
		return u, err
	}
	if c.DatabaseURL == "" {
		c.DatabaseURL = "sqlite:" + filepath.Join(u.data, databaseFile)
	}
	if c.Secret == "" {
		if c.Secret, err = kept(filepath.Join(u.data, "secret"), newSecret); err != nil {
			return u, err
		}
	}
	if c.AdminKey == "" {
		if c.AdminKey, err = kept(filepath.Join(u.data, adminKeyFile), auth.NewKeyText); err != nil {
			return u, err
		}
		u.adminKey = c.AdminKey
	}
	if c.Registration == "" {
		c.Registration = config.Open
	}
	c.AllowCIDRs = append(slices.Clone(c.AllowCIDRs), netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128"))
	if c.RedisURL == "" {
		if u.redis, err = startLocalRedis(ctx, u.data, u.lock, log); err != nil {
			return u, err
		}
		c.RedisURL = u.redis.URL()
	}
	if u.App, err = New(c, Roles{API: true, Worker: true}, log); err != nil {
		return u, err
	}
	u.drains = true
	if u.redis != nil {
		u.durability = u.redis.Durability()
	}
	return u, nil
}

// Run runs until ctx ends, and prints to out, once it answers, where it is and
// what to try.
func (u *Up) Run(ctx context.Context, out io.Writer) error {
	err := u.Start()
	if err == nil {
		u.greet(ctx, out)
		select {
		case <-ctx.Done():
			fmt.Fprintln(out, "\nStopping: finishing what was accepted …")
		case err = <-u.failed:
		}
	}
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), u.config.ShutdownTimeout)
	defer cancel()
	return errors.Join(err, u.Stop(limit), u.Close())
}

func (u *Up) greet(ctx context.Context, out io.Writer) {
	queue := "at REDIS_URL"
	if u.redis != nil {
		queue = u.redis.Describe()
	}
	durable := map[string]string{
		"fsync-always":   "a 202 is on disk: it survives a crash of the process and of the machine",
		"fsync-everysec": "a 202 may be lost in the second before a crash of the machine",
		"memory":         "a 202 is in memory until it is stored: a crash loses what is not stored yet",
		"unknown":        "Redis does not tell how it keeps a 202",
	}[u.durabilityNow(ctx)]
	fmt.Fprintf(out, `Waybill %s is up: http://%s/api

%s  data    %s
  queue   %s
          %s
  ops     http://%s/readyz, /metrics

Try it:

  curl -i http://%s/api/%s

`, u.version, u.Addr(), u.admin(ctx), u.data, queue, durable, u.OpsAddr(), u.Addr(), u.example())
}

// linkPatience is how long greet waits for the database, to have a link to show.
const linkPatience = 10 * time.Second

// admin says how to be the admin: by a link for the browser, and by the key.
func (u *Up) admin(ctx context.Context) string {
	if u.adminKey == "" {
		return ""
	}
	lines := "  key     " + filepath.Join(u.data, adminKeyFile) + "    for Authorization: Bearer, as the admin\n"
	ctx, cancel := context.WithTimeout(ctx, linkPatience)
	defer cancel()
	for !u.gate.ready() {
		if !pause(ctx, 5*time.Millisecond) {
			return lines
		}
	}
	id, _, _ := auth.ParseKey(u.adminKey)
	token, err := u.auth.MakeLink(ctx, id)
	if err != nil {
		u.log.Warn("no login link was made", "error", err)
		return lines
	}
	return "  log in  http://" + u.Addr() + "/login/" + token + "    once, within five minutes\n" + lines
}

// example is the end of a curl line that works: a write where we know what may
// be written, else a list.
func (u *Up) example() string {
	if u.collections.BuiltIn() {
		return `messages -H 'Content-Type: application/json' -d '{"content":"Hello"}'`
	}
	return u.collections.All()[0].Name
}

// Close ends Redis and frees the data directory. It may be called more than once.
func (u *Up) Close() error {
	if u.closed {
		return nil
	}
	u.closed = true
	var all []error
	if u.redis != nil {
		all = append(all, u.redis.Close())
	}
	if u.lock != nil {
		all = append(all, u.lock.Close())
	}
	return errors.Join(all...)
}

func newSecret() string { return base64.RawURLEncoding.EncodeToString(secret.Random(secret.MinBytes)) }

// kept returns the secret in a file, which it makes if there is none.
func kept(path string, draw func() string) (string, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		text = []byte(draw())
		if err = os.WriteFile(path+".new", text, 0o600); err == nil {
			err = os.Rename(path+".new", path) // whole, or not at all
		}
	}
	if err != nil {
		return "", fmt.Errorf("a secret of waybill up: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

// startLocalRedis starts a redis-server or valkey-server found on PATH, else
// Redis in memory.
func startLocalRedis(ctx context.Context, data string, lock *os.File, log *slog.Logger) (localRedis, error) {
	if path := findServer(); path != "" {
		ctx, cancel := context.WithTimeout(ctx, 30*time.Second) // it may have a long log to replay
		defer cancel()
		return startChild(ctx, path, filepath.Join(data, "redis"), lock, log)
	}
	return startMemory(log)
}
