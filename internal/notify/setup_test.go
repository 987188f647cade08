package notify_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/waybill-dev/waybill/internal/collection"
	"github.com/waybill-dev/waybill/internal/notify"
	"github.com/waybill-dev/waybill/internal/queue"
	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/secret"
	"github.com/waybill-dev/waybill/internal/store"
	"github.com/waybill-dev/waybill/internal/subscription"
	"github.com/waybill-dev/waybill/internal/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }

// soon bounds what must happen, and does in milliseconds where the machine is idle.
const soon = time.Minute

// world is a real store and a real queue, and receivers that a test makes up.
type world struct {
	t        testing.TB
	store    *store.Store
	alarm    *queue.Alarm
	channels *notify.Channels
	drawn    int64

	mu    sync.Mutex
	reply map[string]func(context.Context, *notify.Message) notify.Result // by subscription
	sent  []notify.Message
}

func newWorld(t testing.TB) *world {
	t.Helper()
	s, err := store.Open("sqlite:"+filepath.Join(t.TempDir(), "waybill.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	rc, err := queue.Connect(testenv.RedisURL(t))
	if err != nil {
		t.Fatal(err)
	}
	q := queue.NewClient(rc)
	t.Cleanup(func() {
		if err := errors.Join(q.Close(), rc.Close(), s.Close()); err != nil {
			t.Error(err)
		}
	})
	box, err := secret.NewBox(strings.Repeat("s", secret.MinBytes))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, store: s, alarm: queue.NewAlarm(rc, q), drawn: 1_767_225_600_000_000, reply: map[string]func(context.Context, *notify.Message) notify.Result{}}
	w.channels = notify.NewChannels(box, map[subscription.Channel]notify.Channel{subscription.Webhook: w})
	return w
}

// Check, Show and Sender make the world a channel.
func (w *world) Check(context.Context, json.RawMessage, []byte) ([]byte, error) {
	return []byte("{}"), nil
}
func (w *world) Show([]byte) (json.RawMessage, error)                   { return []byte("{}"), nil }
func (w *world) Sender(subscription.Key, []byte) (notify.Sender, error) { return w, nil }

func (w *world) Send(ctx context.Context, m *notify.Message) notify.Result {
	w.mu.Lock()
	w.sent = append(w.sent, *m)
	reply := w.reply[m.Subscription.ID]
	w.mu.Unlock()
	return reply(ctx, m)
}

// messages returns what was sent to a subscription.
func (w *world) messages(key subscription.Key) []notify.Message {
	w.mu.Lock()
	defer w.mu.Unlock()
	var found []notify.Message
	for _, m := range w.sent {
		if m.Subscription == key {
			found = append(found, m)
		}
	}
	return found
}

// subscribe makes a subscription that receives by reply.
func (w *world) subscribe(reply func(context.Context, *notify.Message) notify.Result, change ...func(*subscription.Subscription)) subscription.Key {
	w.t.Helper()
	id, err := uuid.NewV7()
	if err != nil {
		w.t.Fatal(err)
	}
	s := subscription.Subscription{
		Key: subscription.Key{Tenant: record.DefaultTenant, ID: id.String()}, Events: []string{"*"}, MaxInFlight: 10, Enabled: true,
		CreatedAt: time.Now(), UpdatedAt: time.Now(),
	}
	if s.Channel, s.Target, err = w.channels.Check(w.t.Context(), s.Key, []byte(`{"type":"webhook"}`), nil); err != nil {
		w.t.Fatal(err)
	}
	for _, c := range change {
		c(&s)
	}
	w.mu.Lock()
	w.reply[s.ID] = reply
	w.mu.Unlock()
	if err := w.store.CreateSubscription(w.t.Context(), &s); err != nil {
		w.t.Fatal(err)
	}
	return s.Key
}

// write stores n new records of the collection, in one transaction.
func (w *world) write(collectionName string, n int) {
	w.t.Helper()
	operations := make([]record.Operation, n)
	for i := range operations {
		w.drawn++
		id := record.NewID(w.drawn, 1, 0)
		operations[i] = record.Operation{
			ID: id, Key: record.Key{Tenant: record.DefaultTenant, Collection: collectionName, ID: id}, Action: record.Create, Body: fmt.Appendf(nil, `{"n":%d}`, i),
		}
	}
	_, err := w.store.Apply(w.t.Context(), operations, nil, time.Now(), func(current *record.Record, op *record.Operation) (*record.Record, record.Outcome) {
		return record.Apply(current, op, nil)
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// dispatcher starts one, which the test's end stops.
func (w *world) dispatcher(o notify.Options) *notify.Dispatcher {
	w.t.Helper()
	if o.SweepEvery == 0 {
		o.SweepEvery = time.Hour // a test that needs the sweeper says so
	}
	d := notify.NewDispatcher(w.store, w.channels, w.alarm, o)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { d.Run(ctx) })
	running.Go(func() { w.alarm.Hear(ctx, d.ID(), func(keys ...subscription.Key) { d.Poke(keys...) }) })
	w.t.Cleanup(func() {
		limit, done := context.WithTimeout(context.Background(), soon)
		defer done()
		d.Stop(limit)
		cancel()
		running.Wait()
	})
	return d
}

// deliveries returns a subscription's deliveries of a status, "" for all.
func (w *world) deliveries(key subscription.Key, status subscription.Status) []subscription.Delivery {
	w.t.Helper()
	found, _, err := w.store.Deliveries(w.t.Context(), key.Tenant, store.DeliveryQuery{Subscription: key.ID, Status: status, Limit: 2000})
	if err != nil {
		w.t.Fatal(err)
	}
	return found
}

// awaits fails the test unless the subscription soon has n deliveries of a status.
func (w *world) awaits(key subscription.Key, status subscription.Status, n int) {
	w.t.Helper()
	testenv.Eventually(w.t, soon, fmt.Sprintf("%d deliveries are %s", n, status), func() error {
		if got := len(w.deliveries(key, status)); got != n {
			return fmt.Errorf("%d are, of %d", got, len(w.deliveries(key, "")))
		}
		return nil
	})
}

func answers(r notify.Result) func(context.Context, *notify.Message) notify.Result {
	return func(context.Context, *notify.Message) notify.Result { return r }
}

// hangs answers nothing until the attempt's context ends.
func hangs(ctx context.Context, _ *notify.Message) notify.Result {
	<-ctx.Done()
	return notify.Result{Error: "timed out"}
}

func inFlight(n int) func(*subscription.Subscription) {
	return func(s *subscription.Subscription) { s.MaxInFlight = n }
}

func rate(n int, per time.Duration) func(*subscription.Subscription) {
	return func(s *subscription.Subscription) { s.Rate = collection.Rate{N: n, Per: per} }
}

var good = notify.Result{OK: true, Status: 200, Reply: []byte("thanks")}
