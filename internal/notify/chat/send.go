package chat

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/waybill-dev/waybill/internal/notify"
)

// longestRetry is the longest that a service can ask us to wait.
const longestRetry = 24 * time.Hour

type sender struct {
	channel *Channel
	target  *target
}

// progress is what one attempt leaves to the next, as JSON: which posts of several
// have arrived.
type progress struct {
	Done []string `json:"done,omitempty"`
}

// Send is notify.Sender's. With several chats, each gets its message once: a retry
// is for those that have none.
func (s *sender) Send(ctx context.Context, m *notify.Message) notify.Result {
	ctx, cancel := context.WithTimeout(ctx, s.channel.timeout)
	defer cancel()
	text, err := write(m)
	if err != nil {
		return notify.Result{Error: err.Error(), Permanent: true, Progress: m.Progress}
	}
	text = s.target.service.fit(text)
	var p progress
	_ = json.Unmarshal([]byte(m.Progress), &p) // what cannot be read is no progress
	all := notify.Result{OK: true}
	var trouble []string
	for _, post := range s.target.posts {
		if slices.Contains(p.Done, post.name) {
			continue
		}
		r := s.post(ctx, post, text)
		if r.OK {
			p.Done = append(p.Done, post.name)
			if all.OK {
				all.Status, all.Reply = r.Status, r.Reply
			}
			continue
		}
		if post.name != "" {
			r.Error = post.name + ": " + r.Error
		}
		trouble = append(trouble, r.Error)
		r.RetryAfter = max(r.RetryAfter, all.RetryAfter)
		r.Gone = r.Gone || all.Gone
		all = r
	}
	all.Error = strings.Join(trouble, "; ")
	all.Permanent = all.Gone
	if noted, err := json.Marshal(p); err == nil && len(s.target.posts) > 1 && len(p.Done) > 0 {
		all.Progress = string(noted)
	}
	return all
}

// post makes one request. As with webhooks, all but 410 is worth another try.
func (s *sender) post(ctx context.Context, p post, text string) notify.Result {
	t := s.target
	body, err := json.Marshal(p.body(text))
	if err != nil {
		return notify.Result{Error: t.clean(err.Error())}
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, bytes.NewReader(body))
	if err != nil {
		return notify.Result{Error: "the request cannot be made"} // the cause quotes the URL
	}
	maps.Copy(request.Header, p.header)
	request.Header.Set("Content-Type", "application/json; charset=utf-8")
	request.Header.Set("User-Agent", "Waybill")
	response, err := s.channel.client.Do(request)
	if err != nil {
		return notify.Result{Error: t.name() + ": " + t.clean(reason(ctx, err))}
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(response.Body, notify.MaxReply))
	r := t.judge(response, answer)
	if err != nil && r.OK {
		r.OK, r.Error = false, t.name()+": the answer broke off: "+t.clean(reason(ctx, err))
	}
	return r
}

// judge says how an attempt ended by its answer.
func (t *target) judge(response *http.Response, answer []byte) notify.Result {
	status := response.StatusCode
	r := notify.Result{Status: status, Reply: []byte(t.redact(string(answer)))}
	refusal := ""
	if t.service.refuse != nil {
		refusal = t.clean(t.service.refuse(status, answer))
	}
	if status/100 == 2 && refusal == "" {
		r.OK = true
		return r
	}
	r.Error = fmt.Sprintf("%s answered %d", t.name(), status)
	if status/100 == 3 {
		r.Error += ": redirects are not followed"
	}
	if refusal != "" {
		r.Error += ": " + refusal
	}
	r.Gone = status == http.StatusGone
	r.RetryAfter = retryAfter(response.Header.Get("Retry-After"), answer, time.Now())
	return r
}

// retryAfter reads the header, in seconds or as a date, and what Discord
// (retry_after) and Telegram (parameters.retry_after) put into the body, in
// seconds. The longest counts.
func retryAfter(header string, answer []byte, now time.Time) time.Duration {
	var a struct {
		RetryAfter float64 `json:"retry_after"`
		Parameters struct {
			RetryAfter float64 `json:"retry_after"`
		} `json:"parameters"`
	}
	_ = json.Unmarshal(answer, &a) // another body asks for nothing
	seconds, err := strconv.ParseFloat(header, 64)
	if at, no := http.ParseTime(header); err != nil && no == nil {
		seconds = at.Sub(now).Seconds()
	}
	if math.IsNaN(seconds) {
		seconds = 0
	}
	seconds = max(0, seconds, a.RetryAfter, a.Parameters.RetryAfter)
	return time.Duration(min(seconds, longestRetry.Seconds()) * float64(time.Second))
}

// reason tells a failure without the URL that net/http puts before it.
func reason(ctx context.Context, err error) string {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err
	}
	if timeout, ok := errors.AsType[net.Error](err); ctx.Err() != nil || ok && timeout.Timeout() {
		return "no answer in time"
	}
	return err.Error()
}

func (t *target) name() string { return t.service.name }

// clean returns text fit to be stored as an error: one line, short, no secrets.
func (t *target) clean(text string) string { return line(t.redact(text)) }

// redact removes all that is secret of the URL, whole or cut off at the text's end.
func (t *target) redact(text string) string {
	cutOff := len(text) >= notify.MaxReply // the answer may go on
	var forms []string
	for _, s := range t.secrets {
		forms = append(forms, s, url.QueryEscape(s), url.PathEscape(s))
	}
	slices.SortFunc(forms, func(a, b string) int { return len(b) - len(a) })
	for _, s := range forms {
		text = strings.ReplaceAll(text, s, masked)
	}
	for _, s := range forms {
		if !cutOff {
			break
		}
		for n := len(s) - 1; n > 2; n-- {
			if rest, cut := strings.CutSuffix(text, s[:n]); cut {
				text = rest + masked
				break
			}
		}
	}
	return strings.ToValidUTF8(text[:min(len(text), notify.MaxReply)], "")
}
