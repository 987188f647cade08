package queue

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/waybill-dev/waybill/internal/subscription"
	"github.com/waybill-dev/waybill/tasks"
)

// tellPrefix and a dispatcher's ID are the Pub/Sub channel on which it is told of
// subscriptions that it holds the lease of.
const tellPrefix = "waybill:deliver:"

// Alarm wakes whoever delivers to subscriptions. What it does can be lost with
// Redis: the database knows what is due.
type Alarm struct {
	rc     redis.UniversalClient
	client *Client
}

// NewAlarm returns an Alarm that enqueues through client and publishes through rc.
func NewAlarm(rc redis.UniversalClient, client *Client) *Alarm { return &Alarm{rc, client} }

// Wake has some worker look after the subscriptions now.
func (a *Alarm) Wake(ctx context.Context, keys ...subscription.Key) error {
	named := make([]tasks.Subscription, len(keys))
	for i, k := range keys {
		named[i] = tasks.Subscription{Tenant: k.Tenant, ID: k.ID}
	}
	task, err := tasks.NewDeliver(nil, named...)
	if err != nil {
		return err
	}
	return a.client.Enqueue(ctx, task)
}

// WakeAt has some worker look after the subscription at a time, once.
func (a *Alarm) WakeAt(ctx context.Context, key subscription.Key, at time.Time) error {
	task, err := tasks.NewDeliverAt(nil, tasks.Subscription{Tenant: key.Tenant, ID: key.ID}, at)
	if err != nil {
		return err
	}
	if err = a.client.Enqueue(ctx, task); errors.Is(err, ErrConflict) {
		return nil // it is set already
	}
	return err
}

// Tell has the dispatcher called owner look after the subscriptions.
func (a *Alarm) Tell(ctx context.Context, owner string, keys ...subscription.Key) error {
	lines := make([]string, len(keys))
	for i, k := range keys {
		lines[i] = k.ID + " " + k.Tenant
	}
	return a.rc.Publish(ctx, tellPrefix+owner, strings.Join(lines, "\n")).Err()
}

// Hear calls told with what the dispatcher called owner is told, until ctx ends.
// It connects anew by itself.
func (a *Alarm) Hear(ctx context.Context, owner string, told func(...subscription.Key)) {
	sub := a.rc.Subscribe(ctx, tellPrefix+owner)
	defer func() { _ = sub.Close() }()
	messages := sub.Channel()
	for {
		select {
		case <-ctx.Done():
			return
		case m, ok := <-messages:
			if !ok {
				return
			}
			var keys []subscription.Key
			for line := range strings.Lines(m.Payload) {
				if id, tenant, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " "); ok {
					keys = append(keys, subscription.Key{Tenant: tenant, ID: id})
				}
			}
			told(keys...)
		}
	}
}
