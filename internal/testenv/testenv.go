// Package testenv is where tests get real servers: throw-away redis-server and
// postgres processes on free ports of the loopback, or an empty database on the
// servers that the environment names. Only tests, bench and the tools that
// torture a running system import it; it knows nothing of Waybill.
//
// Environment:
//
//	WAYBILL_TEST_REDIS_URL     a Redis to use instead of starting one; database 0 holds our claims on the others
//	WAYBILL_TEST_POSTGRES_URL  a PostgreSQL to use instead; the user must be allowed to create databases
//	WAYBILL_TEST_REQUIRE       "redis,postgres,prometheus": without a real one of these, fail instead of skipping or falling back
//
// On Linux every server dies with the process that started it, however that one ends.
package testenv

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// Names of the environment variables.
const (
	envRedis    = "WAYBILL_TEST_REDIS_URL"
	envPostgres = "WAYBILL_TEST_POSTGRES_URL"
	envRequire  = "WAYBILL_TEST_REQUIRE"
)

// ErrNotInstalled is wrapped by the errors of StartRedis and StartPostgres where
// the machine has no such server.
var ErrNotInstalled = errors.New("not installed")

// Main runs a package's tests, stops the servers that they shared, and returns
// the exit code: `func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }`. A
// package without it leaves nothing running either, only a directory that the
// next run sweeps away.
func Main(m *testing.M) int {
	code := m.Run()
	if err := sharedPostgres.close(); err != nil {
		fmt.Fprintln(os.Stderr, "testenv:", err)
		code = max(code, 1)
	}
	return code
}

// Eventually calls f until it returns nil, and fails the test with f's last
// error if that takes longer than within. It asks after 2 ms first, then ever
// more rarely, down to once in 100 ms.
func Eventually(t testing.TB, within time.Duration, what string, f func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	if err := poll(ctx, f); err != nil {
		t.Fatalf("%s: not within %v: %v", what, within, err)
	}
}

// poll calls f until it returns nil (then so does poll) or a permanent error,
// or until ctx ends; then it returns f's last error.
func poll(ctx context.Context, f func() error) error {
	const first, most = 2 * time.Millisecond, 100 * time.Millisecond
	for pause := first; ; pause = min(2*pause, most) {
		err := f()
		var p permanent
		if err == nil || errors.As(err, &p) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

// permanent is an error after which asking again is of no use.
type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

// FreePort returns a TCP port on which nothing listens at 127.0.0.1. It lies
// below the range from which systems give ports to outgoing connections, or a
// client that redials a killed server could end up holding that server's port.
func FreePort() (int, error) {
	const low, high, tries = 15000, 32000, 100
	var last error
	for range tries {
		port := low + rand.IntN(high-low)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			last = err
			continue
		}
		return port, l.Close()
	}
	return 0, fmt.Errorf("find a free port: %w", last)
}

// required says whether WAYBILL_TEST_REQUIRE names the server.
func required(server string) bool {
	return slices.ContainsFunc(strings.Split(os.Getenv(envRequire), ","),
		func(s string) bool { return strings.TrimSpace(s) == server })
}

// unavailable ends the test over a server that could not be had: as skipped
// where it is just not installed and nobody requires it, else as failed.
func unavailable(t testing.TB, server string, err error) {
	t.Helper()
	if errors.Is(err, ErrNotInstalled) && !required(server) {
		t.Skipf("no %s here: %v", server, err)
	}
	t.Fatalf("%s: %v", server, err)
}

// withPath returns a server's URL with the name of the database replaced.
func withPath(serverURL, database string) (string, error) {
	u, err := url.Parse(serverURL)
	if err != nil {
		return "", fmt.Errorf("parse URL: %w", err)
	}
	u.Path, u.RawPath = "/"+database, ""
	return u.String(), nil
}
