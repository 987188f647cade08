package outbound

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/waybill-dev/waybill/internal/notify"
)

// Judge says what an answer's head means; its body is left to ReadReply. A status
// of 2xx is success, 410 is the end of all.
func Judge(response *http.Response, now time.Time) notify.Result {
	r := notify.Result{Status: response.StatusCode}
	if r.OK = r.Status >= 200 && r.Status <= 299; r.OK {
		return r
	}
	r.RetryAfter = RetryAfter(response.Header.Get("Retry-After"), now)
	r.Error = fmt.Sprintf("answered %d", r.Status)
	switch {
	case r.Status == http.StatusGone:
		r.Gone, r.Permanent = true, true
		r.Error += ": the receiver wants no more"
	case r.Status >= 300 && r.Status <= 399:
		r.Error += ": redirects are not followed"
	}
	return r
}

var buffers = sync.Pool{New: func() any { return new([notify.MaxReply]byte) }}

// ReadReply returns the first notify.MaxReply bytes of an answer's body, nil if
// there are none, and why it broke off before its end, if it did. A small answer is
// read to its end, so that its connection serves again.
func ReadReply(response *http.Response) (reply []byte, err error) {
	if response.StatusCode < http.StatusOK { // 101 hands over a connection that has no end
		return nil, nil
	}
	buffer := buffers.Get().(*[notify.MaxReply]byte)
	defer buffers.Put(buffer)
	n := 0
	for n < len(buffer) && err == nil {
		var more int
		more, err = response.Body.Read(buffer[n:])
		n += more
	}
	if n == len(buffer) || errors.Is(err, io.EOF) { // one that is cut off is io.ErrUnexpectedEOF
		err = nil
	}
	if n == 0 {
		return nil, err
	}
	return bytes.Clone(buffer[:n]), err
}

// MaxRetryAfter is the longest that a receiver can ask us to wait.
const MaxRetryAfter = 24 * time.Hour

// RetryAfter reads a Retry-After header: seconds, or a date. What cannot be read or
// has passed is 0.
func RetryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	if seconds, err := strconv.ParseUint(value, 10, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		return time.Duration(min(seconds, uint64(MaxRetryAfter/time.Second))) * time.Second
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return max(0, min(at.Sub(now), MaxRetryAfter))
}
