// Package maintain removes what is over: rows past their retention, in small
// transactions, and entries in Redis that nobody will come back for. Any number of
// workers run it; a row in the database says whose turn a job is (docs/adr/0017).
// What a row means, and HTTP, do not enter.
package maintain

import (
	"context"
	"log/slog"
	"time"

	"github.com/waybill-dev/waybill/internal/accept"
	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/store"
)

// Store is what maintain needs of the store.
type Store interface {
	ClaimJob(ctx context.Context, job string, lease, longest time.Duration) (bool, error)
	EndJob(ctx context.Context, job string, next time.Duration) error
	Now(ctx context.Context) (time.Time, error)
	PurgePage(ctx context.Context, p store.Purge, from store.Place, limit int) (map[string]int64, store.Place, error)
	PurgeIdentity(ctx context.Context, ended, audited time.Time, limit int) (map[string]int64, error)
	Known(ctx context.Context, keys []record.OperationKey) (map[string]bool, error)
}

// UnderWay is the under-way sets.
type UnderWay interface {
	Scan(ctx context.Context, cursor uint64) (marks []accept.Mark, now time.Time, next uint64, err error)
	Clear(ctx context.Context, marks ...accept.Mark) error
}

// Queue is what maintain needs of the queues.
type Queue interface {
	Have(ctx context.Context, queue string, ids ...string) ([]bool, error)
	Archived(ctx context.Context, queue string) (int64, error)
}

// Observer is told what happens, for metrics.
type Observer interface {
	Purged(table string, rows int64)
	Maintained(job string, took time.Duration)
	StaleDropped(entries int)
	Archived(queue string, tasks int64)
}

// Options of a Maintainer. How long rows are kept, 0: for ever; for the rest, the
// zero value takes the defaults.
type Options struct {
	Operations time.Duration            // since they were stored
	Deliveries time.Duration            // since they ended; events since they were accepted
	Audit      time.Duration            // since it happened; keys since they were revoked
	Records    map[string]time.Duration // by collection, since the last write was accepted

	Every  time.Duration // between two runs of a job; 1 h
	Poll   time.Duration // between two looks for a job that is due; 1 min
	Budget time.Duration // that one run of a job may take; what is left is for the next, a Poll later; 2 min
	Pause  time.Duration // between two transactions; 20 ms
	Batch  int           // rows of one transaction; 500
	Stale  time.Duration // age at which an entry that nobody knows was never enqueued; 10 min

	Now      func() time.Time
	Ready    func() bool // whether the database can be used
	Down     func(error) // told when it cannot
	Logger   *slog.Logger
	Observer Observer
}

// KeepEnded is how long sessions are kept that have ended, for whoever looks into
// what happened.
const KeepEnded = 30 * 24 * time.Hour

// Maintainer does the jobs of maintenance, one at a time.
type Maintainer struct {
	store    Store
	underWay UnderWay
	queue    Queue
	o        Options
}

// New returns a Maintainer. Ready, Down, Logger and Observer must be given.
func New(s Store, underWay UnderWay, queue Queue, o Options) *Maintainer {
	for option, standard := range map[*time.Duration]time.Duration{
		&o.Every: time.Hour, &o.Poll: time.Minute, &o.Budget: 2 * time.Minute, &o.Pause: 20 * time.Millisecond, &o.Stale: 10 * time.Minute,
	} {
		if *option == 0 {
			*option = standard
		}
	}
	if o.Batch == 0 {
		o.Batch = 500
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Maintainer{s, underWay, queue, o}
}

// Run looks for jobs that are due until ctx ends.
func (m *Maintainer) Run(ctx context.Context) {
	for pause(ctx, m.o.Poll) {
		m.Tick(ctx)
	}
}

// Tick does the jobs that are due and that nobody else is at.
func (m *Maintainer) Tick(ctx context.Context) {
	m.countArchives(ctx)
	for _, j := range m.jobs() {
		if ctx.Err() == nil && m.o.Ready() {
			m.turn(ctx, j)
		}
	}
}

// pause waits for d; false if ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
