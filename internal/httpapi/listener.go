package httpapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"

	"github.com/google/uuid"

	"github.com/waybill-dev/waybill/internal/fault"
)

// Listen returns l such that what net/http answers by itself, to requests that
// it does not even read to their end (a malformed header, an address that is
// none), is a problem document like every other failure. net/http has no hook
// for that: it writes these answers in one piece, straight to the connection.
//
// There are at most so many connections at once, idle ones too; further ones wait
// to be accepted until another is closed. 0: no bound.
func Listen(l net.Listener, most int) net.Listener {
	listening := &listener{Listener: l, closed: make(chan struct{})}
	if most > 0 {
		listening.slots = make(chan struct{}, most)
	}
	return listening
}

// listener counts its connections by itself: those of x/net's LimitListener have
// no CloseWrite.
type listener struct {
	net.Listener
	slots  chan struct{} // one in it for each connection; nil: no bound
	closed chan struct{}
	once   sync.Once
}

func (l *listener) Accept() (net.Conn, error) {
	if l.slots == nil {
		return l.accept(func() {})
	}
	select {
	case l.slots <- struct{}{}:
		return l.accept(func() { <-l.slots })
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) accept(free func()) (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		free()
		return nil, err
	}
	return &conn{Conn: c, free: sync.OnceFunc(free)}, nil
}

// Close ends an Accept that waits for a connection to be closed, too.
func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

type conn struct {
	net.Conn
	free func() // its place, once
}

// Close frees the connection's place.
func (c *conn) Close() error {
	defer c.free()
	return c.Conn.Close()
}

// bareEnd is how the head of such an answer ends. An answer of ours never does:
// it has more headers, in the order of their names.
var bareEnd = []byte("\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n")

func (c *conn) Write(b []byte) (int, error) {
	head, text, bare := bytes.Cut(b, bareEnd)
	if !bare || bytes.Contains(head, []byte("\r\n")) || !bytes.HasPrefix(head, []byte("HTTP/1.1 ")) {
		return c.Conn.Write(b)
	}
	status, err := strconv.Atoi(string(head[len("HTTP/1.1 "):min(len(head), len("HTTP/1.1 400"))]))
	if err != nil {
		return c.Conn.Write(b)
	}
	if _, err := c.Conn.Write(bareProblem(status, text)); err != nil {
		return 0, err
	}
	return len(b), nil
}

// bareProblem is the whole answer to a request that could not be read.
func bareProblem(status int, text []byte) []byte {
	p := problem{
		Type: "about:blank", Title: http.StatusText(status), Status: status, Code: fault.InvalidParameter,
		Detail: "the request cannot be read: " + string(text), RequestID: uuid.NewString(),
	}
	if status == http.StatusRequestHeaderFieldsTooLarge {
		p.Code = fault.TooLarge
	}
	body, _ := json.Marshal(&p) //nolint:errchkjson // strings and a number
	head := fmt.Sprintf("HTTP/1.1 %d %s\r\nContent-Type: application/problem+json\r\nX-Request-Id: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n",
		status, http.StatusText(status), p.RequestID, len(body))
	return append([]byte(head), body...)
}

// CloseWrite lets net/http linger until a client that is still sending has read
// the answer.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
