package tasks

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/hibiken/asynq"
)

// TypeDeliver is the type of a task that says: these subscriptions have
// deliveries that are due. What is due, and whether, is in the database; the task
// may come late, twice or not at all.
const TypeDeliver = "notify:deliver"

// deliverTimeout bounds one try, in asynq's terms: the handler only passes on.
const deliverTimeout = 30 * time.Second

// Subscription names one subscription.
type Subscription struct {
	Tenant string `json:"tenant"`
	ID     string `json:"id"`
}

type alarm struct {
	Version       int            `json:"v"`
	Subscriptions []Subscription `json:"subscriptions"`
}

// NewDeliver returns a notify:deliver task for now.
func NewDeliver(headers map[string]string, subscriptions ...Subscription) (*asynq.Task, error) {
	return newDeliver(headers, subscriptions)
}

// NewDeliverAt returns a notify:deliver task for one subscription at a time, in
// whole seconds. It is named by both: of several for the same second the queue
// keeps one.
func NewDeliverAt(headers map[string]string, s Subscription, at time.Time) (*asynq.Task, error) {
	if at.Nanosecond() > 0 {
		at = at.Truncate(time.Second).Add(time.Second) // early would be in vain
	}
	return newDeliver(headers, []Subscription{s}, asynq.TaskID(s.ID+"."+strconv.FormatInt(at.Unix(), 10)), asynq.ProcessAt(at))
}

func newDeliver(headers map[string]string, subscriptions []Subscription, options ...asynq.Option) (*asynq.Task, error) {
	var b bytes.Buffer
	if err := encode(&b, alarm{Version, subscriptions}); err != nil {
		return nil, fmt.Errorf("encode %s: %w", TypeDeliver, err)
	}
	options = append(options, asynq.Queue(QueueNotify), asynq.MaxRetry(math.MaxInt32), asynq.Timeout(deliverTimeout))
	return asynq.NewTaskWithHeaders(TypeDeliver, b.Bytes(), headers, options...), nil
}

// DecodeDeliver reads the payload of a notify:deliver task. Its errors wrap
// ErrUnreadable.
func DecodeDeliver(payload []byte) ([]Subscription, error) {
	var a alarm
	if err := json.Unmarshal(payload, &a); err != nil {
		return nil, fmt.Errorf("decode %s: %w: %w", TypeDeliver, ErrUnreadable, err)
	}
	if a.Version < 1 || a.Version > Version {
		return nil, fmt.Errorf("decode %s: %w: version %d, this program reads up to %d", TypeDeliver, ErrUnreadable, a.Version, Version)
	}
	if len(a.Subscriptions) == 0 {
		return nil, fmt.Errorf("decode %s: %w: no subscriptions", TypeDeliver, ErrUnreadable)
	}
	for i, s := range a.Subscriptions {
		if s.Tenant == "" || s.ID == "" {
			return nil, fmt.Errorf("decode %s: %w: subscription %d has no tenant or ID", TypeDeliver, ErrUnreadable, i)
		}
	}
	return a.Subscriptions, nil
}
