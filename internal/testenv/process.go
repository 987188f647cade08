package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// command is how a server is run.
type command struct {
	path     string
	args     []string
	dir      string              // working directory
	user     *syscall.Credential // nil: ours
	deathsig syscall.Signal      // what it gets when we die
}

// child is one run of a server, in a process group of its own so that a Ctrl-C
// at the terminal reaches only us.
type child struct {
	process *os.Process
	done    chan struct{} // closed when it has ended and was reaped
}

// launch starts c with its output appended to log, which it closes.
func launch(c command, log *os.File) (*child, error) {
	k := &child{done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		// The death signal goes by the thread that forked, not by the process:
		// that thread must live as long as the child.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer func() { _ = log.Close() }()

		cmd := exec.Command(c.path, c.args...)
		cmd.Dir, cmd.Env = c.dir, plainEnv()
		cmd.Stdout, cmd.Stderr = log, log
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: c.user}
		dieWithParent(cmd.SysProcAttr, c.deathsig)
		err := cmd.Start()
		k.process = cmd.Process
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is in its log
			close(k.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", c.path, err)
	}
	return k, nil
}

// plainEnv is our environment with messages in English, as we search them.
func plainEnv() []string { return append(os.Environ(), "LC_ALL=C") }

func (k *child) ended() bool {
	select {
	case <-k.done:
		return true
	default:
		return false
	}
}

// freeze stops the process and then its children (which it cannot make more of),
// and returns the children.
func (k *child) freeze(ctx context.Context) ([]*os.Process, error) {
	if err := k.process.Signal(syscall.SIGSTOP); err != nil {
		return nil, fmt.Errorf("stop process %d: %w", k.process.Pid, err)
	}
	err := poll(ctx, func() error {
		if k.ended() {
			return permanent{os.ErrProcessDone}
		}
		state, err := processState(k.process.Pid)
		if err == nil && state != 'T' {
			err = fmt.Errorf("process %d has not stopped yet", k.process.Pid)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	children, err := childrenOf(k.process.Pid)
	if err != nil {
		return nil, err
	}
	return children, signalAll(children, syscall.SIGSTOP)
}

// thaw lets the children and then the process go on.
func (k *child) thaw() error {
	children, err := childrenOf(k.process.Pid)
	if err != nil {
		return err
	}
	return errors.Join(signalAll(children, syscall.SIGCONT), k.process.Signal(syscall.SIGCONT))
}

// kill ends the process and its children with SIGKILL, at one moment as far as
// anyone outside can tell, and returns when all are gone.
func (k *child) kill(ctx context.Context) error {
	children, err := k.freeze(ctx)
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	err = errors.Join(err, signalAll(append([]*os.Process{k.process}, children...), syscall.SIGKILL))
	<-k.done
	return errors.Join(err, poll(ctx, func() error {
		for _, p := range children {
			if state, err := processState(p.Pid); err == nil && state != 'Z' {
				return fmt.Errorf("process %d outlives SIGKILL", p.Pid)
			}
		}
		return nil
	}))
}

// end asks the process to end with sig and waits; what does not obey is killed.
func (k *child) end(ctx context.Context, sig syscall.Signal) error {
	if err := k.process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal process %d: %w", k.process.Pid, err)
	}
	select {
	case <-k.done:
		return nil
	case <-ctx.Done():
		killing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		return errors.Join(fmt.Errorf("process %d took no notice of %v", k.process.Pid, sig), k.kill(killing))
	}
}

func signalAll(processes []*os.Process, sig syscall.Signal) error {
	var errs []error
	for _, p := range processes {
		if err := p.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
			errs = append(errs, fmt.Errorf("signal process %d: %w", p.Pid, err))
		}
	}
	return errors.Join(errs...)
}

// childrenOf returns the processes whose parent is pid. os.Process holds each
// by a handle where the system has one, so that a reused number harms no one.
func childrenOf(pid int) ([]*os.Process, error) {
	all, err := processTable()
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var children []*os.Process
	for _, row := range all {
		if row.parent != pid {
			continue
		}
		if p, err := os.FindProcess(row.pid); err == nil {
			children = append(children, p)
		}
	}
	return children, nil
}

// processState returns the state letter of a process: R, S, T (stopped), Z
// (zombie) and so on; os.ErrProcessDone if there is no such process.
func processState(pid int) (byte, error) {
	all, err := processTable()
	if err != nil {
		return 0, fmt.Errorf("list processes: %w", err)
	}
	for _, row := range all {
		if row.pid == pid {
			return row.state, nil
		}
	}
	return 0, os.ErrProcessDone
}

// processRow is what we need to know of a process.
type processRow struct {
	pid, parent int
	state       byte
}
