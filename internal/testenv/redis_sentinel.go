package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// MasterName is how the sentinels call what they watch over.
const MasterName = "tests"

// downAfter is how long a master may be silent before its sentinels replace it.
const downAfter = time.Second

// Sentinels are three sentinels, and the master and the replica they watch over.
// Every one of the five loses nothing that it acknowledged.
type Sentinels struct {
	Nodes     []*Redis // the first is the master at the start
	Sentinels []*Redis
}

// NewSentinels starts a master with a replica, both with the arguments in extra,
// and three sentinels, and returns when these could replace the master. Without a
// Redis installed the test is skipped, as by NewRedis.
func NewSentinels(t testing.TB, extra ...string) *Sentinels {
	t.Helper()
	s := &Sentinels{}
	master := newRedis(t, RedisOptions{Extra: extra})
	host, port, _ := strings.Cut(master.Addr(), ":")
	replica := newRedis(t, RedisOptions{Extra: append([]string{"--replicaof", host + " " + port}, extra...)})
	s.Nodes = []*Redis{master, replica}
	for range 3 {
		one, err := startSentinel(t.Context(), master.Addr(), replica.Addr())
		if err != nil {
			unavailable(t, "redis", err)
		}
		closeAfter(t, &one.server)
		s.Sentinels = append(s.Sentinels, one)
	}
	Eventually(t, startWithin, "the sentinels are ready", func() error {
		for _, one := range s.Sentinels {
			if err := watching(t.Context(), one.Addr()); err != nil {
				return err
			}
		}
		return s.replicating(t.Context())
	})
	return s
}

// startSentinel starts a sentinel over master. It would find replica by itself, in
// ten seconds. Its file keeps, through restarts, what it has found out.
func startSentinel(ctx context.Context, master, replica string) (*Redis, error) {
	path, err := redisBinary()
	if err != nil {
		return nil, err
	}
	dir, err := newScratch("")
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir.path, "sentinel.conf")
	settings := fmt.Sprintf("dir %q\nsentinel monitor %[2]s %[3]s 2\nsentinel down-after-milliseconds %[2]s %[4]d\n"+
		"sentinel failover-timeout %[2]s 5000\nsentinel known-replica %[2]s %[5]s\n",
		dir.path, MasterName, strings.Replace(master, ":", " ", 1), downAfter.Milliseconds(), strings.Replace(replica, ":", " ", 1))
	if err := os.WriteFile(file, []byte(settings), 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("sentinel's file: %w", err), dir.remove())
	}
	r := &Redis{server: server{name: "sentinel", scratch: dir, stop: syscall.SIGTERM}}
	r.command = func(port int) command {
		args := []string{file, "--sentinel", "--bind", "127.0.0.1", "--port", strconv.Itoa(port)}
		return command{path: path, args: args, dir: dir.path, deathsig: syscall.SIGKILL}
	}
	r.ready = func(ctx context.Context, pid int) error { return redisReady(ctx, r.addr(), nil, pid) }
	if err := r.open(ctx, 0); err != nil {
		return nil, err
	}
	return r, nil
}

// watching says whether the sentinel at addr knows the replica and the other sentinels.
func watching(ctx context.Context, addr string) error {
	c := redis.NewSentinelClient(&redis.Options{Addr: addr})
	defer func() { _ = c.Close() }()
	master, err := c.Master(ctx, MasterName).Result()
	if err == nil && (master["num-slaves"] != "1" || master["num-other-sentinels"] != "2" || master["flags"] != "master") {
		err = fmt.Errorf("sentinel %s knows of %s replicas and %s other sentinels; master is %s",
			addr, master["num-slaves"], master["num-other-sentinels"], master["flags"])
	}
	return err
}

// replicating says whether the master has its replica.
func (s *Sentinels) replicating(ctx context.Context) error {
	master, err := s.Master(ctx)
	if err != nil {
		return err
	}
	c := redis.NewClient(&redis.Options{Addr: master.Addr()})
	defer func() { _ = c.Close() }()
	info, err := c.Info(ctx, "replication").Result()
	if err == nil && !strings.Contains(info, "state=online") {
		err = errors.New("the replica is not connected")
	}
	return err
}

// Master returns the node that is the master now, as a sentinel has it.
func (s *Sentinels) Master(ctx context.Context) (*Redis, error) {
	c := redis.NewSentinelClient(&redis.Options{Addr: s.Sentinels[0].Addr()})
	defer func() { _ = c.Close() }()
	addr, err := c.GetMasterAddrByName(ctx, MasterName).Result()
	if err != nil {
		return nil, fmt.Errorf("ask for the master: %w", err)
	}
	for _, node := range s.Nodes {
		if node.Addr() == strings.Join(addr, ":") {
			return node, nil
		}
	}
	return nil, fmt.Errorf("the master is %v, which is not ours", addr)
}

// URL returns the redis-sentinel:// URL of the set, with database 0.
func (s *Sentinels) URL() string {
	var addrs []string
	for _, one := range s.Sentinels {
		addrs = append(addrs, one.Addr())
	}
	return "redis-sentinel://" + strings.Join(addrs, ",") + "/0?master=" + MasterName
}
