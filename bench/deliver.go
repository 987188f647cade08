package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/waybill-dev/waybill/bench/load"
	"github.com/waybill-dev/waybill/bench/rig"
)

const (
	pacedConnections = 16 // that paced writes take turns on
	deliveredWithin  = 5 * time.Minute
	bulkLines        = 10_000 // of one request, the most there may be
)

// service is a Waybill that delivers to a receiver of ours.
type service struct {
	api, worker, receiver *rig.Process
	database              string
}

func (b *bench) startService(ctx context.Context) (s service, err error) {
	if s.api, s.worker, s.database, err = b.startWaybill(ctx); err != nil {
		return s, err
	}
	s.receiver, err = b.StartReceiver(ctx)
	return s, err
}

func (s *service) stop() { stopAll(s.api, s.worker, s.receiver) }

// hook is a subscription, and the box of the receiver that it delivers to.
type hook struct {
	*service
	ID     string `json:"id"`
	Secret string `json:"secret"`
	box    string
}

// subscribe has all events delivered to a box of the receiver, which answers
// after a time or "never". inFlight 0 leaves the default.
func (s *service) subscribe(ctx context.Context, box, after string, inFlight int) (*hook, error) {
	most := ""
	if inFlight > 0 {
		most = fmt.Sprintf(`,"max_in_flight":%d`, inFlight)
	}
	h := &hook{service: s, box: box}
	return h, call(ctx, http.MethodPost, "http://"+s.api.Addr+"/api/subscriptions", "application/json",
		fmt.Appendf(nil, `{"name":%q,"events":["*"],"channel":{"type":"webhook","url":%q}%s}`, box, h.url(after), most), h)
}

func (h *hook) url(after string) string {
	return "http://" + h.receiver.Addr + "/in/" + h.box + "/" + after
}

func (h *hook) at(action string) string {
	return "http://" + h.api.Addr + "/api/subscriptions/" + h.ID + action
}

// remove deletes the subscription; what is pending is canceled.
func (h *hook) remove(ctx context.Context) error {
	return call(ctx, http.MethodDelete, h.at(""), "", nil, nil)
}

// seen is what the receiver tells of a box.
type seen struct {
	Events, Requests, Most int
	First, Last, Answered  int64 // ns since 1970
}

// took is the time from the first event to the last.
func (s *seen) took() time.Duration { return time.Duration(s.Last - s.First) }

func (h *hook) seen(ctx context.Context) (s seen, err error) {
	return s, getJSON(ctx, "http://"+h.receiver.Addr+"/seen/"+h.box, &s)
}

// forget empties the box.
func (h *hook) forget(ctx context.Context) error {
	return call(ctx, http.MethodDelete, "http://"+h.receiver.Addr+"/seen/"+h.box, "", nil, nil)
}

// all returns when n events have come, and all have been answered if the receiver
// answers after a time. One that came twice is an error: nothing failed here.
func (h *hook) all(ctx context.Context, n int, after time.Duration) (s seen, err error) {
	ctx, cancel := context.WithTimeout(ctx, deliveredWithin)
	defer cancel()
	for {
		if s, err = h.seen(ctx); err != nil {
			return s, fmt.Errorf("%d of %d events came: %w\n%s", s.Events, n, err, h.worker.Warnings())
		}
		switch {
		case s.Requests > n:
			return s, fmt.Errorf("%d requests for %d events\n%s", s.Requests, n, h.worker.Warnings())
		case s.Events == n && s.Answered >= s.Last+int64(after):
			return s, nil
		}
		if err := rig.Wait(ctx, lookEvery); err != nil {
			return s, fmt.Errorf("%d of %d events came: %w\n%s", s.Events, n, err, h.worker.Warnings())
		}
	}
}

// writeBulk writes n records in as few requests as there may be.
func (s *service) writeBulk(ctx context.Context, n int) error {
	for ; n > 0; n -= min(n, bulkLines) {
		lines := strings.Repeat(string(body)+"\n", min(n, bulkLines))
		if err := call(ctx, http.MethodPost, "http://"+s.api.Addr+path, "application/x-ndjson", []byte(lines), nil); err != nil {
			return err
		}
	}
	return nil
}

// paced makes n writes, one every so often, whether the ones before were answered
// or not, and returns when each was sent, by its operation.
func paced(ctx context.Context, addr string, every time.Duration, n int) (map[string]time.Time, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	free := make(chan *load.Client, pacedConnections)
	for range pacedConnections {
		c, err := load.Dial(ctx, addr)
		if err != nil {
			return nil, err
		}
		defer func() { _ = c.Close() }()
		free <- c
	}
	type sent struct {
		operation string
		at        time.Time
		err       error
	}
	results := make(chan sent, n)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for range n {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-tick.C:
		}
		at := time.Now() // waiting for a connection counts: the client waits, too
		go func() {
			c := <-free
			operation, err := writeOne(c)
			free <- c
			results <- sent{operation, at, err}
		}()
	}
	times := make(map[string]time.Time, n)
	for range n {
		r := <-results
		if r.err != nil {
			return nil, r.err
		}
		times[r.operation] = r.at
	}
	return times, nil
}

func writeOne(c *load.Client) (operation string, err error) {
	answer, err := c.Post(path, body, "")
	if err != nil {
		return "", err
	}
	if answer.Status != http.StatusAccepted {
		return "", fmt.Errorf("answered %d: %s", answer.Status, answer.Body)
	}
	return strings.TrimPrefix(answer.Header.Get("Location"), "/api/operations/"), nil
}

// since returns how long after it was sent each event came; all must have come.
func (h *hook) since(ctx context.Context, sent map[string]time.Time) ([]time.Duration, error) {
	if _, err := h.all(ctx, len(sent), 0); err != nil {
		return nil, err
	}
	var came map[string]int64
	if err := getJSON(ctx, "http://"+h.receiver.Addr+"/seen/"+h.box+"/times", &came); err != nil {
		return nil, err
	}
	took := make([]time.Duration, 0, len(sent))
	for operation, at := range sent {
		if came[operation] == 0 {
			return nil, fmt.Errorf("the event of %s did not come", operation)
		}
		took = append(took, time.Unix(0, came[operation]).Sub(at))
	}
	return took, nil
}

// call makes a request that must succeed, and decodes the answer into out unless
// that is nil.
func call(ctx context.Context, method, url, mediaType string, body []byte, out any) (err error) {
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if mediaType != "" {
		request.Header.Set("Content-Type", mediaType)
	}
	if strings.Contains(url, "/api/subscriptions") { // writes are anybody's
		request.Header.Set("Authorization", "Bearer "+rig.AdminKey)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, answer.Body.Close()) }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s answered %s: %s", method, url, answer.Status, text)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(text, out)
}
