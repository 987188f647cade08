package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/waybill-dev/waybill/internal/testenv"
)

// newUp prepares a `waybill up` on a data directory. Further settings override.
func newUp(t *testing.T, data string, env ...string) *process {
	t.Helper()
	if err := os.WriteFile(filepath.Join(data, "admin.key"), []byte(adminKey), 0o600); err != nil { // as an earlier start has left one
		t.Fatal(err)
	}
	return newProcess(t, "waybill", []string{"up"}, append([]string{"WAYBILL_DATA=" + data}, env...)...)
}

// needServer skips the test where `up` would find no Redis to start.
func needServer(t *testing.T) {
	t.Helper()
	for _, name := range []string{"redis-server", "valkey-server"} {
		if _, err := exec.LookPath(name); err == nil {
			return
		}
	}
	if strings.Contains(os.Getenv("WAYBILL_TEST_REQUIRE"), "redis") {
		t.Fatal("no redis-server or valkey-server on PATH")
	}
	t.Skip("no redis-server or valkey-server on PATH")
}

// awaitAnswer waits for the first answer of GET /api, and returns the queue's
// durability that it tells.
func (p *process) awaitAnswer(t *testing.T) (durability string) {
	t.Helper()
	testenv.Eventually(t, startWithin, "the first answer", func() error {
		a, err := call(t.Context(), http.MethodGet, p.api+"/api", "")
		if err != nil {
			if status, waitErr := p.wait(0); waitErr == nil {
				t.Fatalf("it ended: %v, saying %s", status, &p.errOut)
			}
			return err
		}
		var root struct{ Queue struct{ Durability string } }
		a.want(t, http.StatusOK).decode(t, &root)
		durability = root.Queue.Durability
		return nil
	})
	return durability
}

// TestUp_AnswersWithinASecond takes the best of some starts: the machine has
// other things to do as well.
func TestUp_AnswersWithinASecond(t *testing.T) {
	t.Parallel()
	const tries, limit = 6, time.Second
	best := time.Hour
	for i := 0; i < tries && best > limit; i++ {
		p := newUp(t, t.TempDir())
		from := time.Now()
		p.Start(t)
		p.awaitAnswer(t)
		best = min(best, time.Since(from))
		if err := p.Interrupt(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("first answer after %v", best.Round(time.Millisecond))
	if best > limit && raceFlag == nil {
		t.Errorf("the first answer came after %v at best, want at most %v", best, limit)
	}
}

// TestUp_TriesWhatItPrints: what a person sees is enough to write and read.
func TestUp_TriesWhatItPrints(t *testing.T) {
	t.Parallel()
	needServer(t)
	data := t.TempDir()
	p := newUp(t, data)
	p.Start(t)
	if got := p.awaitAnswer(t); got != "fsync-always" {
		t.Errorf("durability %q, want fsync-always", got)
	}
	testenv.Eventually(t, 5*time.Second, "it prints where it is", func() error {
		said := p.out.String()
		for _, want := range []string{p.api + "/api", data, p.ops, "on disk", "curl -i " + p.api + "/api/messages"} {
			if !strings.Contains(said, want) {
				return fmt.Errorf("%q is missing in %q", want, said)
			}
		}
		return nil
	})
	o := mustCall(t, http.MethodPost, p.api+"/api/messages", `{"content":"Hello"}`).want(t, http.StatusAccepted).operation(t)
	awaitDone(t, 10*time.Second, p.api, o.ID)
}

// TestUp_EndInTheMiddleOfWrites: whatever ends it, what was accepted is stored,
// at the latest after the next start (with a durable queue). Its Redis ends too.
func TestUp_EndInTheMiddleOfWrites(t *testing.T) {
	t.Parallel()
	needServer(t)
	for _, c := range []struct {
		name string
		end  func(*process) error
	}{
		{"Ctrl-C", (*process).Interrupt},
		{"kill -9", (*process).Kill},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newUp(t, t.TempDir())
			var all []string
			for range 2 { // the second end finds what the first left
				p.Start(t)
				p.awaitAnswer(t)
				child := p.redisPID(t)
				all = append(all, p.writeAndEnd(t, c.end)...)
				testenv.Eventually(t, 10*time.Second, "its Redis has ended", func() error {
					if err := syscall.Kill(child, 0); !errors.Is(err, syscall.ESRCH) {
						return fmt.Errorf("process %d is still there (%w)", child, err)
					}
					return nil
				})
			}
			p.Start(t)
			p.awaitAnswer(t)
			awaitDone(t, time.Minute, p.api, all...)
			t.Logf("%d writes accepted, all stored", len(all))
		})
	}
}

