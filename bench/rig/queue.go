package rig

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Flush empties Redis.
func (r *Rig) Flush(ctx context.Context) error {
	if err := r.rc.FlushAll(ctx).Err(); err != nil {
		return fmt.Errorf("flush Redis: %w", err)
	}
	return nil
}

// Depth is how many tasks of an asynq queue there are, by what becomes of them.
type Depth struct {
	Waiting int // pending, or in a worker's hands
	Later   int // scheduled, or to be tried again
	Dead    int // archived
}

// Depth looks at a queue.
func (r *Rig) Depth(ctx context.Context, queue string) (Depth, error) {
	pipe := r.rc.Pipeline()
	key := func(state string) string { return "asynq:{" + queue + "}:" + state }
	pending, active := pipe.LLen(ctx, key("pending")), pipe.LLen(ctx, key("active"))
	scheduled, retry := pipe.ZCard(ctx, key("scheduled")), pipe.ZCard(ctx, key("retry"))
	archived := pipe.ZCard(ctx, key("archived"))
	if _, err := pipe.Exec(ctx); err != nil {
		return Depth{}, fmt.Errorf("depth of queue %s: %w", queue, err)
	}
	return Depth{
		Waiting: int(pending.Val() + active.Val()), Later: int(scheduled.Val() + retry.Val()), Dead: int(archived.Val()),
	}, nil
}

// Waiting is Depth's Waiting alone, which is asked for often.
func (r *Rig) Waiting(ctx context.Context, queue string) (int, error) {
	pipe := r.rc.Pipeline()
	pending, active := pipe.LLen(ctx, "asynq:{"+queue+"}:pending"), pipe.LLen(ctx, "asynq:{"+queue+"}:active")
	if _, err := pipe.Exec(ctx); err != nil {
		return 0, fmt.Errorf("length of queue %s: %w", queue, err)
	}
	return int(pending.Val() + active.Val()), nil
}

// Commands is how often Redis has run each command.
type Commands struct {
	Total  float64            // total_commands_processed: those within scripts too
	ByName map[string]float64 // in lower case
}

// Commands asks Redis. Each call is one INFO in the next one's answer.
func (r *Rig) Commands(ctx context.Context) (Commands, error) {
	info, err := r.rc.Info(ctx, "stats", "commandstats").Result()
	if err != nil {
		return Commands{}, fmt.Errorf("ask Redis for its statistics: %w", err)
	}
	return parseCommands(info)
}

func parseCommands(info string) (Commands, error) {
	c := Commands{ByName: map[string]float64{}}
	found := false
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch command, ok := strings.CutPrefix(name, "cmdstat_"); {
		case ok:
			calls, _, _ := strings.Cut(strings.TrimPrefix(value, "calls="), ",")
			n, err := strconv.ParseFloat(calls, 64)
			if err != nil {
				return c, fmt.Errorf("statistics of Redis: %q", line)
			}
			c.ByName[command] = n
		case name == "total_commands_processed":
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				return c, fmt.Errorf("statistics of Redis: %q", line)
			}
			c.Total, found = n, true
		}
	}
	if !found {
		return c, errors.New("statistics of Redis without total_commands_processed")
	}
	return c, nil
}
