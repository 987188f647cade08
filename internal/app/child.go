package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

// childRedis is a Redis server that this process started, with its append-only
// file under the data directory. It listens on a Unix socket alone.
type childRedis struct {
	name, dir, socket string
	command           *exec.Cmd
	output            *tail
	exited            chan struct{}
	once              sync.Once
}

// findServer returns the path of a Redis server on PATH, "" for none.
func findServer() string {
	for _, name := range []string{"redis-server", "valkey-server"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// maxSocketPath is what a Unix socket's path may have, in bytes (sockaddr_un).
const maxSocketPath = 100

// startChild starts the server at path on dir and waits until it answers. The
// child holds lock too: should it outlive us for a moment, nobody else starts one
// on the same files meanwhile.
func startChild(ctx context.Context, path, dir string, lock *os.File, log *slog.Logger) (*childRedis, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("start Redis: %w", err)
	}
	c := &childRedis{name: filepath.Base(path), dir: dir, socket: filepath.Join(dir, "redis.sock"), output: &tail{}, exited: make(chan struct{})}
	if len(c.socket) > maxSocketPath {
		short, err := os.MkdirTemp("", "waybill")
		if err != nil {
			return nil, fmt.Errorf("start Redis: %w", err)
		}
		c.socket = filepath.Join(short, "redis.sock")
	}
	c.command = exec.Command(path, "--port", "0", "--unixsocket", c.socket, "--unixsocketperm", "600",
		"--dir", dir, "--appendonly", "yes", "--appendfsync", "always", "--save", "", "--maxmemory-policy", "noeviction", "--daemonize", "no")
	c.command.Stdout, c.command.Stderr = c.output, c.output
	c.command.SysProcAttr = childAttributes()
	c.command.ExtraFiles = []*os.File{lock}
	if err := c.start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.name, err)
	}
	if err := c.await(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	log.Debug("started Redis", "server", path, "pid", c.command.Process.Pid)
	return c, nil
}

// start starts the process from a thread of its own, which stays as long as the
// child: the kernel ends the child when the thread that started it ends.
func (c *childRedis) start() error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := c.command.Start()
		started <- err
		if err == nil {
			_ = c.command.Wait()
			close(c.exited)
		}
	}()
	return <-started
}

// await waits until the server has loaded its data and answers.
func (c *childRedis) await(ctx context.Context) error {
	client := redis.NewClient(&redis.Options{Network: "unix", Addr: c.socket, MaxRetries: -1})
	defer func() { _ = client.Close() }()
	for {
		err := client.Ping(ctx).Err()
		if err == nil {
			return nil
		}
		select {
		case <-c.exited:
			return fmt.Errorf("%s ended at once; it said: %s", c.name, c.output)
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer (%w); it said: %s", c.name, err, c.output)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (c *childRedis) URL() string { return "unix://" + c.socket }

func (c *childRedis) Describe() string {
	return fmt.Sprintf("%s (pid %d), its log in %s", c.name, c.command.Process.Pid, c.dir)
}

func (c *childRedis) Durability() string { return "" }

// Close ends the server, which writes out what it has, and waits for it.
func (c *childRedis) Close() error {
	var err error
	c.once.Do(func() {
		_ = c.command.Process.Signal(syscall.SIGTERM)
		select {
		case <-c.exited:
		case <-time.After(10 * time.Second):
			err = c.command.Process.Kill()
			<-c.exited
		}
		if filepath.Dir(c.socket) != c.dir {
			err = errors.Join(err, os.RemoveAll(filepath.Dir(c.socket)))
		}
	})
	return err
}

// tail keeps the last of what a child said.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const tailBytes = 2000

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if n := len(t.text) - tailBytes; n > 0 {
		t.text = bytes.Clone(t.text[n:])
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.text))
}
