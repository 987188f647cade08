package outbound_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/waybill-dev/waybill/internal/notify"
	"github.com/waybill-dev/waybill/internal/notify/outbound"
)

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "0": 0, "7": 7 * time.Second, " 120 ": 2 * time.Minute, "86400": 24 * time.Hour, "86401": 24 * time.Hour,
		"99999999999999999999999": 24 * time.Hour, "-5": 0, "+5": 0, "1.5": 0, "soon": 0, "0x10": 0, "1e3": 0,
		"Sun, 01 Mar 2026 12:00:30 GMT": 30 * time.Second, "Sun, 01 Mar 2026 11:59:30 GMT": 0, "Mon, 01 Mar 2027 12:00:00 GMT": 24 * time.Hour,
		"Sunday, 01-Mar-26 12:01:00 GMT": time.Minute, "Sun Mar  1 12:02:00 2026": 2 * time.Minute, "Mon, 01 Jan 0001 00:00:00 GMT": 0,
		"Fri, 31 Dec 9999 23:59:59 GMT": 24 * time.Hour,
	} {
		if got := outbound.RetryAfter(value, now); got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]notify.Result{
		200: {OK: true}, 299: {OK: true},
		101: {Error: "answered 101", RetryAfter: time.Minute},
		304: {Error: "answered 304: redirects are not followed", RetryAfter: time.Minute},
		410: {Error: "answered 410: the receiver wants no more", RetryAfter: time.Minute, Gone: true, Permanent: true},
		500: {Error: "answered 500", RetryAfter: time.Minute},
	} {
		got := outbound.Judge(&http.Response{StatusCode: status, Header: http.Header{"Retry-After": {"60"}}}, time.Now())
		if got.Status != status || got.OK != want.OK || got.Error != want.Error || got.RetryAfter != want.RetryAfter ||
			got.Gone != want.Gone || got.Permanent != want.Permanent || got.Reply != nil {
			t.Errorf("%d: %+v, want %+v", status, got, want)
		}
	}
}

func TestReadReply(t *testing.T) {
	t.Parallel()
	full := strings.Repeat("x", notify.MaxReply)
	lost := errors.New("lost")
	for name, c := range map[string]struct {
		status int
		body   io.Reader
		want   string
		err    error
	}{
		"nothing":                    {200, strings.NewReader(""), "", nil},
		"little":                     {500, strings.NewReader("abc"), "abc", nil},
		"byte by byte":               {200, iotest.OneByteReader(strings.NewReader("abc")), "abc", nil},
		"its end with the data":      {200, iotest.DataErrReader(strings.NewReader("abc")), "abc", nil},
		"as much as is read":         {200, strings.NewReader(full), full, nil},
		"more":                       {200, io.MultiReader(strings.NewReader(full), iotest.ErrReader(lost)), full, nil},
		"it breaks off":              {200, io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(lost)), "abc", lost},
		"it is shorter than it said": {200, io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(io.ErrUnexpectedEOF)), "abc", io.ErrUnexpectedEOF},
		"another protocol":           {101, iotest.ErrReader(lost), "", nil},
	} {
		got, err := outbound.ReadReply(&http.Response{StatusCode: c.status, Body: io.NopCloser(c.body)})
		if string(got) != c.want || !errors.Is(err, c.err) || len(got) == 0 && got != nil {
			t.Errorf("%s: %.20q, %v", name, got, err)
		}
	}
}
