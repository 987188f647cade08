package app_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waybill-dev/waybill/internal/testenv"
)

// needHAProxy returns a real proxy's path, or skips the test.
func needHAProxy(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"haproxy", "/usr/sbin/haproxy"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if strings.Contains(os.Getenv("WAYBILL_TEST_REQUIRE"), "haproxy") {
		t.Fatal("no haproxy")
	}
	t.Skip("no haproxy")
	return ""
}

// newProxy prepares a proxy before apis that asks each whether it is ready, as
// people run it: what could not be connected is tried elsewhere, nothing is sent twice.
func newProxy(t *testing.T, apis []*process) *process {
	t.Helper()
	var b strings.Builder
	port := freePort(t)
	fmt.Fprintf(&b, `defaults
  mode http
  timeout connect 2s
  timeout client 60s
  timeout server 60s
  retries 3
  retry-on conn-failure
  option redispatch
listen waybill
  bind 127.0.0.1:%d
  option httpchk GET /readyz
  balance roundrobin
`, port)
	for i, api := range apis {
		fmt.Fprintf(&b, "  server api%d %s check addr 127.0.0.1 port %s inter 100ms fall 1 rise 1\n",
			i, strings.TrimPrefix(api.api, "http://"), api.ops[strings.LastIndexByte(api.ops, ':')+1:])
	}
	file := filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &process{name: "haproxy", path: needHAProxy(t), args: []string{"-db", "-f", file}, dir: t.TempDir(), api: fmt.Sprintf("http://127.0.0.1:%d", port)}
	t.Cleanup(func() {
		if err := p.Kill(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// TestRollingRestart_NoErrorReachesClients: every process is restarted in its turn
// under load, behind a real proxy, and each write is answered 202 and stored.
func TestRollingRestart_NoErrorReachesClients(t *testing.T) {
	t.Parallel()
	needHAProxy(t)
	s := newSystem(t, testenv.NewRedis(t).URL(), testenv.PostgresURL(t), 2, 2, "WAYBILL_SHUTDOWN_DELAY=1s")
	proxy := newProxy(t, s.apis)
	proxy.Start(t)
	testenv.Eventually(t, 20*time.Second, "the proxy answers", func() error {
		a, err := call(t.Context(), http.MethodGet, proxy.api+"/api", "")
		if err == nil && a.status != http.StatusOK {
			err = fmt.Errorf("%v", a)
		}
		return err
	})

	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	var sent atomic.Int64
	var mu sync.Mutex
	var ids, wrong []string
	for w := range 8 {
		writers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				a, err := call(context.WithoutCancel(ctx), http.MethodPost, proxy.api+"/api/messages", fmt.Sprintf(`{"content":"%d/%d"}`, w, i))
				sent.Add(1)
				mu.Lock()
				switch {
				case err != nil:
					wrong = append(wrong, err.Error())
				case a.status != http.StatusAccepted:
					wrong = append(wrong, a.String())
				default:
					ids = append(ids, a.operation(t).ID)
				}
				mu.Unlock()
				pauseFor(ctx, 20*time.Millisecond)
			}
		})
	}
	for _, p := range s.processes() {
		if err := p.Terminate(); err != nil {
			t.Errorf("%s: %v", p.name, err)
		}
		p.Start(t)
		p.awaitReady(t)
		before := sent.Load()
		testenv.Eventually(t, 20*time.Second, "writes go on", func() error {
			if n := sent.Load() - before; n < 100 {
				return fmt.Errorf("%d writes", n)
			}
			return nil
		})
	}
	stop()
	writers.Wait()
	if len(wrong) > 0 {
		t.Errorf("%d of %d writes were not answered 202, such as %s", len(wrong), sent.Load(), wrong[0])
	}
	t.Logf("%d writes, %d errors, %d restarts", sent.Load(), len(wrong), len(s.processes()))
	awaitDone(t, time.Minute, s.apis[0].api, ids...)
}
