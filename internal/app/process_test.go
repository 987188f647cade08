package app_test

import (
	"bytes"
	"cmp"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/waybill-dev/waybill/internal/testenv"
)

var commandsDir = flag.String("commands", "", "use the commands in this directory instead of building them")

// built are the commands, built once for all tests.
var built commands

type commands struct {
	once sync.Once
	dir  string
	err  error
}

// path returns where the command name (api, worker, waybill) is.
func (c *commands) path(t testing.TB, name string) string {
	t.Helper()
	c.once.Do(func() {
		if *commandsDir != "" {
			return
		}
		if c.dir, c.err = os.MkdirTemp("", "waybill-app-test-"); c.err != nil { //nolint:usetesting // it outlives the test that builds
			return
		}
		args := append([]string{"build", "-buildvcs=false", "-o", c.dir + string(filepath.Separator)}, raceFlag...)
		out, err := exec.Command("go", append(args, "../../cmd/...")...).CombinedOutput()
		if err != nil {
			c.err = fmt.Errorf("go build: %w\n%s", err, out)
		}
	})
	if c.err != nil {
		t.Fatal(c.err)
	}
	return filepath.Join(cmp.Or(*commandsDir, c.dir), name)
}

func (c *commands) remove() error { return os.RemoveAll(c.dir) }

// ports are those given out by freePort: two processes that have not bound
// theirs yet must not get the same.
var ports sync.Map

func freePort(t testing.TB) int {
	t.Helper()
	for {
		port, err := testenv.FreePort()
		if err != nil {
			t.Fatal(err)
		}
		if _, taken := ports.LoadOrStore(port, true); !taken {
			return port
		}
	}
}

// process is one of Waybill's commands, which can be killed and started again
// with the same settings and addresses.
type process struct {
	name, path  string
	args, env   []string
	dir         string // working directory: one without a waybill.yaml
	api, ops    string // base URLs
	out, errOut output

	mu  sync.Mutex
	run *run // nil before the first start
}

// run is one life of a process.
type run struct {
	pid    int
	ended  chan struct{} // closed when it was reaped
	status error         // how it ended, once ended is closed
}

// newProcess prepares the command name with its own addresses and the settings
// in env. It ends with the test, in order (a disorderly end fails the test), and
// what it said is shown if the test failed.
func newProcess(t testing.TB, name string, args []string, env ...string) *process {
	t.Helper()
	p := &process{name: name, path: built.path(t, name), args: args, dir: t.TempDir()}
	api, ops := fmt.Sprintf("127.0.0.1:%d", freePort(t)), fmt.Sprintf("127.0.0.1:%d", freePort(t))
	p.api, p.ops = "http://"+api, "http://"+ops
	p.env = append([]string{
		"PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir(), "GOTRACEBACK=all",
		"WAYBILL_LISTEN=" + api, "WAYBILL_OPS_LISTEN=" + ops,
	}, env...)
	t.Cleanup(func() {
		if err := p.Terminate(); err != nil {
			t.Errorf("%s: %v", p.name, err)
		}
		p.check(t)
	})
	return p
}

// check fails the test over what no process may ever say, and shows the log of
// a failed test.
func (p *process) check(t testing.TB) {
	t.Helper()
	const most = 3 << 10
	said := p.errOut.String()
	for _, bad := range []string{"WARNING: DATA RACE", "panic:", "fatal error:"} {
		if i := bytes.Index([]byte(said), []byte(bad)); i >= 0 {
			t.Errorf("%s said:\n%s", p.name, said[i:min(len(said), i+most)])
		}
	}
	if t.Failed() {
		t.Logf("%s at %s said last:\n%s", p.name, p.ops, said[max(0, len(said)-most):])
	}
}

// Start starts the process, and returns when it has been forked.
func (p *process) Start(t testing.TB) {
	t.Helper()
	if err := p.start(); err != nil {
		t.Fatalf("start %s: %v", p.name, err)
	}
}

func (p *process) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := &run{ended: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		// The kernel ends a child when the thread that forked it ends.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		cmd := exec.Command(p.path, p.args...)
		cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = p.dir, p.env, &p.out, &p.errOut
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		cmd.WaitDelay = time.Second // a child of its own that has our pipe must not hold us up
		dieWithParent(cmd.SysProcAttr)
		err := cmd.Start()
		if err == nil {
			r.pid = cmd.Process.Pid
		}
		started <- err
		if err == nil {
			r.status = cmd.Wait()
			close(r.ended)
		}
	}()
	if err := <-started; err != nil {
		return err
	}
	p.run = r
	return nil
}

// Signal sends sig, if the process runs.
func (p *process) Signal(sig syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.run == nil {
		return nil
	}
	select {
	case <-p.run.ended:
		return nil
	default:
		return syscall.Kill(p.run.pid, sig)
	}
}

// Kill ends the process with SIGKILL and returns when it is gone.
func (p *process) Kill() error {
	if err := p.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.run != nil {
		<-p.run.ended
		p.run = nil
	}
	return nil
}

// forget makes nothing of how the process ended by itself.
func (p *process) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.run = nil
}

// shutdownWithin is more than the shutdown timeout of 20 s.
const shutdownWithin = 30 * time.Second

var errSlow = errors.New("did not end in time")

// Terminate asks the process to end, and returns an error if it does not, or not
// in order. A process that does not run is fine.
func (p *process) Terminate() error { return p.end(syscall.SIGTERM) }

// Interrupt does as Ctrl-C does, and then as Terminate.
func (p *process) Interrupt() error { return p.end(syscall.SIGINT) }

func (p *process) end(sig syscall.Signal) error {
	if err := errors.Join(p.Signal(syscall.SIGCONT), p.Signal(sig)); err != nil {
		return err
	}
	status, err := p.wait(shutdownWithin)
	if err != nil {
		_ = p.Signal(syscall.SIGQUIT) // its stacks go into the log
		_, _ = p.wait(5 * time.Second)
		return errors.Join(fmt.Errorf("%v: %w", sig, err), p.Kill())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.run = nil
	if status != nil {
		return fmt.Errorf("after %v: %w", sig, status)
	}
	return nil
}

// wait returns the status with which the process ended (nil: in order).
func (p *process) wait(within time.Duration) (status, err error) {
	p.mu.Lock()
	r := p.run
	p.mu.Unlock()
	if r == nil {
		return nil, nil
	}
	select {
	case <-r.ended:
		return r.status, nil
	case <-time.After(within):
		return nil, errSlow
	}
}

// output is what a process says; it may be read while it is written.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
