package httpapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/subscription"
)

// slowChannels does something while it checks a channel that is patched.
type slowChannels struct {
	fakeChannels
	checks    atomic.Int32
	meanwhile func(check int32)
}

func (c *slowChannels) Check(ctx context.Context, key subscription.Key, object json.RawMessage, standing *subscription.Subscription) (subscription.Channel, []byte, error) {
	if standing != nil {
		c.meanwhile(c.checks.Add(1))
	}
	return c.fakeChannels.Check(ctx, key, object, standing)
}

func checking(c *slowChannels) setting { return func(s *settings) { s.channels = c } }

const patchedHook = `{"channel":{"url":"https://example.com/new"}}`

// A check of a channel may take seconds of DNS: nobody waits for it.
func TestSubscriptions_PatchHoldsUpNobody(t *testing.T) {
	t.Parallel()
	begun, goOn := make(chan struct{}), make(chan struct{})
	c := &slowChannels{meanwhile: func(int32) { close(begun); <-goOn }}
	s := working(t, checking(c))
	made, other := s.subscribed(hook("old")), s.subscribed(hook("other"))
	patched := make(chan *answer)
	go func() { patched <- s.patch("/api/subscriptions/"+made.ID, patchedHook) }()
	<-begun
	s.patch("/api/subscriptions/"+other.ID, `{"name":"meanwhile"}`).want(200)
	s.post("/api/todos", `{"text":"x"}`, waited).want(201)
	close(goOn)
	var got subscribed
	(<-patched).want(200).into(&got)
	if got.Channel["url"] != "https://example.com/new" || c.checks.Load() != 1 {
		t.Errorf("after %d checks: %+v", c.checks.Load(), got)
	}
}

func TestSubscriptions_PatchOfWhatOthersChange(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		races, checks int32
		status        int
	}{"once": {1, 2, 200}, "twice": {2, 3, 200}, "again and again": {1000, 3, 409}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := &slowChannels{}
			s := newService(t, checking(c))
			made := s.subscribed(hook("old"))
			at := "/api/subscriptions/" + made.ID
			c.meanwhile = func(check int32) {
				if check <= test.races {
					s.patch(at, fmt.Sprintf(`{"name":"other %d"}`, check)).want(200)
				}
			}
			a := s.patch(at, patchedHook).want(test.status)
			if test.status == 409 {
				a.problem(409, "conflict")
			}
			got := s.shown(made.ID)
			if name := fmt.Sprint("other ", min(test.races, test.checks)); got.Name != name || c.checks.Load() != test.checks {
				t.Errorf("%q after %d checks, want %q after %d", got.Name, c.checks.Load(), name, test.checks)
			}
			if url := got.Channel["url"].(string); strings.HasSuffix(url, "new") != (test.status == 200) {
				t.Errorf("the channel leads to %s", url)
			}
		})
	}
}

// What was disabled or deleted during the check stays so.
func TestSubscriptions_PatchOfWhatEnds(t *testing.T) {
	t.Parallel()
	c := &slowChannels{}
	s := newService(t, checking(c))
	made := s.subscribed(hook("old"))
	at := "/api/subscriptions/" + made.ID
	c.meanwhile = func(check int32) {
		if check == 1 {
			s.act(at + "/disable").want(200)
		}
	}
	s.patch(at, patchedHook).want(200)
	if got := s.shown(made.ID); got.Status != "disabled" || got.Channel["url"] != "https://example.com/new" {
		t.Errorf("got %+v", got)
	}
	c.meanwhile = func(int32) { s.delete(at).want(204) }
	s.patch(at, patchedHook).problem(404, "not_found")
}

// Each change has a time of its own, also where the clock stands still or went
// back: by it a patch and the workers see that there was one.
func TestSubscriptions_UpdatedAtGrows(t *testing.T) {
	t.Parallel()
	s := newService(t)
	made := s.subscribed(hook("x"))
	at := "/api/subscriptions/" + made.ID
	_, err := s.notify.UpdateSubscription(t.Context(), subscription.Key{Tenant: record.DefaultTenant, ID: made.ID}, func(s *subscription.Subscription) error {
		s.UpdatedAt = s.UpdatedAt.AddDate(1, 0, 0)
		return nil
	})
	must(t, err)
	last := s.shown(made.ID).UpdatedAt
	for what, change := range map[string]func() *answer{
		"patch":   func() *answer { return s.patch(at, `{"name":"x"}`) },
		"rotate":  func() *answer { return s.act(at + "/rotate-secret") },
		"disable": func() *answer { return s.act(at + "/disable") },
	} {
		change().want(200)
		if now := s.shown(made.ID).UpdatedAt; now <= last {
			t.Errorf("%s: updated at %s, after %s", what, now, last)
		} else {
			last = now
		}
	}
}
