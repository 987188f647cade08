package outbound_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/waybill-dev/waybill/internal/notify/outbound"
)

// TestReason is about what has a type; what net/http and crypto/tls say is met by
// the kit and by the channels.
func TestReason(t *testing.T) {
	t.Parallel()
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	late, stop := context.WithTimeout(t.Context(), 0)
	defer stop()
	wrapped := func(err error) error { return fmt.Errorf("dial tcp 10.0.0.1:443: %w", err) }
	for _, c := range []struct {
		limited, outer context.Context
		err            error
		want           string
	}{
		{t.Context(), t.Context(), wrapped(outbound.Sentence("the proxy answered 403")), "the proxy answered 403"},
		{t.Context(), t.Context(), wrapped(&net.DNSError{IsNotFound: true, Name: "secret.example"}), "no such host"},
		{t.Context(), t.Context(), wrapped(&net.DNSError{Name: "secret.example"}), "the host's name could not be looked up"},
		{t.Context(), t.Context(), wrapped(syscall.ECONNREFUSED), "connection refused"},
		{t.Context(), t.Context(), wrapped(io.ErrUnexpectedEOF), "connection closed within the answer"},
		{t.Context(), t.Context(), errors.New("what nobody knows"), "the request failed"},
		{t.Context(), t.Context(), wrapped(context.DeadlineExceeded), "timed out after 1s"},
		{late, t.Context(), errors.New("x"), "timed out after 1s"},
		{canceled, canceled, wrapped(syscall.ECONNREFUSED), "the attempt was canceled"},
	} {
		if got := outbound.Reason(c.limited, c.outer, 1500*time.Millisecond, c.err); got != c.want {
			t.Errorf("%v: %q, want %q", c.err, got, c.want)
		}
	}
}
