package httpapi_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/waybill-dev/waybill/internal/httpapi"
)

func TestListen_UnreadableRequestsGetAProblemToo(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 4096, Handler: http.NotFoundHandler()}
	t.Cleanup(func() { _ = server.Close() })
	go func() { _ = server.Serve(httpapi.Listen(l, 0)) }()
	long := make([]byte, 20_000)
	for i := range long {
		long[i] = 'a'
	}
	for name, c := range map[string]struct {
		request string
		status  int
		code    string
	}{
		"control character in a header": {"POST /api/messages HTTP/1.1\r\nHost: x\r\nIdempotency-Key: a\x01b\r\n\r\n", 400, "invalid_parameter"},
		"broken escape in the path":     {"GET /api/messages/a%zz HTTP/1.1\r\nHost: x\r\n\r\n", 400, "invalid_parameter"},
		"no Host":                       {"GET /api HTTP/1.1\r\n\r\n", 400, "invalid_parameter"},
		"not HTTP at all":               {"\x16\x03\x01\x02\r\n\r\n", 400, "invalid_parameter"},
		"header too large":              {"GET /api HTTP/1.1\r\nHost: x\r\nX: " + string(long) + "\r\n\r\n", 431, "too_large"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Write([]byte(c.request)); err != nil {
				t.Fatal(err)
			}
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = response.Body.Close() }()
			var p struct {
				Type, Title, Detail, Code string
				Status                    int
				RequestID                 string `json:"request_id"`
			}
			if err := json.NewDecoder(response.Body).Decode(&p); err != nil {
				t.Fatal(err)
			}
			if response.StatusCode != c.status || p.Status != c.status || p.Code != c.code || p.Detail == "" || p.Title == "" ||
				p.RequestID == "" || p.RequestID != response.Header.Get("X-Request-Id") ||
				response.Header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("%d %v: %+v", response.StatusCode, response.Header, p)
			}
		})
	}
}

// accepted accepts connections of l until it is closed.
func accepted(l net.Listener) (conns <-chan net.Conn, end <-chan error) {
	c, e := make(chan net.Conn, 100), make(chan error, 1)
	go func() {
		for {
			one, err := l.Accept()
			if err != nil {
				e <- err
				return
			}
			c <- one
		}
	}()
	return c, e
}

func listen(t *testing.T, most int) net.Listener {
	t.Helper()
	bound, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := httpapi.Listen(bound, most)
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// dial opens so many connections to l.
func dial(t *testing.T, l net.Listener, n int) (conns []net.Conn) {
	t.Helper()
	for range n {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		conns = append(conns, c)
	}
	return conns
}

// soon returns the next of a channel.
func soon[T any](t *testing.T, what string, from <-chan T) (next T) {
	t.Helper()
	select {
	case next = <-from:
	case <-time.After(20 * time.Second):
		t.Fatal("there is no ", what)
	}
	return next
}

// none checks that nothing comes of a channel for a moment.
func none[T any](t *testing.T, what string, from <-chan T) {
	t.Helper()
	select {
	case <-from:
		t.Fatal("there is a ", what)
	case <-time.After(50 * time.Millisecond):
	}
}

func TestListen_AcceptsSoManyAtOnce(t *testing.T) {
	t.Parallel()
	l := listen(t, 2)
	conns, _ := accepted(l)
	dial(t, l, 4)
	first, second := soon(t, "first", conns), soon(t, "second", conns)
	none(t, "third", conns)
	_ = first.Close()
	_ = first.Close() // frees one place, not two
	third := soon(t, "third", conns)
	none(t, "fourth", conns)
	_, _ = second.Close(), third.Close()
	soon(t, "fourth", conns)
}

func TestListen_WithoutABound(t *testing.T) {
	t.Parallel()
	l := listen(t, 0)
	conns, _ := accepted(l)
	dial(t, l, 20)
	for range 20 {
		soon(t, "connection", conns)
	}
}

func TestListen_CloseEndsAnAcceptThatWaits(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]int{"for a place": 1, "for a connection": 0} {
		l := listen(t, 1)
		conns, end := accepted(l)
		dial(t, l, open)
		for range open {
			soon(t, "connection", conns)
		}
		if err := l.Close(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := soon(t, "end", end); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
		_ = l.Close() // again
	}
}

// broken is a listener that fails until it is told not to.
type broken struct {
	net.Listener
	fails int
}

func (b *broken) Accept() (net.Conn, error) {
	if b.fails--; b.fails >= 0 {
		return nil, errors.New("out of files")
	}
	return b.Listener.Accept()
}

func TestListen_AFailedAcceptTakesNoPlace(t *testing.T) {
	t.Parallel()
	bound, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := httpapi.Listen(&broken{bound, 3}, 1)
	t.Cleanup(func() { _ = l.Close() })
	for range 3 {
		if _, err := l.Accept(); err == nil {
			t.Fatal("no error")
		}
	}
	conns, _ := accepted(l)
	dial(t, l, 1)
	soon(t, "connection", conns)
}

func TestListen_CloseWriteEndsOneDirection(t *testing.T) {
	t.Parallel()
	l := listen(t, 1)
	conns, _ := accepted(l)
	client, server := dial(t, l, 1)[0], soon(t, "connection", conns)
	half, ok := server.(interface{ CloseWrite() error })
	if !ok {
		t.Fatal("net/http cannot linger: no CloseWrite")
	}
	if err := half.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the client reads on: %v", err)
	}
	if _, err := client.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if n, err := server.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Errorf("the server reads %d bytes, %v", n, err)
	}
}
