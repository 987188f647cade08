package httpapi

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"sync"

	"github.com/waybill-dev/waybill/internal/fault"
)

var bodies = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// keepBuffer is the largest buffer that goes back into the pool, in bytes.
const keepBuffer = 1 << 20

// readBody reads the whole body, of at most limit bytes, and calls use with it.
// The bytes are use's only until it returns.
func readBody(x *exchange, r *http.Request, limit int64, use func(body []byte) error) error {
	if r.ContentLength > limit {
		return tooLarge(limit)
	}
	buffer := bodies.Get().(*bytes.Buffer)
	defer func() {
		if buffer.Cap() <= keepBuffer {
			bodies.Put(buffer)
		}
	}()
	buffer.Reset()
	_, err := buffer.ReadFrom(http.MaxBytesReader(x.ResponseWriter, r.Body, limit))
	_, over := errors.AsType[*http.MaxBytesError](err)
	switch {
	case err == nil:
		return use(buffer.Bytes())
	case over:
		return tooLarge(limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		x.Header().Set("Connection", "close")
		return fault.At(fault.InvalidJSON, "body", "did not arrive in time")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fault.At(fault.InvalidJSON, "body", "ended early")
	default:
		return fault.At(fault.InvalidJSON, "body", "could not be read")
	}
}

func tooLarge(limit int64) error {
	return fault.At(fault.TooLarge, "body", "has more than %d bytes", limit)
}
