package webhook

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/waybill-dev/waybill/internal/notify"
	"github.com/waybill-dev/waybill/internal/notify/outbound"
	"github.com/waybill-dev/waybill/internal/record"
)

const errPlain = outbound.Sentence("plain HTTP is not allowed")

// sender posts to one URL. What does not change between events is made once.
type sender struct {
	channel *Channel
	url     *url.URL
	header  http.Header // but for what is the event's; its values are shared by all requests
	signers []*signer
	redact  *outbound.Redactor
}

func newSender(c *Channel, s *settings) (*sender, error) {
	u, err := url.Parse(s.URL)
	if err != nil || u.Host == "" {
		return nil, errSettings
	}
	w := &sender{channel: c, url: u, header: http.Header{
		"Content-Type": {"application/json"},
		"User-Agent":   c.agent,
		// A nil value is not sent. It tells net/http that the request may be repeated
		// where a kept connection turns out to be closed: receivers know it by its ID.
		"Idempotency-Key": {},
	}, redact: outbound.NewRedactor(s.confidential(u, c.options.Proxy)...)}
	for name, value := range s.Headers {
		w.header[http.CanonicalHeaderKey(name)] = []string{value}
	}
	for i := range s.Secrets {
		signer, err := newSigner(&s.Secrets[i])
		if err != nil {
			return nil, err
		}
		w.signers = append(w.signers, signer)
	}
	return w, nil
}

// Send posts the event once. A status of 2xx is success, even if the body of the
// answer does not come to its end: the receiver has said that it has the event.
func (s *sender) Send(ctx context.Context, m *notify.Message) notify.Result {
	began := time.Now()
	limited, cancel := context.WithTimeout(ctx, s.channel.options.Timeout)
	defer cancel()
	response, err := s.post(limited, m)
	if err != nil {
		return notify.Result{Error: outbound.Reason(limited, ctx, time.Since(began), err)}
	}
	defer func() { _ = response.Body.Close() }()
	r := outbound.Judge(response, s.channel.options.Now())
	reply, _ := outbound.ReadReply(response) // what came is kept, however it ended
	r.Reply = s.redact.Clean(reply)
	return r
}

// post sends the request and returns the answer, whose body is the caller's to
// close. It goes to the transport directly: http.Client would add redirects,
// cookies and the URL in every error.
func (s *sender) post(ctx context.Context, m *notify.Message) (*http.Response, error) {
	c := s.channel
	if c.options.HTTPSOnly && s.url.Scheme != "https" {
		return nil, errPlain // the rule may be younger than the subscription
	}
	if c.options.Proxy != nil {
		if err := c.admit(ctx, s.url.Hostname()); err != nil {
			return nil, err
		}
	}
	body := m.Event.Body
	request := (&http.Request{
		Method: http.MethodPost, URL: s.url, Host: s.url.Host,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        s.headerOf(m),
		Body:          io.NopCloser(bytes.NewReader(body)),
		GetBody:       func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil },
		ContentLength: int64(len(body)),
	}).WithContext(ctx)
	return c.transport.RoundTrip(request)
}

// headerOf returns the header of an event's request.
func (s *sender) headerOf(m *notify.Message) http.Header {
	now := s.channel.options.Now()
	stamp := strconv.FormatInt(now.Unix(), 10)
	values := [3]string{m.Event.ID, stamp, sign(s.signers, now, m.Event.ID+"."+stamp+".", m.Event.Body)}
	h := make(http.Header, len(s.header)+len(values))
	maps.Copy(h, s.header)
	h["Webhook-Id"] = values[0:1:1]
	h["Webhook-Timestamp"] = values[1:2:2]
	h["Webhook-Signature"] = values[2:3:3]
	if t := m.Event.Trace; t.Parent != "" {
		setTrace(h, t)
	}
	return h
}

// setTrace says which trace the request is part of. That is the event's to say,
// also where a subscription has headers of these names.
func setTrace(h http.Header, t record.Trace) {
	h["Traceparent"] = []string{t.Parent}
	delete(h, "Tracestate")
	if t.State != "" {
		h["Tracestate"] = []string{t.State}
	}
}
