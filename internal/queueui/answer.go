package queueui

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/waybill-dev/waybill/internal/fault"
	"github.com/waybill-dev/waybill/internal/queue"
	"github.com/waybill-dev/waybill/tasks"
)

// pingTimeout bounds the question whether Redis is there.
const pingTimeout = 2 * time.Second

// Fail answers a request with the problem that err is: the one mapping from
// faults to HTTP, and the only place where they are logged. w is not always the
// server's own.
type Fail func(w http.ResponseWriter, r *http.Request, err error)

// answer is a ResponseWriter that keeps what is written.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(status int) { a.status = cmp.Or(a.status, status) }

func (a *answer) Write(b []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(b)
}

// send writes the answer to w.
func (a *answer) send(w http.ResponseWriter) {
	maps.Copy(w.Header(), a.header)
	w.WriteHeader(cmp.Or(a.status, http.StatusOK))
	_, _ = w.Write(a.body.Bytes()) // nobody is left to tell
}

// judge turns an answer of asynqmon's that is none into a fault: asynqmon tells
// its causes to everybody, and says 500 to most of them.
func (h *Handler) judge(r *http.Request, a *answer) error {
	text := strings.TrimSpace(a.body.String())
	switch {
	case a.status >= 500 && strings.Contains(strings.ToLower(strings.ReplaceAll(text, "_", " ")), "not found"),
		a.status == http.StatusNotFound, a.isPage() && (inAPI(r) || isStatic(r)):
		return fault.New(fault.NotFound, "there is no such thing in the queues")
	case a.status == http.StatusServiceUnavailable:
		return fault.Wrap(fault.QueueUnavailable, errors.New(text), "the queues did not answer in time")
	case a.status >= 500:
		return h.blame(r.Context(), errors.New(text))
	case a.status >= 400:
		return fault.New(fault.InvalidParameter, "%s", text[:min(len(text), 200)])
	}
	a.label(r)
	return nil
}

// blame says whose failure a failure of asynqmon is: Redis's, if it is away.
func (h *Handler) blame(ctx context.Context, cause error) error {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	node, err := queue.Node(ctx, h.o.Redis, tasks.QueueWrites)
	if err == nil {
		err = node.Ping(ctx).Err()
	}
	if err != nil {
		return fault.Wrap(fault.QueueUnavailable, cause, "the queues cannot be reached")
	}
	return fault.Wrap(fault.Internal, cause, "the queues could not be read")
}

// answer answers a request with err. asynqmon's page shows the text of a failure
// as it is, and breaks, or shows an empty list, if it is JSON: its scripts get
// the problem as a line of text.
func (f Fail) answer(w http.ResponseWriter, r *http.Request, err error) {
	if !inAPI(r) || !wantsText(r) {
		f(w, r, err)
		return
	}
	a := &answer{header: w.Header()}
	f(a, r, err)
	var problem struct {
		Detail    string `json:"detail"`
		Code      string `json:"code"`
		RequestID string `json:"request_id"`
	}
	if json.Unmarshal(a.body.Bytes(), &problem) == nil {
		line := problem.Detail + " (" + problem.Code + ", request " + problem.RequestID + ")"
		a.body.Reset()
		a.body.WriteString(line)
		a.header.Set("Content-Type", "text/plain; charset=utf-8")
		a.header.Set("Content-Length", strconv.Itoa(len(line)))
	}
	a.send(w)
}

// wantsText reports whether a client names text/plain, as asynqmon's scripts do.
func wantsText(r *http.Request) bool {
	return slices.ContainsFunc(strings.Split(r.Header.Get("Accept"), ","), func(media string) bool {
		return strings.TrimSpace(media) == "text/plain"
	})
}
