package maintain

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/waybill-dev/waybill/internal/fault"
)

// job is one kind of maintenance. Each has its own turns, so that one with much to
// do does not keep the others from theirs.
type job struct {
	name string
	do   func(context.Context, *run) error
}

// run is one turn at a job.
type run struct {
	*Maintainer
	now     time.Time // by this clock or the database's, whichever is behind
	until   time.Time
	removed map[string]int64
}

// errBudget ends a run that has more to do than it may.
var errBudget = errors.New("the rest is for the next run")

// margin is how much longer than its budget a run may take until it notices.
const margin = time.Minute

// clockTrouble is a difference of clocks that is worth saying.
const clockTrouble = time.Minute

// turn does a job if it is this process's turn. One that dies over it leaves a
// lease that runs out: then another goes on with what is left.
func (m *Maintainer) turn(ctx context.Context, j job) {
	mine, err := m.store.ClaimJob(ctx, j.name, m.o.Budget+margin, 2*max(m.o.Every, m.o.Budget+margin))
	if err != nil {
		m.failed(ctx, j, err)
		return
	}
	if !mine {
		return
	}
	started := time.Now()
	r := &run{Maintainer: m, until: started.Add(m.o.Budget), removed: map[string]int64{}}
	if r.now, err = m.now(ctx); err == nil {
		err = j.do(ctx, r)
	}
	r.report(ctx, j, time.Since(started), err)
	next := m.o.Every
	if err != nil {
		next = m.o.Poll
	}
	ended, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := m.store.EndJob(ended, j.name, next); err != nil {
		m.o.Logger.Info("the end of a job was not noted; it is due again when its lease has run out", "job", j.name, "error", err)
	}
}

func (r *run) report(ctx context.Context, j job, took time.Duration, err error) {
	r.o.Observer.Maintained(j.name, took)
	if len(r.removed) > 0 {
		attributes := []any{"job", j.name, "took", took.Round(time.Millisecond), "complete", err == nil}
		for _, table := range slices.Sorted(maps.Keys(r.removed)) {
			attributes = append(attributes, slog.Int64(table, r.removed[table]))
		}
		r.o.Logger.InfoContext(ctx, "removed what is over", attributes...)
	}
	if err != nil && !errors.Is(err, errBudget) {
		r.failed(ctx, j, err)
	}
}

func (m *Maintainer) failed(ctx context.Context, j job, err error) {
	if ctx.Err() != nil {
		return
	}
	if fault.KindOf(err) == fault.StoreUnavailable {
		m.o.Down(err)
	}
	m.o.Logger.Warn("maintenance did not come to its end; it goes on later", "job", j.name, "error", err)
}

// now is the earlier of this process's and the database's time: a clock that runs
// ahead must not make everything seem old.
func (m *Maintainer) now(ctx context.Context) (time.Time, error) {
	theirs, err := m.store.Now(ctx)
	ours := m.o.Now()
	if ahead := ours.Sub(theirs); err == nil && ahead.Abs() > clockTrouble {
		m.o.Logger.Warn("the clocks of this machine and of the database differ; what is over is told by the one that is behind", "ahead", ahead.Round(time.Second))
	}
	if ours.Before(theirs) {
		return ours, err
	}
	return theirs, err
}

// count notes rows that were removed, and has the others go first for a moment.
func (r *run) count(ctx context.Context, removed map[string]int64) error {
	for table, rows := range removed {
		if rows > 0 {
			r.removed[table] += rows
			r.o.Observer.Purged(table, rows)
		}
	}
	return r.rest(ctx)
}

// rest pauses between two transactions; errBudget if this run may take no more.
func (r *run) rest(ctx context.Context) error {
	if time.Now().After(r.until) {
		return errBudget
	}
	if !pause(ctx, r.o.Pause) {
		return ctx.Err()
	}
	return nil
}
