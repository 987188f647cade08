// Package rig is the machine that the comparisons run on: a throw-away Redis
// (every write fsynced) and PostgreSQL, the programs built from this checkout and
// run as processes of their own, and what /proc and INFO tell of them. It knows
// how to start things and read their meters; what is compared is bench's matter.
package rig

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/waybill-dev/waybill/internal/testenv"
)

// The programs that New builds.
const (
	API      = "api"
	Worker   = "worker"
	Baseline = "baseline"
	Receiver = "receiver"
)

var packages = map[string]string{
	API:      "github.com/waybill-dev/waybill/cmd/api",
	Worker:   "github.com/waybill-dev/waybill/cmd/worker",
	Baseline: "github.com/waybill-dev/waybill/bench/baseline",
	Receiver: "github.com/waybill-dev/waybill/bench/receiver",
}

// Rig is one such machine. Its processes end with it.
type Rig struct {
	Redis    *testenv.Redis
	Postgres *testenv.Postgres

	rc        *redis.Client
	dir       string // programs, logs; their working directory
	processes []*Process
}

// New builds the programs and starts the servers, telling log what it does. It
// must be run inside the checkout.
func New(ctx context.Context, log io.Writer) (*Rig, error) {
	dir, err := os.MkdirTemp("", "waybill-bench-")
	if err != nil {
		return nil, fmt.Errorf("bench directory: %w", err)
	}
	r := &Rig{dir: dir}
	if err := r.open(ctx, log); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

func (r *Rig) open(ctx context.Context, log io.Writer) (err error) {
	fmt.Fprintln(log, "building api, worker, the baseline and the receiver")
	for name, path := range packages {
		build := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(r.dir, name), path)
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("go build %s: %w\n%s", path, err, out)
		}
	}
	fmt.Fprintln(log, "starting Redis (appendfsync always) and PostgreSQL (fsync on)")
	if r.Redis, err = testenv.StartRedis(ctx, testenv.RedisOptions{}); err != nil {
		return err
	}
	if r.Postgres, err = testenv.StartPostgres(ctx, testenv.PostgresOptions{Fsync: true}); err != nil {
		return err
	}
	o, err := redis.ParseURL(r.Redis.URL())
	if err != nil {
		return fmt.Errorf("redis URL: %w", err)
	}
	o.PoolSize = 1
	r.rc = redis.NewClient(o)
	return nil
}

// Close ends everything and removes the files.
func (r *Rig) Close() error {
	var all []error
	for _, p := range r.processes {
		all = append(all, p.Stop())
	}
	if r.rc != nil {
		all = append(all, r.rc.Close())
	}
	if r.Redis != nil {
		all = append(all, r.Redis.Close())
	}
	if r.Postgres != nil {
		all = append(all, r.Postgres.Close())
	}
	return errors.Join(append(all, os.RemoveAll(r.dir))...)
}

// NewDatabase makes an empty database and returns its URL.
func (r *Rig) NewDatabase(ctx context.Context) (string, error) { return r.Postgres.NewDatabase(ctx) }

// StartAPI starts Waybill's api on the database given and returns when it is ready.
func (r *Rig) StartAPI(ctx context.Context, database string) (*Process, error) {
	return r.startWaybill(ctx, API, database)
}

// StartWorker starts Waybill's worker likewise.
func (r *Rig) StartWorker(ctx context.Context, database string) (*Process, error) {
	return r.startWaybill(ctx, Worker, database)
}

// secret seals subscriptions' secrets, which nobody wants to know here.
const secret = "the bench keeps no secrets, not one"

// AdminKey is a key that may do everything.
const AdminKey = "wb_bench_the-bench-keeps-no-secrets-not-one"

// startWaybill runs a program of Waybill's with the settings that it needs and
// every other one as it comes.
func (r *Rig) startWaybill(ctx context.Context, program, database string) (*Process, error) {
	listen, err := address()
	if err != nil {
		return nil, err
	}
	ops, err := address()
	if err != nil {
		return nil, err
	}
	p, err := r.start(program, nil, "REDIS_URL="+r.Redis.URL(), "DATABASE_URL="+database,
		"WAYBILL_LISTEN="+listen, "WAYBILL_OPS_LISTEN="+ops, "WAYBILL_LOG_LEVEL=warn",
		"WAYBILL_SECRET="+secret, "WAYBILL_WEBHOOK_ALLOW_CIDRS=127.0.0.0/8", "WAYBILL_ADMIN_KEY="+AdminKey)
	if err != nil {
		return nil, err
	}
	p.Addr, p.OpsAddr = listen, ops
	return p, p.waitFor(ctx, func(ctx context.Context) error { return answersOK(ctx, "http://"+ops+"/readyz") })
}

// StartBaseline starts the baseline in a role, with flags, and returns when it
// is ready: an API when it listens, a worker when its table is there.
func (r *Rig) StartBaseline(ctx context.Context, role, database string, flags ...string) (*Process, error) {
	listen, err := address()
	if err != nil {
		return nil, err
	}
	args := append([]string{role, "-listen", listen, "-redis", r.Redis.URL(), "-database", database}, flags...)
	p, err := r.start(Baseline, args)
	if err != nil {
		return nil, err
	}
	p.Name, p.Addr = Baseline+" "+role, listen
	if role == "worker" {
		return p, p.waitFor(ctx, func(ctx context.Context) error { return query(ctx, database, "SELECT FROM messages LIMIT 1") })
	}
	return p, p.waitFor(ctx, func(ctx context.Context) error { return listens(ctx, listen) })
}

// StartReceiver starts a receiver of webhooks and returns when it listens.
func (r *Rig) StartReceiver(ctx context.Context) (*Process, error) {
	listen, err := address()
	if err != nil {
		return nil, err
	}
	p, err := r.start(Receiver, []string{"-listen", listen})
	if err != nil {
		return nil, err
	}
	p.Addr = listen
	return p, p.waitFor(ctx, func(ctx context.Context) error { return listens(ctx, listen) })
}

// address returns one on the loopback that is free.
func address() (string, error) {
	port, err := testenv.FreePort()
	return fmt.Sprintf("127.0.0.1:%d", port), err
}

// environment is ours without what would configure Waybill.
func environment() []string {
	var kept []string
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, "WAYBILL_") && !strings.HasPrefix(name, "REDIS_URL") && !strings.HasPrefix(name, "DATABASE_URL") {
			kept = append(kept, entry)
		}
	}
	return kept
}

// Wait returns after d, or with ctx's error.
func Wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
