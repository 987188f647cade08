package app_test

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/waybill-dev/waybill/internal/testenv"
)

var (
	failoverWrites = flag.Int("failover.writes", 1200, "writes of the failover tests; the full number is 50000")
	failoverRate   = flag.Int("failover.rate", 200, "writes a second of the failover tests, at most")
	failoverSeed   = flag.Uint64("failover.seed", 0, "seed of what the failover tests write; 0 draws one")
)

// TestSystem_Failover: the sentinels replace a master under load, and no process
// needs to be started again. What was confirmed with WAIT is stored, all of it.
func TestSystem_Failover(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		safe   bool // with WAIT and min-replicas-to-write
		frozen bool // the old master comes back, and first takes itself for the master
	}{
		{"killed", false, false},
		{"killed, with WAIT", true, false},
		{"frozen", false, true},
		{"frozen, with WAIT", true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newFailover(t, c.safe)
			var load sync.WaitGroup
			load.Go(func() { f.ledger.write(t, *failoverWrites, *failoverRate) })
			f.replaceMaster(t, c.frozen)
			if c.safe {
				f.reunite(t, c.frozen) // or nothing more would be confirmed
				load.Wait()
			} else {
				load.Wait()
				f.reunite(t, c.frozen)
			}
			f.awaitService(t)
			f.settle(t)
			f.check(t, c.safe)
		})
	}
}

// failover is a system on sentinels, and a ledger to write.
type failover struct {
	*system
	sentinels *testenv.Sentinels
	db        *pgx.Conn
	ledger    *ledger
	first     *testenv.Redis // the master at the start
}

func newFailover(t *testing.T, safe bool) *failover {
	t.Helper()
	seed := cmp.Or(*failoverSeed, rand.Uint64())
	t.Logf("to do the same again: -failover.writes=%d -failover.rate=%d -failover.seed=%d", *failoverWrites, *failoverRate, seed)
	var extra, env []string
	if safe {
		extra, env = []string{"--min-replicas-to-write", "1", "--min-replicas-max-lag", "2"}, []string{"WAYBILL_REDIS_WAIT=1"}
	}
	f := &failover{sentinels: testenv.NewSentinels(t, extra...)}
	f.system = newSystem(t, f.sentinels.URL(), testenv.PostgresURL(t), 2, 2, env...)
	f.db, f.first = connectPostgres(t, f.databaseURL), f.sentinels.Nodes[0]
	f.ledger = &ledger{seed: seed, bases: f.bases(), seen: map[string]string{}}
	return f
}

// replaceMaster takes the master away when a fifth of the load is through, and
// waits until the replica is the master.
func (f *failover) replaceMaster(t *testing.T, freeze bool) {
	t.Helper()
	testenv.Eventually(t, time.Minute, "there is load", func() error {
		if n := f.ledger.count(); n < *failoverWrites/5 {
			return fmt.Errorf("%d writes", n)
		}
		return nil
	})
	end := f.first.Kill
	if freeze {
		end = f.first.Pause
	}
	if err := end(); err != nil {
		t.Fatal(err)
	}
	from := time.Now()
	testenv.Eventually(t, 30*time.Second, "the replica is the master", func() error {
		now, err := f.sentinels.Master(t.Context())
		if err == nil && now == f.first {
			err = errors.New("the old one still is")
		}
		return err
	})
	t.Logf("the sentinels replaced the master after %v", time.Since(from).Round(100*time.Millisecond))
}

// reunite brings the old master back, as the replica that it becomes.
func (f *failover) reunite(t *testing.T, frozen bool) {
	t.Helper()
	back := func() error { return f.first.Start(context.Background()) }
	if frozen {
		back = f.first.Resume
	}
	if err := back(); err != nil {
		t.Fatal(err)
	}
	rc := connectRedis(t, f.first.URL())
	testenv.Eventually(t, 40*time.Second, "the old master follows the new one", func() error {
		info, err := rc.Info(t.Context(), "replication").Result()
		if err == nil && !strings.Contains(info, "master_link_status:up") {
			err = errors.New("not yet")
		}
		return err
	})
}

// awaitService waits until every process is ready and every api takes writes.
func (f *failover) awaitService(t *testing.T) {
	t.Helper()
	f.checkAlive(t)
	for _, p := range f.processes() {
		p.awaitReady(t)
	}
	for _, base := range f.bases() {
		testenv.Eventually(t, 30*time.Second, base+" takes writes", func() error {
			a, err := call(t.Context(), http.MethodPost, base+"/api/messages", `{"content":"after"}`, "Prefer", "wait=5")
			if err == nil && a.status != http.StatusCreated {
				err = fmt.Errorf("answer %v", a)
			}
			return err
		})
	}
}

// master is a client of the master of now.
func (f *failover) master(t *testing.T) *redis.Client {
	t.Helper()
	now, err := f.sentinels.Master(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return connectRedis(t, now.URL())
}

func (f *failover) settle(t *testing.T) {
	t.Helper()
	rc := f.master(t)
	testenv.Eventually(t, 3*time.Minute, "the queue is empty", func() error { return checkQueueEmpty(t.Context(), rc) })
}

// check counts what was confirmed and is not stored, and what took effect late.
func (f *failover) check(t *testing.T, safe bool) {
	t.Helper()
	stored := map[string]string{}
	rows, err := f.db.Query(t.Context(), "SELECT id::text, collection FROM operations")
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		var id, collection string
		if err := rows.Scan(&id, &collection); err != nil {
			t.Fatal(err)
		}
		stored[id] = collection
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	lost, seen := 0, map[string]*write{}
	for _, w := range f.ledger.answered {
		if other := seen[w.operation]; other != nil {
			t.Errorf("one operation for two writes: %v and %v", other, w)
		}
		seen[w.operation] = w
		if _, ok := stored[w.operation]; !ok {
			lost++
			if safe {
				t.Errorf("confirmed and not stored: %v", w)
			}
		}
	}
	late := 0.0
	for _, p := range f.workers {
		late += p.metric(t, "waybill_out_of_order_total")
	}
	t.Logf("%v; %d confirmed writes are lost; %v took effect out of order", f.ledger, lost, late)
	if n := count(t, f.db, "SELECT count(*) FROM operations WHERE status NOT IN ('done', 'failed')"); n > 0 {
		t.Errorf("%d operations have not ended", n)
	}
}
