package tasks

import (
	"errors"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"

	"github.com/waybill-dev/waybill/internal/testenv"
)

// deliverGolden is what some version wrote of subscribers. As of apply: new
// fields get files of their own.
const deliverGolden = "testdata/deliver-v1.json"

var subscribers = []Subscription{{Tenant: "default", ID: idA}, {Tenant: "<acme> & \u2028 \"é\"", ID: idB}}

func goldenDeliver(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(deliverGolden)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(string(text), "\n")
}

func newDeliverTask(t *testing.T, of ...Subscription) *asynq.Task {
	t.Helper()
	task, err := NewDeliver(nil, of...)
	if err != nil {
		t.Fatal(err)
	}
	return task
}

func TestNewDeliver_WireFormatIsPinned(t *testing.T) {
	t.Parallel()
	payload := newDeliverTask(t, subscribers...).Payload()
	if *update {
		if err := os.WriteFile(deliverGolden, append(payload, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(goldenDeliver(t), string(payload)); diff != "" {
		t.Errorf("the wire format changed (-golden +written):\n%s", diff)
	}
}

func TestDecodeDeliver_ReadsWhatWasEverWritten(t *testing.T) {
	t.Parallel()
	got, err := DecodeDeliver([]byte(goldenDeliver(t)))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(subscribers, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// A field that a later build of the same version adds must not stop this one.
func TestDecodeDeliver_PassesOverUnknownFields(t *testing.T) {
	t.Parallel()
	got, err := DecodeDeliver([]byte(`{"v":1,"later":true,"subscriptions":[{"tenant":"t","id":"` + idA + `","later":{"x":1}}]}`))
	if err != nil || len(got) != 1 || got[0] != (Subscription{Tenant: "t", ID: idA}) {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestDecodeDeliver_Unreadable(t *testing.T) {
	t.Parallel()
	whole := goldenDeliver(t)
	for name, payload := range map[string]string{
		"empty":                   "",
		"not JSON":                "subscriptions",
		"null":                    "null",
		"another type":            `[1]`,
		"cut off":                 whole[:len(whole)-2],
		"two payloads":            whole + whole,
		"no version":              strings.Replace(whole, `"v":1,`, "", 1),
		"version 0":               strings.Replace(whole, `"v":1,`, `"v":0,`, 1),
		"a negative version":      strings.Replace(whole, `"v":1,`, `"v":-1,`, 1),
		"a higher version":        strings.Replace(whole, `"v":1,`, `"v":2,`, 1),
		"no subscriptions":        `{"v":1}`,
		"none at all":             `{"v":1,"subscriptions":[]}`,
		"a subscription in words": `{"v":1,"subscriptions":["x"]}`,
		"no tenant":               `{"v":1,"subscriptions":[{"id":"` + idA + `"}]}`,
		"no ID":                   `{"v":1,"subscriptions":[{"tenant":"t","id":"` + idA + `"},{"tenant":"t"}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := DecodeDeliver([]byte(payload))
			if !errors.Is(err, ErrUnreadable) || got != nil {
				t.Errorf("%q: got %v, %v; want ErrUnreadable", payload, got, err)
			}
		})
	}
}

func asynqClient(t *testing.T) *asynq.Client {
	t.Helper()
	at, err := asynq.ParseRedisURI(testenv.RedisURL(t))
	if err != nil {
		t.Fatal(err)
	}
	client := asynq.NewClient(at)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func TestNewDeliver_Options(t *testing.T) {
	t.Parallel()
	client := asynqClient(t)
	ids := map[string]bool{}
	for range 2 { // two for the same subscriptions: neither stands in the other's way
		info, err := client.EnqueueContext(t.Context(), newDeliverTask(t, subscribers...))
		if err != nil {
			t.Fatal(err)
		}
		if info.Type != "notify:deliver" || info.Queue != "notify" || info.MaxRetry != math.MaxInt32 || info.Timeout != 30*time.Second ||
			info.Retention != 0 || info.State != asynq.TaskStatePending {
			t.Errorf("got %+v", info)
		}
		ids[info.ID] = true
	}
	if len(ids) != 2 {
		t.Errorf("named %v", ids)
	}
}

// A time is rounded up, to a second: what is due then must not be asked for early.
func TestNewDeliverAt_IsNamedByTheSecond(t *testing.T) {
	t.Parallel()
	client := asynqClient(t)
	second := time.Now().Add(time.Hour).Truncate(time.Second)
	at := func(of Subscription, at time.Time) (*asynq.TaskInfo, error) {
		task, err := NewDeliverAt(map[string]string{"traceparent": "x"}, of, at)
		if err != nil {
			t.Fatal(err)
		}
		return client.EnqueueContext(t.Context(), task)
	}
	a := Subscription{Tenant: "default", ID: idA}
	for _, c := range []struct {
		name string
		of   Subscription
		at   time.Time
		want time.Time // zero: there is one already
	}{
		{"a whole second", a, second, second},
		{"a moment later", a, second.Add(1), second.Add(time.Second)},
		{"in the same second", a, second.Add(500 * time.Millisecond), time.Time{}},
		{"the end of it", a, second.Add(time.Second), time.Time{}},
		{"elsewhere in the world", a, second.In(time.FixedZone("", 5*3600+1800)), time.Time{}},
		{"somebody else's", Subscription{Tenant: "default", ID: idB}, second, second},
	} {
		info, err := at(c.of, c.at)
		if c.want.IsZero() {
			if !errors.Is(err, asynq.ErrTaskIDConflict) {
				t.Errorf("%s: %+v, %v; want a conflict", c.name, info, err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if want := c.of.ID + "." + strconv.FormatInt(c.want.Unix(), 10); info.ID != want || !info.NextProcessAt.Equal(c.want) ||
			info.State != asynq.TaskStateScheduled || info.Queue != "notify" || info.Headers["traceparent"] != "x" {
			t.Errorf("%s: %+v, want %s at %s", c.name, info, want, c.want)
		}
		if got, err := DecodeDeliver(info.Payload); err != nil || len(got) != 1 || got[0] != c.of {
			t.Errorf("%s: %v, %v", c.name, got, err)
		}
	}
}
