package main

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/waybill-dev/waybill/bench/rig"
)

// profiles takes CPU profiles of processes for d in the background, if they are
// wanted. The function that it returns waits for them.
func (b *bench) profiles(ctx context.Context, d time.Duration, processes ...*rig.Process) (wait func()) {
	if b.profile == "" {
		return func() {}
	}
	var all sync.WaitGroup
	for _, p := range processes {
		file := filepath.Join(b.profile, b.report.scenario+"-"+p.Name+".pprof")
		all.Go(func() {
			if err := p.Profile(ctx, d, file); err != nil {
				fmt.Fprintf(b.log, "  no profile: %v\n", err)
			}
		})
	}
	return all.Wait
}
