package chat

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/waybill-dev/waybill/internal/notify"
	"github.com/waybill-dev/waybill/internal/notify/outbound"
)

// maxWords is how much of a service's words an error repeats, in characters.
const maxWords = 120

type sender struct {
	channel *Channel
	target  *target
	redact  *outbound.Redactor
}

// progress is what one attempt leaves to the next, as JSON: which posts of several
// have arrived.
type progress struct {
	Done []string `json:"done,omitempty"`
}

// Send is notify.Sender's. With several chats, each gets its message once: a retry
// is for those that have none.
func (s *sender) Send(ctx context.Context, m *notify.Message) notify.Result {
	limited, cancel := context.WithTimeout(ctx, s.channel.timeout)
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
		r := s.post(limited, ctx, post, text)
		if r.OK {
			p.Done = append(p.Done, post.name)
			if all.OK {
				all.Status, all.Reply = r.Status, r.Reply
			}
			continue
		}
		if len(s.target.posts) > 1 {
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

// post makes one request. As with webhooks, all but 410 is worth another try. It
// goes to the transport directly: http.Client would add redirects and cookies.
func (s *sender) post(limited, outer context.Context, p post, text string) notify.Result {
	began := time.Now()
	body, err := json.Marshal(p.body(text))
	if err != nil {
		return notify.Result{Error: "the message cannot be written"}
	}
	request, err := http.NewRequestWithContext(limited, http.MethodPost, p.url, bytes.NewReader(body))
	if err != nil {
		return notify.Result{Error: "the request cannot be made"} // the cause quotes the URL
	}
	maps.Copy(request.Header, p.header)
	request.Header.Set("Content-Type", "application/json; charset=utf-8")
	request.Header.Set("User-Agent", "Waybill")
	response, err := s.channel.transport.RoundTrip(request)
	if err != nil {
		return notify.Result{Error: outbound.Reason(limited, outer, time.Since(began), err)}
	}
	defer func() { _ = response.Body.Close() }()
	reply, err := outbound.ReadReply(response)
	lost := ""
	if err != nil {
		lost = outbound.Reason(limited, outer, time.Since(began), err)
	}
	return s.judge(response, reply, lost)
}

// judge says how a request ended by its answer. lost is why the body broke off, ""
// if it did not.
func (s *sender) judge(response *http.Response, reply []byte, lost string) notify.Result {
	now, service := time.Now(), s.target.service
	r := outbound.Judge(response, now)
	why := ""
	if service.explain != nil {
		why = s.line(service.explain(reply))
	}
	if r.OK && service.accepts != nil && !service.accepts(reply, lost == "") {
		r.OK, r.Error = false, fmt.Sprintf("answered %d", r.Status)
		r.RetryAfter = outbound.RetryAfter(response.Header.Get("Retry-After"), now)
		why = cmp.Or(why, lost, "not a word of success")
	}
	if !r.OK {
		r.RetryAfter = max(r.RetryAfter, asksFor(reply))
		if why != "" {
			r.Error += ": " + why
		}
	}
	r.Reply = s.redact.Clean(reply) // last: it writes over reply
	return r
}

// line returns a service's words as they go into an error: one short line without
// secrets.
func (s *sender) line(words string) string {
	return notify.Line(string(s.redact.Clean([]byte(words))), maxWords)
}
