package notifytest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/waybill-dev/waybill/internal/notify"
)

// echo tries receivers that repeat the request, in every part of an answer.
func (c *Case) echo(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 202, 302, 400, 401, 404, 410, 429, 500} {
		c.send(t.Context(), t, Serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", r.URL.String())
			w.Header().Set("Retry-After", strings.Join(c.Secrets, " "))
			w.WriteHeader(status)
			_, _ = w.Write([]byte(dump(r) + "\n" + strings.Join(c.Secrets, "\n")))
		}))
	}
	for name, answer := range map[string]func(request string) string{
		"the reason of a status": func(s string) string {
			return "HTTP/1.1 500 " + oneLine(s) + "\r\nContent-Length: 0\r\n\r\n"
		},
		"no status line":  func(s string) string { return s },
		"a wrong version": func(s string) string { return "HTTP/" + oneLine(s) + "\r\n\r\n" },
		"a wrong header":  func(s string) string { return "HTTP/1.1 200 OK\r\n" + oneLine(s) + "\r\n\r\n" },
		"a wrong length":  func(s string) string { return "HTTP/1.1 200 OK\r\nContent-Length: " + oneLine(s) + "\r\n\r\n" },
		"a wrong coding": func(s string) string {
			return "HTTP/1.1 200 OK\r\nTransfer-Encoding: " + oneLine(s) + "\r\n\r\n"
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.fails(t.Context(), t, Raw(t, func(conn net.Conn) {
				_, _ = conn.Write([]byte(answer(request(conn) + strings.Join(c.Secrets, " "))))
			}))
		})
	}
}

func oneLine(s string) string { return strings.NewReplacer("\r", "", "\n", " ").Replace(s) }

// cut tries replies whose last bytes are the first of a secret.
func (c *Case) cut(t *testing.T) {
	t.Parallel()
	for _, secret := range c.Secrets {
		for _, shown := range []int{len(secret) - 1, len(secret)/2 + 1, len(secret)} {
			c.send(t.Context(), t, Serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusBadRequest)
				_, _ = w.Write([]byte(strings.Repeat("-", notify.MaxReply-shown) + secret + "and so on"))
			}))
		}
	}
}

// replies tries bodies that are too long, or no text.
func (c *Case) replies(t *testing.T) {
	t.Parallel()
	const huge = 10 << 20
	chunk := bytes.Repeat([]byte("0123456789abcdef"), 1024)
	long := c.fails(t.Context(), t, Serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		for sent := 0; sent < huge; sent += len(chunk) {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}))
	if !bytes.HasPrefix(chunk, long.Reply) || len(long.Reply) == 0 {
		t.Errorf("of a long reply %d bytes were kept: %.40q…", len(long.Reply), long.Reply)
	}
	for _, body := range []string{"\x00", "\xff\xfe\xc3", "a\x00\xf0\x9f", strings.Repeat("ü", notify.MaxReply), "\x1b[31m", "\u202e"} {
		c.fails(t.Context(), t, Serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadGateway)
			_, _ = w.Write([]byte(body))
		}))
	}
}

// broken tries answers that no HTTP answer ever is, and connections that end.
func (c *Case) broken(t *testing.T) {
	t.Parallel()
	c.fails(t.Context(), t, Refused(t))
	c.fails(t.Context(), t, Raw(t, reset))
	c.fails(t.Context(), t, Raw(t, func(net.Conn) {}))
	for _, answer := range []string{
		"", "\r\n", "\x00", "HTTP", "HTTP/1.1 2", "HTTP/1.1 200 OK\r\nContent-Le", "HTTP/1.1 abc OK\r\n\r\n",
		"HTTP/1.1 20 OK\r\n\r\n", "HTTP/1.1 -200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "ICY 200 OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "SSH-2.0-OpenSSH_9.9\r\n", "220 mail ESMTP\r\n", "{}",
		"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1<<20) + "\r\n\r\n",
		"HTTP/1.1 200 OK\r\n" + strings.Repeat("X: x\r\n", 1<<17) + "\r\n",
		strings.Repeat("HTTP/1.1 103 Early Hints\r\nX: "+strings.Repeat("x", 1<<12)+"\r\n\r\n", 1<<8),
	} {
		for name, end := range map[string]func(net.Conn){"closed": func(net.Conn) {}, "reset": reset} {
			t.Run(fmt.Sprintf("%.40q, %s", answer, name), func(t *testing.T) {
				t.Parallel()
				c.fails(t.Context(), t, Raw(t, func(conn net.Conn) {
					_ = request(conn)
					_, _ = conn.Write([]byte(answer))
					end(conn)
				}))
			})
		}
	}
	// Within the body: whether that is success is the channel's to say.
	for _, status := range []string{"200 OK", "500 Oh"} {
		c.send(t.Context(), t, Raw(t, func(conn net.Conn) {
			_ = request(conn)
			_, _ = conn.Write([]byte("HTTP/1.1 " + status + "\r\nContent-Length: 100\r\n\r\n" + c.answer()))
			reset(conn)
		}))
		c.send(t.Context(), t, Raw(t, func(conn net.Conn) {
			_ = request(conn)
			_, _ = conn.Write([]byte("HTTP/1.1 " + status + "\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" + c.answer()))
		}))
	}
}

