package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/waybill-dev/waybill/internal/testenv"
	"github.com/waybill-dev/waybill/tasks"
)

// TestWorker_ServesTheQueuesItIsGivenAlone: one worker stores, another delivers,
// and each wakes the other.
func TestWorker_ServesTheQueuesItIsGivenAlone(t *testing.T) {
	t.Parallel()
	redisURL, databaseURL := testenv.RedisURL(t), testenv.PostgresURL(t)
	s := newSystem(t, redisURL, databaseURL, 1, 1, "WAYBILL_QUEUES=writes")
	r := subscribe(t, s.apis[0].api, "all", `"events":["*"]`, nil)
	ids := writeMessages(t, s.apis[0].api, 20, "stored here")
	rc := connectRedis(t, redisURL)
	testenv.Eventually(t, 10*time.Second, "somebody is called to deliver", func() error {
		n, err := rc.LLen(t.Context(), "asynq:{notify}:pending").Result()
		if err == nil && n == 0 {
			err = errors.New("no alarm")
		}
		return err
	})
	if n := r.requests(); n > 0 {
		t.Fatalf("a worker that does not serve notify delivered %d times", n)
	}
	delivers := prepareSystem(t, redisURL, databaseURL, 0, 1, "WAYBILL_QUEUES=notify, maintenance").workers[0]
	delivers.Start(t)
	delivers.awaitReady(t)
	r.awaitAccepted(t, 20*time.Second, ids)
	if err := s.workers[0].Terminate(); err != nil {
		t.Fatal(err)
	}
	a := mustCall(t, http.MethodPost, s.url("/api/messages"), `{"content":"waits"}`, "Prefer", "wait=2").want(t, http.StatusAccepted)
	if o := mustCall(t, http.MethodGet, s.url("/api/operations/"+a.operation(t).ID), "").operation(t); o.Status != "queued" {
		t.Errorf("without a worker that serves writes: %+v", o)
	}
	s.workers[0].Start(t)
	awaitDone(t, 30*time.Second, s.url(""), a.operation(t).ID)
	r.awaitAccepted(t, 20*time.Second, append(ids, a.operation(t).ID))
}

func TestWorker_RefusesAQueueThatThereIsNot(t *testing.T) {
	t.Parallel()
	p := newProcess(t, "worker", nil, "REDIS_URL=redis://127.0.0.1:1", "DATABASE_URL=sqlite:x", "WAYBILL_QUEUES=writes,mail")
	p.Start(t)
	status, err := p.wait(startWithin)
	p.forget()
	if err != nil || status == nil || !strings.Contains(p.errOut.String(), "WAYBILL_QUEUES") || !strings.Contains(p.errOut.String(), `"mail"`) {
		t.Errorf("it ended %v (%v) and said %s", status, err, p.errOut.String())
	}
}

