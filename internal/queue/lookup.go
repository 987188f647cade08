package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"google.golang.org/protobuf/encoding/protowire"
)

// Task is a task as it is in its queue.
type Task struct {
	ID, Type   string
	Payload    []byte
	State      asynq.TaskState
	Retried    int       // failures so far
	LastError  string    // of its last try; "" before the first one fails
	LastFailed time.Time // UTC, in seconds; zero before the first try fails
}

// Retrying reports whether a try has failed and another one is to come or is
// being made.
func (t *Task) Retrying() bool {
	return t.State == asynq.TaskStateRetry || !t.LastFailed.IsZero()
}

// Lookup returns what queue has under ids, in their order, nil for an ID that it
// does not have. It looks them up in that order in one round trip. An error means
// that Redis could not be asked.
//
// asynq's Inspector is not used: it needs two round trips a task, and reports a
// queue as missing that nobody has registered since Redis lost its data.
func (c *Client) Lookup(ctx context.Context, queue string, ids ...string) ([]*Task, error) {
	keys := keysOf(queue)
	pipe := c.rc.Pipeline()
	answers := make([]*redis.SliceCmd, len(ids))
	for i, id := range ids {
		answers[i] = pipe.HMGet(ctx, keys.task+id, "msg", "state")
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("look up in queue %s: %w", queue, err)
	}
	found := make([]*Task, len(ids))
	for i, answer := range answers {
		message, _ := answer.Val()[0].(string)
		state, _ := answer.Val()[1].(string)
		if message == "" { // no such task, or a leftover with which nothing can be done
			continue
		}
		t, err := decode([]byte(message))
		if err != nil {
			return nil, fmt.Errorf("look up %s in queue %s: %w", ids[i], queue, err)
		}
		t.State = stateOf(state)
		found[i] = t
	}
	return found, nil
}

// Size returns how many tasks queue holds, in whatever state but archived.
func (c *Client) Size(ctx context.Context, queue string) (int64, error) {
	keys := keysOf(queue)
	pipe := c.rc.Pipeline()
	counts := []*redis.IntCmd{pipe.LLen(ctx, keys.pending), pipe.LLen(ctx, keys.active), pipe.ZCard(ctx, keys.scheduled), pipe.ZCard(ctx, keys.retry)}
	if _, err := pipe.Exec(ctx); err != nil {
		return 0, fmt.Errorf("size of queue %s: %w", queue, err)
	}
	var n int64
	for _, count := range counts {
		n += count.Val()
	}
	return n, nil
}

// Have says which of ids queue has, in their order, like Lookup but without
// bringing the tasks.
func (c *Client) Have(ctx context.Context, queue string, ids ...string) ([]bool, error) {
	keys := keysOf(queue)
	pipe := c.rc.Pipeline()
	answers := make([]*redis.BoolCmd, len(ids))
	for i, id := range ids {
		answers[i] = pipe.HExists(ctx, keys.task+id, "msg")
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("look up in queue %s: %w", queue, err)
	}
	have := make([]bool, len(ids))
	for i, answer := range answers {
		have[i] = answer.Val()
	}
	return have, nil
}

// Archived returns how many tasks of queue asynq has given up.
func (c *Client) Archived(ctx context.Context, queue string) (int64, error) {
	n, err := c.rc.ZCard(ctx, keysOf(queue).archived).Result()
	if err != nil {
		return 0, fmt.Errorf("archive of queue %s: %w", queue, err)
	}
	return n, nil
}

// stateOf is the state of that name; 0 if asynq has none.
func stateOf(name string) asynq.TaskState {
	for s := asynq.TaskStateActive; s <= asynq.TaskStateAggregating; s++ {
		if s.String() == name {
			return s
		}
	}
	return 0
}

var errMessage = errors.New("unreadable task message")

// decode reads the fields that a Task has from asynq's message, a protobuf whose
// Go type asynq keeps to itself.
func decode(message []byte) (*Task, error) {
	t := &Task{}
	for len(message) > 0 {
		field, wire, n := protowire.ConsumeTag(message)
		if n < 0 {
			return nil, errMessage
		}
		message = message[n:]
		if n = protowire.ConsumeFieldValue(field, wire, message); n < 0 {
			return nil, errMessage
		}
		t.set(field, wire, message[:n])
		message = message[n:]
	}
	return t, nil
}

func (t *Task) set(field protowire.Number, wire protowire.Type, value []byte) {
	switch wire {
	case protowire.BytesType:
		b, _ := protowire.ConsumeBytes(value)
		switch field {
		case 1:
			t.Type = string(b)
		case 2:
			t.Payload = b
		case 3:
			t.ID = string(b)
		case 7:
			t.LastError = string(b)
		}
	case protowire.VarintType:
		v, _ := protowire.ConsumeVarint(value)
		switch field {
		case 6:
			t.Retried = int(int32(v))
		case 11:
			t.LastFailed = time.Unix(int64(v), 0).UTC()
		}
	}
}