// slow tries receivers that never come to an end: the attempt's context does.
func (c *Case) slow(t *testing.T) {
	t.Parallel()
	for name, r := range map[string]Receiver{
		"no answer":               Raw(t, wait),
		"no handshake":            secure(Raw(t, wait)),
		"a status line in drops":  Raw(t, drip("", "HTTP/1.1 200 "+strings.Repeat("O", 1<<20))),
		"headers in drops":        Raw(t, drip("HTTP/1.1 200 OK\r\n", strings.Repeat("X: x\r\n", 1<<20))),
		"a body in drops":         Raw(t, drip("HTTP/1.1 500 Oh\r\nContent-Length: 1048576\r\n\r\n", strings.Repeat("x", 1<<20))),
		"a success that lasts":    Raw(t, drip("HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n", strings.Repeat("x", 1<<20))),
		"chunks in drops":         Raw(t, drip("HTTP/1.1 500 Oh\r\nTransfer-Encoding: chunked\r\n\r\n", strings.Repeat("1\r\nx\r\n", 1<<18))),
		"informational, for ever": Raw(t, drip("", strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 1<<16))),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			began := time.Now()
			result := c.send(ctx, t, r)
			if took := time.Since(began); took > patience+soon {
				t.Errorf("took %v", took)
			}
			if result.Status == 0 && !strings.Contains(result.Error, "timed out") {
				t.Errorf("Error does not say that it timed out: %q", result.Error)
			}
		})
	}
}

// drip answers a request with head at once, and then with rest byte for byte.
func drip(head, rest string) func(net.Conn) {
	return func(conn net.Conn) {
		_ = request(conn)
		_, _ = conn.Write([]byte(head))
		trickle(conn, rest)
	}
}

// trickle writes text byte for byte, over and over, until the connection fails.
func trickle(conn net.Conn, text string) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		<-tick.C
		if _, err := conn.Write([]byte{text[i%len(text)]}); err != nil {
			return
		}
	}
}

// tls tries certificates, and receivers that speak no TLS.
func (c *Case) tls(t *testing.T) {
	t.Parallel()
	authority := NewAuthority(t)
	accept := func(w http.ResponseWriter, r *http.Request) {
		_ = dump(r)
		_, _ = w.Write([]byte(c.answer()))
	}
	later, before := time.Now().Add(time.Hour), time.Now().Add(-time.Hour)
	trusted := func(r Receiver) Receiver {
		r.Roots = authority.Roots
		return r
	}
	if result := c.send(t.Context(), t, trusted(ServeTLS(t, authority.Certificate(t, "127.0.0.1", later), accept))); !result.OK {
		t.Errorf("a certificate that is good: %+v", result)
	}
	for name, r := range map[string]Receiver{
		"unknown authority": ServeTLS(t, authority.Certificate(t, "127.0.0.1", later), accept),
		"another's":         trusted(ServeTLS(t, authority.Certificate(t, "other.example", later), accept)),
		"expired":           trusted(ServeTLS(t, authority.Certificate(t, "127.0.0.1", before), accept)),
		"no TLS":            secure(Serve(t, accept)),
		"nonsense":          secure(Raw(t, func(conn net.Conn) { _, _ = conn.Write(bytes.Repeat([]byte{7}, 64)) })),
		"closed":            secure(Raw(t, func(net.Conn) {})),
		"an alert":          secure(Raw(t, func(conn net.Conn) { _, _ = conn.Write([]byte{21, 3, 3, 0, 2, 2, 40}); wait(conn) })),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			result := c.fails(t.Context(), t, r)
			if name == "unknown authority" || name == "another's" || name == "expired" {
				if !strings.HasPrefix(result.Error, "TLS: certificate ") {
					t.Errorf("Error does not speak of the certificate: %q", result.Error)
				}
			}
		})
	}
}
