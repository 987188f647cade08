package queue

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/waybill-dev/waybill/internal/testenv"
)

func TestClient_LooksUpWhatAsynqWrote(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.client()
	inspector := asynq.NewInspectorFromRedisClient(b.rc)
	must(t, c.Enqueue(t.Context(), newTask("pending")))
	must(t, c.Enqueue(t.Context(), newTask("scheduled", asynq.ProcessIn(time.Hour))))
	must(t, c.Enqueue(t.Context(), newTask("archived")))
	must(t, inspector.ArchiveTask(testQueue, "archived"))
	for _, id := range []string{"pending", "scheduled", "archived"} {
		b.checkLookup(c, inspector, id)
	}
	must(t, inspector.DeleteTask(testQueue, "pending"))

	hold := make(chan struct{})
	o := b.options()
	o.RetryDelay = func(error, int) time.Duration { return time.Hour }
	b.serve(b.rc, o, func(ctx context.Context, _ *asynq.Task) error {
		if id, _ := asynq.GetTaskID(ctx); id == "retry" {
			return errors.New("ünlucky")
		}
		<-hold
		return nil
	})
	defer close(hold)
	b.enqueue(c, "active", 1)
	must(t, c.Enqueue(t.Context(), newTask("retry")))
	for id, state := range map[string]asynq.TaskState{"active-0": asynq.TaskStateActive, "retry": asynq.TaskStateRetry} {
		testenv.Eventually(t, 5*time.Second, id, func() error {
			found, err := c.Lookup(t.Context(), testQueue, id)
			if err == nil && found[0].State != state {
				err = errors.New("it is " + found[0].State.String())
			}
			return err
		})
		b.checkLookup(c, inspector, id)
	}
	found, err := c.Lookup(t.Context(), testQueue, "retry", "active-0")
	must(t, err)
	if !found[0].Retrying() || found[1].Retrying() {
		t.Errorf("retrying: %v, %v", found[0].Retrying(), found[1].Retrying())
	}
	must(t, inspector.RunTask(testQueue, "retry"))
	testenv.Eventually(t, 5*time.Second, "retry", func() error {
		found, err := c.Lookup(t.Context(), testQueue, "retry")
		if err == nil && (!found[0].Retrying() || found[0].LastError != "ünlucky" || time.Since(found[0].LastFailed) > time.Minute) {
			err = errors.New("its failure is forgotten")
		}
		return err
	})
}

// checkLookup compares with what asynq's Inspector says.
func (b *bundle) checkLookup(c *Client, inspector *asynq.Inspector, id string) {
	b.t.Helper()
	want, err := inspector.GetTaskInfo(testQueue, id)
	must(b.t, err)
	found, err := c.Lookup(b.t.Context(), testQueue, id)
	must(b.t, err)
	got := found[0]
	if got.ID != want.ID || got.Type != want.Type || string(got.Payload) != string(want.Payload) || got.State != want.State ||
		got.Retried != want.Retried || got.LastError != want.LastErr || !got.LastFailed.Equal(want.LastFailedAt) {
		b.t.Errorf("%s: got %+v, asynq says %+v", id, got, want)
	}
}

func TestClient_LooksUpInOrder(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.client()
	b.enqueue(c, "there", 1)
	// A leftover of asynq's trimming, which nothing can be done with.
	must(t, b.rc.HSet(t.Context(), keysOf(testQueue).task+"orphan", "state", "archived").Err())
	// The queue is not registered, as after Redis lost its data.
	must(t, b.rc.Del(t.Context(), "asynq:queues").Err())
	found, err := c.Lookup(t.Context(), testQueue, "nowhere", "orphan", "there-0", "nowhere")
	must(t, err)
	if len(found) != 4 || found[0] != nil || found[1] != nil || found[2] == nil || found[3] != nil {
		t.Errorf("got %v", found)
	}
	none, err := c.Lookup(t.Context(), testQueue)
	if err != nil || len(none) != 0 {
		t.Errorf("no IDs: %v, %v", none, err)
	}
	must(t, b.rc.HSet(t.Context(), keysOf(testQueue).task+"damaged", "msg", "\xff\xff", "state", "pending").Err())
	if _, err := c.Lookup(t.Context(), testQueue, "damaged"); !errors.Is(err, errMessage) {
		t.Errorf("damaged: %v", err)
	}
}
