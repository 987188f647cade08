package testenv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

const (
	startWithin = 60 * time.Second // Postgres may have a crash to recover from
	endWithin   = 20 * time.Second
	startTries  = 10
)

// server is what Redis and Postgres have in common: a process with a port and a
// directory, that can be ended and started again. Its methods may be called
// from any goroutine.
type server struct {
	name     string
	command  func(port int) command
	ready    func(ctx context.Context, pid int) error // nil once the process pid serves
	stop     syscall.Signal                           // ends it in order, keeping its data
	scratch  *scratch
	freePort bool // choose another port if this one is taken

	mu     sync.Mutex
	port   int
	child  *child // nil when it does not run
	closed bool
}

// open starts the server for the first time, on port (0: a free one).
func (s *server) open(ctx context.Context, port int) error {
	s.port, s.freePort = port, port == 0
	err := s.Start(ctx)
	s.freePort = false
	if err != nil {
		return errors.Join(err, s.Close())
	}
	return nil
}

// Start starts the server again after Kill or Stop, with the same port and
// directory, and returns when it serves. ctx bounds the start alone. Starting a
// server that runs does nothing.
func (s *server) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fmt.Errorf("start %s: %w", s.name, os.ErrClosed)
	}
	if s.child != nil && !s.child.ended() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	for try := 1; ; try++ {
		output, err := s.launch(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil || try == startTries || !passing(output) {
			return fmt.Errorf("start %s: %w\n%s", s.name, err, output)
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(try) * 20 * time.Millisecond):
		}
	}
}

// passing says whether what a server wrote before it ended speaks of trouble
// that goes away: a port taken since we chose it, or the last of a killed
// PostgreSQL's children.
func passing(output []byte) bool {
	output = bytes.ToLower(output)
	return bytes.Contains(output, []byte("address already in use")) ||
		bytes.Contains(output, []byte("pre-existing shared memory block"))
}

// launch runs the server once and waits until it serves. If it does not, the
// process is ended again and launch returns what it wrote.
func (s *server) launch(ctx context.Context) (output []byte, err error) {
	if s.freePort {
		if s.port, err = FreePort(); err != nil {
			return nil, err
		}
	}
	log, err := os.OpenFile(s.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("server log: %w", err)
	}
	before, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("server log: %w", err), log.Close())
	}
	k, err := launch(s.command(s.port), log)
	if err != nil {
		return nil, err
	}
	err = poll(ctx, func() error {
		if k.ended() {
			return permanent{errors.New("the process ended")}
		}
		return s.ready(ctx, k.process.Pid)
	})
	if err == nil {
		s.child = k
		return nil, nil
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), endWithin)
	defer cancel()
	err = errors.Join(err, k.kill(ending))
	all, readErr := os.ReadFile(s.logFile())
	return all[min(int(before), len(all)):], errors.Join(err, readErr)
}

func (s *server) logFile() string { return filepath.Join(s.scratch.path, "server.log") }

// PID returns the server's process ID, 0 when it does not run.
func (s *server) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.child == nil || s.child.ended() {
		return 0
	}
	return s.child.process.Pid
}

// Addr returns the server's "127.0.0.1:port".
func (s *server) Addr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addr()
}

func (s *server) addr() string { return fmt.Sprintf("127.0.0.1:%d", s.port) }

// Kill ends the server and its children with SIGKILL, and returns when they are
// gone. What it had on disk stays for Start.
func (s *server) Kill() error {
	return s.onChild("kill", func(ctx context.Context, k *child) error { return k.kill(ctx) })
}

// Stop ends the server in order (clients are cut off, data is kept), and
// returns when it is gone.
func (s *server) Stop() error {
	return s.onChild("stop", func(ctx context.Context, k *child) error {
		return errors.Join(k.thaw(), k.end(ctx, s.stop))
	})
}

// Pause freezes the server and its children: connections stay open and nothing
// answers, as when a machine hangs.
func (s *server) Pause() error {
	return s.onChild("pause", func(ctx context.Context, k *child) error {
		_, err := k.freeze(ctx)
		return err
	})
}

// Resume lets a paused server go on.
func (s *server) Resume() error {
	return s.onChild("resume", func(_ context.Context, k *child) error { return k.thaw() })
}

// Close kills the server, and removes its directory unless the caller named it.
// Closing twice is harmless.
func (s *server) Close() error {
	err := s.Kill()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return err
	}
	s.closed = true
	return errors.Join(err, s.scratch.remove())
}

// onChild does f to the running process; there is nothing to do if none runs.
func (s *server) onChild(what string, f func(context.Context, *child) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.child == nil || s.child.ended() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), endWithin)
	defer cancel()
	if err := f(ctx, s.child); err != nil {
		return fmt.Errorf("%s %s: %w", what, s.name, err)
	}
	return nil
}
