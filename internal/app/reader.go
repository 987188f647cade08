package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/hibiken/asynq"

	"github.com/waybill-dev/waybill/tasks"
)

// foreignDelay is how long a task rests that only a newer worker can do: long
// enough that many of them cost little, and short beside an upgrade.
const foreignDelay = 5 * time.Second

// unreadableEvery is how often a kind of task that cannot be read is logged.
const unreadableEvery = time.Minute

// reader passes a queue's tasks on to its handler, and hands back those that this
// version cannot read: of another type, or with the payload of a newer version.
// One of the newer workers, which there must be, takes them.
type reader struct {
	asynq.Handler
	queue string
	types []string
	log   *slog.Logger
	told  func(queue string)

	mu   sync.Mutex
	last map[string]time.Time // when a task of that type was logged
}

// newReader returns a reader of the tasks of the given types.
func (a *App) newReader(queue string, h asynq.Handler, types ...string) *reader {
	return &reader{Handler: h, queue: queue, types: types, log: a.log, told: a.metrics.Unreadable, last: map[string]time.Time{}}
}

// ProcessTask implements asynq.Handler.
func (r *reader) ProcessTask(ctx context.Context, task *asynq.Task) error {
	var err error
	if slices.Contains(r.types, task.Type()) {
		err = r.Handler.ProcessTask(ctx, task)
	} else {
		err = fmt.Errorf("task type %q: %w: not known to this version", task.Type(), tasks.ErrUnreadable)
	}
	if errors.Is(err, tasks.ErrUnreadable) {
		r.told(r.queue)
		r.warn(ctx, task.Type(), err)
	}
	return err
}

// warn logs a type's first task, and one in a minute: there may be thousands.
func (r *reader) warn(ctx context.Context, kind string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := time.Now(); now.Sub(r.last[kind]) >= unreadableEvery && len(r.last) < 100 {
		r.last[kind] = now
		id, _ := asynq.GetTaskID(ctx)
		r.log.WarnContext(ctx, "handed back a task that this version cannot read; it waits for a newer worker", "queue", r.queue, "type", kind, "task", id, "error", err)
	}
}