// TestUpgrade_AnOlderWorkerHandsBackWhatItCannotRead: it waits, without spinning,
// and holds up nothing else, until a newer worker comes.
func TestUpgrade_AnOlderWorkerHandsBackWhatItCannotRead(t *testing.T) {
	t.Parallel()
	redisURL := testenv.NewRedis(t).URL()
	s := newSystem(t, redisURL, testenv.PostgresURL(t), 1, 1)
	made := mustCall(t, http.MethodPost, s.url("/api/messages"), `{"content":"for its ID"}`).want(t, http.StatusAccepted).operation(t).ID
	id := made[:len(made)-4] + "ffff"
	newer := map[string]*asynq.Task{
		"version":        asynq.NewTask(tasks.TypeApply, []byte(`{"v":2,"batch":"x"}`), asynq.Queue(tasks.QueueWrites), asynq.MaxRetry(1)),
		"type":           asynq.NewTask("write:merge", []byte(`{"v":1}`), asynq.Queue(tasks.QueueWrites), asynq.MaxRetry(1)),
		"alarm":          asynq.NewTask(tasks.TypeDeliver, []byte(`{"v":2}`), asynq.Queue(tasks.QueueNotify), asynq.MaxRetry(1)),
		"type of alarm":  asynq.NewTask("notify:digest", []byte(`{"v":1}`), asynq.Queue(tasks.QueueNotify), asynq.MaxRetry(1)),
		"unknown action": asynq.NewTask(tasks.TypeApply, fmt.Appendf(nil, `{"v":1,"operations":[{"id":%q,"tenant":"default","action":"append","collection":"todos","record":"r"}]}`, id), asynq.Queue(tasks.QueueWrites), asynq.MaxRetry(1)),
	}
	client := asynq.NewClientFromRedisClient(connectRedis(t, redisURL))
	var ids []string
	for name, task := range newer {
		info, err := client.EnqueueContext(t.Context(), task, asynq.TaskID(strings.ReplaceAll(name, " ", "-")))
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, info.ID)
	}
	from := time.Now()
	w := s.workers[0]
	testenv.Eventually(t, 30*time.Second, "each was handed back twice", func() error {
		writes, alarms := w.metric(t, `waybill_tasks_unreadable_total{queue="writes"}`), w.metric(t, `waybill_tasks_unreadable_total{queue="notify"}`)
		if strange := w.metric(t, `waybill_handed_back_total{reason="the action`); writes < 4 || alarms < 4 || strange < 2 {
			return fmt.Errorf("%v writes, %v alarms, %v actions", writes, alarms, strange)
		}
		return nil
	})
	took := time.Since(from)
	if n := w.metric(t, "waybill_tasks_unreadable_total"); n > 4*(2+took.Seconds()/4) {
		t.Errorf("4 tasks were handed back %v times in %v: it spins", n, took)
	}
	writeMessages(t, s.apis[0].api, 10, "go on")
	if n := strings.Count(w.errOut.String(), "waits for a newer worker"); n < 3 || n > 8 {
		t.Errorf("it is said %d times", n)
	}
	inspector := asynq.NewInspectorFromRedisClient(connectRedis(t, redisURL))
	for _, id := range ids {
		queue := tasks.QueueWrites
		if strings.Contains(id, "alarm") {
			queue = tasks.QueueNotify
		}
		info, err := inspector.GetTaskInfo(queue, id)
		if err != nil || info.State == asynq.TaskStateArchived || info.Retried != 0 {
			t.Errorf("%s: %+v, %v", id, info, err)
		}
	}
	awaitNewerWorker(t, redisURL, ids)
}

// awaitNewerWorker waits until a worker that reads everything has had all tasks.
func awaitNewerWorker(t *testing.T, redisURL string, ids []string) {
	t.Helper()
	var mu sync.Mutex
	missing := map[string]bool{}
	for _, id := range ids {
		missing[id] = true
	}
	server := asynq.NewServerFromRedisClient(connectRedis(t, redisURL), asynq.Config{
		Queues: map[string]int{tasks.QueueWrites: 1, tasks.QueueNotify: 1}, TaskCheckInterval: 5 * time.Millisecond,
		DelayedTaskCheckInterval: 100 * time.Millisecond, LogLevel: asynq.FatalLevel,
	})
	err := server.Start(asynq.HandlerFunc(func(ctx context.Context, task *asynq.Task) error {
		var v struct{ V int }
		if json.Unmarshal(task.Payload(), &v) != nil || v.V == 0 {
			return errors.New("not readable")
		}
		id, _ := asynq.GetTaskID(ctx)
		mu.Lock()
		defer mu.Unlock()
		delete(missing, id)
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Shutdown)
	testenv.Eventually(t, time.Minute, "a newer worker has all tasks", func() error {
		mu.Lock()
		defer mu.Unlock()
		if len(missing) > 0 {
			return fmt.Errorf("missing: %v", missing)
		}
		return nil
	})
}
