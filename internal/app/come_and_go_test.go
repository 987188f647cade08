package app_test

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/waybill-dev/waybill/internal/testenv"
)

// TestSystem_ProcessesComeAndGo: any of three apis and three workers is ended in
// order and started again, again and again, under load. Nothing is lost.
func TestSystem_ProcessesComeAndGo(t *testing.T) {
	t.Parallel()
	seed := cmp.Or(*crashSeed, rand.Uint64())
	t.Logf("to do the same again: -crash.writes=%d -crash.rate=%d -crash.seed=%d", *crashWrites, *crashRate, seed)
	dir := t.TempDir()
	b := &crashBench{redis: startCrashRedis(t, dir), postgres: testenv.NewPostgres(t), aof: filepath.Join(dir, "appendonlydir")}
	b.system = newSystem(t, b.redis.URL(), b.postgres.URL(), 3, 3)
	b.ledger = &ledger{seed: seed, bases: b.bases(), seen: map[string]string{}}
	ctx, cancel := context.WithCancel(t.Context())
	var others sync.WaitGroup
	var killers []*killer
	for i, processes := range [][]*process{b.apis, b.workers} { // one of each at a time
		k := &killer{random: rand.New(rand.NewPCG(seed, uint64(i)))}
		for _, p := range processes {
			k.victims = append(k.victims, victim{p.name, p.Terminate, p.startReady})
		}
		killers = append(killers, k)
		others.Go(func() { k.run(ctx, t) })
	}
	others.Go(func() { b.ledger.watch(ctx, t) })
	b.ledger.write(t, *crashWrites, *crashRate)
	cancel()
	others.Wait()
	t.Logf("%d apis and %d workers ended in order; %v", killers[0].kills, killers[1].kills, b.ledger)
	b.audit().run(t)
}

// startReady starts the process and waits until it is ready: before it has come to
// hear signals, one would end it out of order.
func (p *process) startReady() error {
	if err := p.start(); err != nil {
		return err
	}
	for deadline := time.Now().Add(startWithin); ; pauseFor(context.Background(), 20*time.Millisecond) {
		r, err := p.readiness(context.Background())
		if err == nil && r.status == http.StatusOK {
			return nil
		}
		if time.Now().After(deadline) {
			return errors.Join(errSlow, err)
		}
	}
}
