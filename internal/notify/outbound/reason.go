package outbound

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"
)

// Sentence is an error whose text is written for people, and shows no secret.
type Sentence string

func (s Sentence) Error() string { return string(s) }

// Reason says for people why no answer came. It is one of our own sentences:
// errors of net/http show URLs, addresses and what the receiver wrote. limited is
// the attempt's context, made from outer; took is how long it was tried.
func Reason(limited, outer context.Context, took time.Duration, err error) string {
	return cmp.Or(Lost(limited, outer, took, err), ofAnswer(err), "the request failed")
}

// Lost is Reason for what is not HTTP's: time, names, connections and TLS. "" says
// that err is none of these.
func Lost(limited, outer context.Context, took time.Duration, err error) string {
	switch {
	case outer.Err() != nil && errors.Is(outer.Err(), context.Canceled):
		return "the attempt was canceled"
	case limited.Err() != nil || isTimeout(err):
		return "timed out after " + round(took).String()
	}
	if s, ok := errors.AsType[Sentence](err); ok {
		return string(s)
	}
	return cmp.Or(ofName(err), ofConnection(err), ofTLS(err))
}

func isTimeout(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout()
}

// round leaves what a reader wants to know of a duration.
func round(d time.Duration) time.Duration {
	if d >= time.Second {
		return d.Truncate(time.Second)
	}
	return d.Truncate(time.Millisecond)
}

func ofName(err error) string {
	e, ok := errors.AsType[*net.DNSError](err)
	switch {
	case !ok:
		return ""
	case e.IsNotFound:
		return "no such host"
	default:
		return "the host's name could not be looked up"
	}
}

func ofConnection(err error) string {
	for _, c := range []struct {
		err  error
		text string
	}{
		{syscall.ECONNREFUSED, "connection refused"},
		{syscall.ECONNRESET, "connection reset"},
		{syscall.EPIPE, "connection closed without an answer"},
		{syscall.EHOSTUNREACH, "no route to the host"},
		{syscall.ENETUNREACH, "the network is unreachable"},
		{syscall.EMFILE, "too many open files here"},
		{syscall.EADDRNOTAVAIL, "no local port is free"},
		{io.EOF, "connection closed without an answer"},
		{io.ErrUnexpectedEOF, "connection closed within the answer"},
	} {
		if errors.Is(err, c.err) {
			return c.text
		}
	}
	return ""
}

func ofTLS(err error) string {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "TLS: certificate signed by unknown authority"
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "TLS: certificate is for another host"
	}
	if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		if e.Reason == x509.Expired {
			return "TLS: certificate has expired or is not yet valid"
		}
		return "TLS: certificate is not valid"
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "TLS: certificate is not valid"
	}
	if e, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		if string(e.RecordHeader[:]) == "HTTP/" {
			return "TLS: the answer is plain HTTP"
		}
		return "TLS: the answer is not TLS"
	}
	if e, ok := errors.AsType[*net.OpError](err); ok && strings.HasPrefix(e.Err.Error(), "tls: ") {
		return "TLS: the receiver refused the handshake" // an alert: its texts are crypto/tls's own
	}
	if strings.HasPrefix(err.Error(), "tls: ") {
		return "TLS: the handshake failed"
	}
	return ""
}

// ofAnswer knows net/http's errors that have no type by their text.
func ofAnswer(err error) string {
	text := err.Error()
	switch {
	case strings.Contains(text, "response headers exceeded"), strings.Contains(text, "header list too large"):
		return fmt.Sprintf("the headers of the answer are larger than %d KiB", mostHeader>>10)
	case strings.Contains(text, "malformed"), strings.Contains(text, "bad "), strings.Contains(text, "invalid"),
		strings.Contains(text, "unsupported"), strings.Contains(text, "too many"):
		return "the answer is not HTTP"
	case strings.Contains(text, "stream error"), strings.Contains(text, "connection error"), strings.Contains(text, "GOAWAY"):
		return "HTTP/2: the receiver broke the request off"
	case strings.Contains(text, "server closed idle connection"), strings.Contains(text, "connection broken"),
		strings.Contains(text, "connection lost"):
		return "connection closed without an answer"
	}
	return ""
}
