package queue

import (
	"context"
	"errors"
	"fmt"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// Client enqueues tasks, wakes the servers that wait for them, and looks them
// up. It is safe for concurrent use.
type Client struct {
	rc    redis.UniversalClient
	asynq *asynq.Client
	wake  *waker
}

// NewClient returns a Client on rc, which remains the caller's to close.
func NewClient(rc redis.UniversalClient) *Client { return NewConfirmedClient(rc, 0) }

// NewConfirmedClient returns a Client whose Enqueue into the queue of writes
// succeeds only if so many of Redis's replicas have the task too (WAIT), within a
// second. If too few have, its error is not Certain: the task is in.
func NewConfirmedClient(rc redis.UniversalClient, replicas int) *Client {
	return &Client{rc: rc, asynq: asynq.NewClientFromRedisClient(&sender{rc, replicas}), wake: newWaker(rc)}
}

// Close waits for the wake-ups that are on their way. Enqueue must not be called
// any more.
func (c *Client) Close() error {
	c.wake.close()
	return nil
}

// Enqueue puts task into its queue and returns once Redis has taken it. ctx's
// deadline bounds the call; without one, the client's timeouts do. The error is
// ErrConflict if the queue has a task of this ID, else Certain tells whether the
// task is certainly not in.
func (c *Client) Enqueue(ctx context.Context, task *asynq.Task) error {
	var sent outcome
	info, err := c.asynq.EnqueueContext(context.WithValue(ctx, outcomeKey{}, &sent), task)
	switch {
	case err == nil:
		if info.State == asynq.TaskStatePending { // one for later is woken by the forwarder
			c.wake.wake(info.Queue)
		}
		return nil
	case errors.Is(err, asynq.ErrTaskIDConflict):
		return fmt.Errorf("enqueue %s: %w", task.Type(), ErrConflict)
	case sent.err != nil:
		return &enqueueError{task.Type(), sent.err, Certain(sent.err)}
	default: // failed before the script that enqueues, or in reading its answer
		return &enqueueError{task.Type(), err, !sent.ok}
	}
}

// enqueueError is the failure of an Enqueue.
type enqueueError struct {
	task    string // its type
	err     error
	certain bool
}

func (e *enqueueError) Error() string { return "enqueue " + e.task + ": " + e.err.Error() }
func (e *enqueueError) Unwrap() error { return e.err }

// outcome is how the script that enqueues ended, as opposed to what asynq makes
// of it: asynq turns its error into a string.
type outcome struct {
	ok  bool
	err error
}

type outcomeKey struct{}
