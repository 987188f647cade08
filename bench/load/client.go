package load

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// answerWithin bounds the wait for one answer.
const answerWithin = 15 * time.Second

// Client is one connection that is kept alive. It is for one goroutine.
type Client struct {
	conn net.Conn
	in   *bufio.Reader
	body []byte // of the last answer
}

// Dial connects to addr, host:port.
func Dial(ctx context.Context, addr string) (*Client, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return &Client{conn: conn, in: bufio.NewReader(conn)}, nil
}

// Close ends the connection.
func (c *Client) Close() error { return c.conn.Close() }

// dialAll connects n times.
func dialAll(ctx context.Context, addr string, n int) ([]*Client, error) {
	clients := make([]*Client, 0, n)
	for range n {
		c, err := Dial(ctx, addr)
		if err != nil {
			for _, open := range clients {
				_ = open.Close()
			}
			return nil, err
		}
		clients = append(clients, c)
	}
	return clients, nil
}

// Answer is a whole answer.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Post sends body to path, with a Prefer header unless prefer is empty, and
// returns the answer, whatever it is.
func (c *Client) Post(path string, body []byte, prefer string) (*Answer, error) {
	a := &Answer{Header: http.Header{}}
	status, err := c.exchange(postRequest(c.conn.RemoteAddr().String(), path, body, prefer), func(name, value []byte) {
		a.Header.Add(string(name), string(value))
	})
	a.Status, a.Body = status, bytes.Clone(c.body)
	return a, err
}

// postRequest returns a request's bytes.
func postRequest(host, path string, body []byte, prefer string) []byte {
	if prefer != "" {
		prefer = "Prefer: " + prefer + "\r\n"
	}
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n%s",
		path, host, prefer, len(body), body)
}

// What the answer to an accepted write must have in its body.
var (
	bodyBegins = []byte(`{"id":"`)
	bodyHas    = []byte(`"action":"create","collection":"messages","record":"`)
	bodySays   = []byte(`"status":"queued"`)
)

// accepted sends request and checks that it was accepted.
func (c *Client) accepted(request []byte) error {
	status, err := c.exchange(request, nil)
	if err != nil {
		return err
	}
	if status != http.StatusAccepted {
		return fmt.Errorf("answered %d: %s", status, c.body)
	}
	if !bytes.HasPrefix(c.body, bodyBegins) || !bytes.Contains(c.body, bodyHas) || !bytes.Contains(c.body, bodySays) {
		return fmt.Errorf("a 202 without an operation: %s", c.body)
	}
	return nil
}

var (
	errNotHTTP  = errors.New("not an HTTP/1.1 answer")
	errNoLength = errors.New("an answer without Content-Length")
)

const lengthName = "Content-Length: " // as Go's server writes it

// exchange sends request and reads the answer: its status, and its body into
// c.body. header is called for each header, unless it is nil.
func (c *Client) exchange(request []byte, header func(name, value []byte)) (status int, err error) {
	if err := c.conn.SetDeadline(time.Now().Add(answerWithin)); err != nil {
		return 0, err
	}
	if _, err := c.conn.Write(request); err != nil {
		return 0, err
	}
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return 0, err
	}
	if status, err = statusOf(line); err != nil {
		return 0, err
	}
	length := -1
	for {
		if line, err = c.in.ReadSlice('\n'); err != nil {
			return status, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		if len(line) > len(lengthName) && strings.EqualFold(string(line[:len(lengthName)]), lengthName) {
			if length, err = strconv.Atoi(string(line[len(lengthName):])); err != nil || length < 0 {
				return status, fmt.Errorf("a bad Content-Length: %s", line)
			}
		}
		if header != nil {
			name, value, _ := bytes.Cut(line, []byte(": "))
			header(name, value)
		}
	}
	if length < 0 {
		return status, errNoLength
	}
	if cap(c.body) < length {
		c.body = make([]byte, length)
	}
	c.body = c.body[:length]
	_, err = io.ReadFull(c.in, c.body)
	return status, err
}

// statusOf reads "HTTP/1.1 202 Accepted".
func statusOf(line []byte) (int, error) {
	const version = "HTTP/1.1 "
	if !bytes.HasPrefix(line, []byte(version)) || len(line) < len(version)+3 {
		return 0, errNotHTTP
	}
	status, err := strconv.Atoi(string(line[len(version) : len(version)+3]))
	if err != nil {
		return 0, errNotHTTP
	}
	return status, nil
}
