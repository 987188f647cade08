package testenv

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// spy is a testing.TB that notes how a test would have ended, and what it would
// have cleaned up.
type spy struct {
	testing.TB
	ended    string
	cleanups *[]func()
}

func (s *spy) Helper()                    {}
func (s *spy) Skipf(f string, a ...any)   { s.end("skip: "+f, a) }
func (s *spy) Fatalf(f string, a ...any)  { s.end("fail: "+f, a) }
func (s *spy) Cleanup(f func())           { *s.cleanups = append(*s.cleanups, f) }
func (s *spy) end(format string, a []any) { s.ended = fmt.Sprintf(format, a...); panic(s) }
func (s *spy) run(f func()) {
	defer func() {
		if r := recover(); r != nil && r != any(s) {
			panic(r)
		}
	}()
	f()
}

func TestEventually_FailsWithTheLastError(t *testing.T) {
	t.Parallel()
	calls := 0
	s := &spy{TB: t}
	s.run(func() {
		Eventually(s, 30*time.Millisecond, "the thing", func() error { calls++; return fmt.Errorf("call %d", calls) })
	})
	if want := fmt.Sprintf("fail: the thing: not within 30ms: call %d", calls); s.ended != want || calls < 2 {
		t.Errorf("got %q after %d calls, want %q", s.ended, calls, want)
	}
}

func TestEventually_ReturnsOnceItHolds(t *testing.T) {
	t.Parallel()
	calls := 0
	Eventually(t, 10*time.Second, "the third call", func() error {
		if calls++; calls < 3 {
			return errors.New("not yet")
		}
		return nil
	})
	if calls != 3 {
		t.Errorf("%d calls, want 3", calls)
	}
}

func TestUnavailable_SkipsOnlyWhatNobodyRequires(t *testing.T) {
	absent := fmt.Errorf("redis-server: %w", ErrNotInstalled)
	tests := []struct {
		name, require string
		err           error
		want          string
	}{
		{"absent", "", absent, "skip"},
		{"absent, another one required", "postgres", absent, "skip"},
		{"absent and required", "postgres, redis", absent, "fail"},
		{"installed but broken", "", errors.New("no space left"), "fail"},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv(envRequire, c.require)
			s := &spy{TB: t}
			s.run(func() { unavailable(s, "redis", c.err) })
			if how, _, _ := strings.Cut(s.ended, ":"); how != c.want {
				t.Errorf("got %q, want %s", s.ended, c.want)
			}
		})
	}
}

func TestPostgresBin_NeedsInitdbAndPostgresTogether(t *testing.T) {
	lone, both := t.TempDir(), t.TempDir()
	for _, path := range []string{filepath.Join(lone, "postgres"), filepath.Join(both, "postgres"), filepath.Join(both, "initdb")} {
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", lone+string(filepath.ListSeparator)+both)
	if got, err := postgresBin(); got != both || err != nil {
		t.Errorf("postgresBin() = %q, %v; want %q", got, err, both)
	}
}

func TestFreePort_CanBeListenedOn(t *testing.T) {
	t.Parallel()
	port, err := FreePort()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
}

const envHelper = "WAYBILL_TESTENV_HELPER"

// TestHelperProcess is the process that the next test kills: it starts a
// server, says which, and waits for its end.
func TestHelperProcess(t *testing.T) {
	if os.Getenv(envHelper) == "" {
		t.Skip("runs only as a child of the next test")
	}
	r := NewRedis(t)
	fmt.Println(r.PID(), r.scratch.path)
	select {}
}

func TestServer_DiesWithItsProcessAndIsSwept(t *testing.T) {
	NewRedis(t) // skips where there is none
	temp := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run=^TestHelperProcess$")
	cmd.Env = append(os.Environ(), envHelper+"=1", "TMPDIR="+temp)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	var dir string
	_, scanErr := fmt.Fscan(bufio.NewReader(out), &pid, &dir)
	if err := errors.Join(scanErr, cmd.Process.Kill()); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	Eventually(t, 10*time.Second, "the server dies", func() error {
		state, err := processState(pid)
		if err == nil && state != 'Z' {
			return fmt.Errorf("process %d is in state %c", pid, state)
		}
		return nil
	})

	t.Setenv("TMPDIR", temp)
	sweep()
	if _, err := os.Stat(dir); err != nil {
		t.Errorf("a directory that may just have been made was swept: %v", err)
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(lockFile(dir), old, old); err != nil {
		t.Fatal(err)
	}
	sweep()
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory of a killed process: %v, want it swept", err)
	}
}

func TestSweep_LeavesTheDirectoriesOfTheLiving(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	s, err := newScratch("")
	if err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(lockFile(s.path), old, old); err != nil {
		t.Fatal(err)
	}
	sweep()
	if _, err := os.Stat(s.path); err != nil {
		t.Error(err)
	}
	if err := s.remove(); err != nil {
		t.Error(err)
	}
}