// writeAndEnd ends the process in the middle of writes, and returns the IDs of
// those that were accepted.
func (p *process) writeAndEnd(t *testing.T, end func(*process) error) []string {
	t.Helper()
	const clients = 4
	stop, ids := make(chan struct{}), make(chan []string)
	for c := range clients {
		go func() { ids <- writeUntil(p, c, stop) }()
	}
	testenv.Eventually(t, 20*time.Second, "writes are stored", func() error {
		a, err := call(t.Context(), http.MethodGet, p.api+"/api/operations?limit=500", "")
		if err == nil && strings.Count(string(a.body), `"done"`) < 300 {
			err = errors.New("not many yet")
		}
		return err
	})
	err := end(p)
	close(stop)
	var all []string
	for range clients {
		all = append(all, <-ids...)
	}
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// redisPID is the process ID that up prints of its Redis.
func (p *process) redisPID(t *testing.T) (pid int) {
	t.Helper()
	testenv.Eventually(t, 5*time.Second, "it prints its Redis's process ID", func() error {
		found := regexp.MustCompile(`\(pid (\d+)\)`).FindAllStringSubmatch(p.out.String(), -1)
		if len(found) == 0 {
			return fmt.Errorf("it said %q", p.out.String())
		}
		var err error
		pid, err = strconv.Atoi(found[len(found)-1][1])
		if err == nil {
			err = syscall.Kill(pid, 0) // an earlier start's is gone
		}
		return err
	})
	return pid
}

// writeUntil writes, as fast as it is answered, until stop, and returns the IDs
// of the operations that were accepted. An end in the middle is no failure.
func writeUntil(p *process, client int, stop chan struct{}) (ids []string) {
	for i := 0; ; i++ {
		select {
		case <-stop:
			return ids
		default:
		}
		method, url := http.MethodPost, p.api+"/api/todos"
		if i%2 == 0 {
			method, url = http.MethodPut, fmt.Sprintf("%s/shared-%d", url, i%7)
		}
		a, err := call(context.Background(), method, url, fmt.Sprintf(`{"text":"client %d, write %d"}`, client, i))
		if err != nil {
			<-stop
			return ids
		}
		var o operation
		if a.status == http.StatusAccepted && json.Unmarshal(a.body, &o) == nil {
			ids = append(ids, o.ID)
		}
	}
}

// TestUp_SecondOnOneDirectoryIsRefused: and the first is none the worse for it.
func TestUp_SecondOnOneDirectoryIsRefused(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	first, second := newUp(t, data), newUp(t, data)
	first.Start(t)
	first.awaitAnswer(t)
	second.Start(t)
	status, err := second.wait(20 * time.Second)
	if err != nil {
		t.Fatalf("the second runs: %v", err)
	}
	var exit *exec.ExitError
	if !errors.As(status, &exit) || exit.ExitCode() != 1 || !strings.Contains(second.errOut.String(), "another waybill up uses this data directory") {
		t.Errorf("the second ended %v, saying %q; want 1 and the reason", status, &second.errOut)
	}
	second.forget()
	o := mustCall(t, http.MethodPost, first.api+"/api/messages", `{"content":"still here"}`).want(t, http.StatusAccepted).operation(t)
	awaitDone(t, 10*time.Second, first.api, o.ID)
}

// TestUp_WithoutRedisServer: then the queue is in memory, and both the person and
// the API are told.
func TestUp_WithoutRedisServer(t *testing.T) {
	t.Parallel()
	p := newUp(t, t.TempDir(), "PATH="+t.TempDir())
	p.Start(t)
	if got := p.awaitAnswer(t); got != "memory" {
		t.Errorf("durability %q, want memory", got)
	}
	o := mustCall(t, http.MethodPost, p.api+"/api/messages", `{"content":"Hello"}`).want(t, http.StatusAccepted).operation(t)
	awaitDone(t, 10*time.Second, p.api, o.ID)
	if said := p.out.String(); !strings.Contains(said, "in memory") || !strings.Contains(said, "a crash loses") {
		t.Errorf("it said %q, want that the queue is in memory and what that means", said)
	}
}

// TestUp_CtrlCDrainsAQueueInMemory: up says that it finishes what was accepted,
// and with its queue in memory there is no later time to do so.
func TestUp_CtrlCDrainsAQueueInMemory(t *testing.T) {
	t.Parallel()
	p := newUp(t, t.TempDir(), "PATH="+t.TempDir())
	p.Start(t)
	p.awaitAnswer(t)
	ids := p.writeAndEnd(t, (*process).Interrupt)
	p.Start(t)
	p.awaitAnswer(t)
	awaitDone(t, 10*time.Second, p.api, ids...)
}

// TestSystem_TwoProcessesOnSQLite: an api and a worker share one file.
func TestSystem_TwoProcessesOnSQLite(t *testing.T) {
	t.Parallel()
	s := newSystem(t, testenv.RedisURL(t), "sqlite:"+filepath.Join(t.TempDir(), "waybill.db"), 1, 1)
	w := &writers{s: s, stop: make(chan struct{})}
	w.start(t)
	testenv.Eventually(t, 20*time.Second, "the load runs", func() error { return w.atLeast(100) })
	close(w.stop)
	w.all.Wait()
	awaitDone(t, 30*time.Second, s.apis[0].api, w.ids()...)
	var page struct{ Items []struct{ Version int64 } }
	mustCall(t, http.MethodGet, s.url("/api/todos?limit=500"), "").want(t, http.StatusOK).decode(t, &page)
	if len(page.Items) != 5 {
		t.Errorf("%d todos, want the five that all clients share", len(page.Items))
	}
}
