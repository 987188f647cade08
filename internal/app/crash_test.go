package app_test

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/waybill-dev/waybill/internal/testenv"
)

var (
	crashWrites = flag.Int("crash.writes", 1500, "writes of the crash tests; the full number is 50000")
	crashRate   = flag.Int("crash.rate", 150, "writes a second of the crash tests, at most")
	crashSeed   = flag.Uint64("crash.seed", 0, "seed of the crash tests: what is written, who is killed and when; 0 draws one")
)

// TestSystem_CrashLedger: 32 clients write while processes are killed at random,
// and keep a ledger of what they were told. In the end the database must hold
// what the ledger says, and what the queue took, exactly once and in order.
func TestSystem_CrashLedger(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		writes  int
		servers bool // Redis and Postgres are killed too
	}{
		{"api and worker", *crashWrites, false},
		{"Redis and Postgres too", *crashWrites / 3, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newCrashBench(t)
			k := &killer{random: rand.New(rand.NewPCG(b.ledger.seed, 0)), victims: b.victims()}
			if c.servers {
				k.victims = append(k.victims, serverVictim("Redis", b.redis), serverVictim("Postgres", b.postgres))
			}
			ctx, cancel := context.WithCancel(t.Context())
			var others sync.WaitGroup
			others.Go(func() { k.run(ctx, t) })
			others.Go(func() { b.ledger.watch(ctx, t) })
			b.ledger.write(t, c.writes, *crashRate)
			cancel()
			others.Wait()
			t.Logf("%d kills; %v", k.kills, b.ledger)
			b.audit().run(t)
		})
	}
}

// TestSystem_FrozenWorkers: two of four workers freeze with tasks in hand, for
// longer than their leases, and wake up as zombies when others have done their
// work. Nobody waits for them for long, and they change nothing any more.
func TestSystem_FrozenWorkers(t *testing.T) {
	t.Parallel()
	b := newCrashBench(t)
	ctx, cancel := context.WithCancel(t.Context())
	var others sync.WaitGroup
	others.Go(func() { b.ledger.watch(ctx, t) })
	frozen, awake := b.workers[:2], b.workers[2:]
	signalAll(t, syscall.SIGSTOP, awake) // at first, so that only the others have tasks
	others.Go(func() { b.ledger.write(t, *crashWrites/3, *crashRate) })
	rc := connectRedis(t, b.redisURL)
	testenv.Eventually(t, 20*time.Second, "workers freeze with tasks in hand", func() error {
		signalAll(t, syscall.SIGSTOP, frozen)
		if n, err := rc.LLen(t.Context(), "asynq:{writes}:active").Result(); err != nil || n == 0 {
			signalAll(t, syscall.SIGCONT, frozen)
			return fmt.Errorf("%d tasks are in hand (%w)", n, err)
		}
		return nil
	})
	signalAll(t, syscall.SIGCONT, awake)
	from := time.Now()
	testenv.Eventually(t, 20*time.Second, "the load runs on", func() error {
		if n := b.ledger.count(); n < *crashWrites/3 {
			return fmt.Errorf("%d writes", n)
		}
		return nil
	})
	b.audit().settle(t)
	t.Logf("the other workers were through %v after the freeze", time.Since(from).Round(time.Second))
	signalAll(t, syscall.SIGCONT, frozen)
	for _, p := range frozen {
		p.awaitReady(t)
	}
	cancel()
	others.Wait()
	t.Log(b.ledger)
	b.audit().run(t)
}

func signalAll(t *testing.T, sig syscall.Signal, processes []*process) {
	t.Helper()
	for _, p := range processes {
		if err := p.Signal(sig); err != nil {
			t.Fatal(err)
		}
	}
}

// crashBench is a system with servers of its own, and a ledger to write.
type crashBench struct {
	*system
	redis    *testenv.Redis
	postgres *testenv.Postgres
	ledger   *ledger
	aof      string
}

// newCrashBench starts 2 apis and 4 workers.
func newCrashBench(t *testing.T) *crashBench {
	t.Helper()
	seed := cmp.Or(*crashSeed, rand.Uint64())
	t.Logf("to do the same again: -crash.writes=%d -crash.rate=%d -crash.seed=%d", *crashWrites, *crashRate, seed)
	dir := t.TempDir()
	b := &crashBench{redis: startCrashRedis(t, dir), postgres: testenv.NewPostgres(t), aof: filepath.Join(dir, "appendonlydir")}
	b.system = newSystem(t, b.redis.URL(), b.postgres.URL(), 2, 4)
	b.ledger = &ledger{seed: seed, bases: b.bases(), seen: map[string]string{}}
	return b
}

func (b *crashBench) audit() *audit { return &audit{system: b.system, ledger: b.ledger, aof: b.aof} }

// startCrashRedis starts a Redis in dir that never rewrites its append-only
// file: it then holds every task there ever was.
func startCrashRedis(t *testing.T, dir string) *testenv.Redis {
	t.Helper()
	return startOwnRedis(t, testenv.RedisOptions{Dir: dir, Extra: []string{"--auto-aof-rewrite-percentage", "0"}})
}

// startOwnRedis is testenv.NewRedis with options.
func startOwnRedis(t *testing.T, o testenv.RedisOptions) *testenv.Redis {
	t.Helper()
	r, err := testenv.StartRedis(t.Context(), o)
	if errors.Is(err, testenv.ErrNotInstalled) && !strings.Contains(os.Getenv("WAYBILL_TEST_REQUIRE"), "redis") {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func (s *system) bases() []string {
	var all []string
	for _, p := range s.apis {
		all = append(all, p.api)
	}
	return all
}

// victim is something that can be killed and started again.
type victim struct {
	name        string
	kill, start func() error
}

func (s *system) victims() []victim {
	var all []victim
	for i, p := range s.processes() {
		all = append(all, victim{fmt.Sprintf("%s %d", p.name, i), p.Kill, p.start})
	}
	return all
}

func serverVictim(name string, s interface {
	Kill() error
	Start(ctx context.Context) error
},
) victim {
	return victim{name, s.Kill, func() error { return s.Start(context.Background()) }}
}

// killer kills one victim after another with SIGKILL, and starts each again.
type killer struct {
	random  *rand.Rand
	victims []victim
	kills   int
}

// run kills until ctx ends; then all victims run.
func (k *killer) run(ctx context.Context, t *testing.T) {
	for {
		between := 200*time.Millisecond + time.Duration(k.random.Int64N(int64(900*time.Millisecond)))
		down := time.Duration(k.random.Int64N(int64(400 * time.Millisecond)))
		v := k.victims[k.random.IntN(len(k.victims))]
		select {
		case <-ctx.Done():
			return
		case <-time.After(between):
		}
		if err := v.kill(); err != nil {
			t.Errorf("kill %s: %v", v.name, err)
			return
		}
		k.kills++
		select {
		case <-ctx.Done():
		case <-time.After(down):
		}
		if err := v.start(); err != nil {
			t.Errorf("start %s again: %v", v.name, err)
			return
		}
	}
}
