package rig

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	readyWithin = 30 * time.Second
	endsWithin  = 30 * time.Second
	askEvery    = 20 * time.Millisecond
)

// Process is a program that runs.
type Process struct {
	Name    string
	PID     int
	Addr    string // host:port of its API
	OpsAddr string // of Waybill's operators' listener

	process *os.Process
	log     string        // file
	done    chan struct{} // closed when it has ended
	err     error         // how; after done
}

// start runs a program in a process group of its own, so that a Ctrl-C reaches
// us alone, and bound to die with us.
func (r *Rig) start(program string, args []string, env ...string) (*Process, error) {
	p := &Process{Name: program, log: filepath.Join(r.dir, fmt.Sprintf("%s-%d.log", program, len(r.processes))), done: make(chan struct{})}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, fmt.Errorf("log of %s: %w", program, err)
	}
	started := make(chan error, 1)
	go func() {
		// The death signal goes by the thread that forked: it must live as long as the child.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer func() { _ = log.Close() }()
		cmd := exec.Command(filepath.Join(r.dir, program), args...)
		cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = r.dir, append(environment(), env...), log, log
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		dieWithParent(cmd.SysProcAttr)
		err := cmd.Start()
		p.process = cmd.Process
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	p.PID = p.process.Pid
	r.processes = append(r.processes, p)
	return p, nil
}

// waitFor returns when ready does without an error. A process that is not ready
// in time is stopped.
func (p *Process) waitFor(ctx context.Context, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s ended: %w\n%s", p.Name, errors.Join(p.err, err), p.tail())
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("%s is not ready: %w\n%s", p.Name, err, p.tail()), p.Stop())
		case <-time.After(askEvery):
		}
	}
}

// Stop ends the process in order, or by force if it takes too long. Stopping
// twice is harmless.
func (p *Process) Stop() error {
	if err := p.process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", p.Name, err)
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(endsWithin):
		_ = p.process.Kill()
		<-p.done
		return fmt.Errorf("%s took no notice of SIGTERM and was killed\n%s", p.Name, p.tail())
	}
}

// Warnings returns what the process wrote: its log has warnings and errors alone.
func (p *Process) Warnings() string { return p.tail() }

// tail returns the end of the log.
func (p *Process) tail() string {
	const most = 4 << 10
	log, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(log[max(0, len(log)-most):])
}

// Profile writes a CPU profile of one of Waybill's processes into file.
func (p *Process) Profile(ctx context.Context, d time.Duration, file string) error {
	answer, err := get(ctx, fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", p.OpsAddr, int(d.Seconds())))
	if err != nil {
		return fmt.Errorf("profile %s: %w", p.Name, err)
	}
	return os.WriteFile(file, answer, 0o644)
}

func get(ctx context.Context, url string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 64<<20))
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answered %d: %s", url, answer.StatusCode, body)
	}
	return body, err
}

func answersOK(ctx context.Context, url string) error {
	_, err := get(ctx, url)
	return err
}

func listens(ctx context.Context, addr string) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	return conn.Close()
}

func query(ctx context.Context, database, sql string) error {
	conn, err := pgx.Connect(ctx, database)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, sql)
	return errors.Join(err, conn.Close(ctx))
}
