package testenv

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// RedisOptions says what StartRedis starts. The zero value is a Redis that
// loses nothing it acknowledged, in a directory of its own.
type RedisOptions struct {
	Dir         string   // where its files go; "" = a temporary one, removed by Close
	AppendFsync string   // "always" (default), "everysec", or "no" for no append-only file at all
	Port        int      // 0 = a free one
	TLS         bool     // speak TLS alone, with those alone who have a certificate: see Redis.Certificates
	Extra       []string // further arguments: "--maxmemory", "10mb"
}

// Redis is a redis-server or valkey-server process on the loopback.
type Redis struct {
	server
	certificates *Certificates // nil: no TLS
}

// StartRedis starts a Redis server and returns when it answers. ctx bounds the
// start alone. Its errors wrap ErrNotInstalled where there is no such program.
func StartRedis(ctx context.Context, o RedisOptions) (*Redis, error) {
	path, err := redisBinary()
	if err != nil {
		return nil, err
	}
	dir, err := newScratch(o.Dir)
	if err != nil {
		return nil, err
	}
	r := &Redis{server: server{name: "Redis", scratch: dir, stop: syscall.SIGTERM}}
	if o.TLS {
		if r.certificates, err = writeCertificates(dir.path); err != nil {
			return nil, errors.Join(err, dir.remove())
		}
	}
	r.command = func(port int) command {
		args := append([]string{"--bind", "127.0.0.1", "--dir", dir.path, "--save", ""}, r.portArgs(port)...)
		switch o.AppendFsync {
		case "no":
			args = append(args, "--appendonly", "no")
		case "":
			args = append(args, "--appendonly", "yes", "--appendfsync", "always")
		default:
			args = append(args, "--appendonly", "yes", "--appendfsync", o.AppendFsync)
		}
		return command{path: path, args: append(args, o.Extra...), dir: dir.path, deathsig: syscall.SIGKILL}
	}
	r.ready = func(ctx context.Context, pid int) error { return redisReady(ctx, r.addr(), r.certificates, pid) }
	if err := r.open(ctx, o.Port); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *Redis) portArgs(port int) []string {
	if r.certificates == nil {
		return []string{"--port", strconv.Itoa(port)}
	}
	c := r.certificates
	return []string{"--port", "0", "--tls-port", strconv.Itoa(port), "--tls-ca-cert-file", c.CA, "--tls-cert-file", c.Cert, "--tls-key-file", c.Key}
}

// URL returns the server's redis:// or rediss:// URL, with database 0.
func (r *Redis) URL() string {
	if r.certificates != nil {
		return "rediss://" + r.Addr() + "/0"
	}
	return "redis://" + r.Addr() + "/0"
}

// Certificates are those of a server that speaks TLS, else nil.
func (r *Redis) Certificates() *Certificates { return r.certificates }

// NewRedis starts a Redis for this test alone, which the test may kill, pause
// and start again. Without one installed the test is skipped, or fails if
// WAYBILL_TEST_REQUIRE names redis.
func NewRedis(t testing.TB) *Redis {
	t.Helper()
	return newRedis(t, RedisOptions{})
}

// NewTLSRedis is NewRedis with TLS.
func NewTLSRedis(t testing.TB) *Redis {
	t.Helper()
	return newRedis(t, RedisOptions{TLS: true})
}

func newRedis(t testing.TB, o RedisOptions) *Redis {
	t.Helper()
	r, err := StartRedis(t.Context(), o)
	if err != nil {
		unavailable(t, "redis", err)
	}
	closeAfter(t, &r.server)
	return r
}

// redisReady asks the server at addr for a PONG and for its process ID: another
// test's server may have taken the port while ours was starting.
func redisReady(ctx context.Context, addr string, c *Certificates, pid int) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	conn, err := c.dial(ctx, addr)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("PING\r\nINFO server\r\n")); err != nil {
		return err
	}
	lines := bufio.NewScanner(conn)
	for first := true; lines.Scan(); first = false {
		line := lines.Text()
		if first && line != "+PONG" {
			return fmt.Errorf("PING: %s", line)
		}
		if other, ok := strings.CutPrefix(line, "process_id:"); ok {
			if other != fmt.Sprint(pid) {
				return fmt.Errorf("process %s serves this port, not %d", other, pid)
			}
			return nil
		}
	}
	return fmt.Errorf("INFO: no process_id (%w)", lines.Err())
}

// redisBinary looks for a server on PATH and in Debian's place.
func redisBinary() (string, error) {
	names := []string{"redis-server", "valkey-server"}
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return filepath.Abs(path)
		}
	}
	for _, name := range names {
		if path := filepath.Join("/usr/bin", name); executable(path) {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s: %w", strings.Join(names, " or "), ErrNotInstalled)
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// closeAfter closes s when the test ends, and shows its log if the test failed.
func closeAfter(t testing.TB, s *server) {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			if log, err := os.ReadFile(s.logFile()); err == nil {
				const most = 4 << 10
				t.Logf("%s at %s said:\n%s", s.name, s.Addr(), log[max(0, len(log)-most):])
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}
