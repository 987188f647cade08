package httpapi_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/waybill-dev/waybill/internal/testenv"
)

// half sends the head of a POST and half of its body.
func half(t *testing.T, conn net.Conn, head string) {
	t.Helper()
	_, err := io.WriteString(conn, "POST /api/messages HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"+head)
	must(t, err)
}

const (
	halfSized   = "Content-Length: 40\r\n\r\n{\"content\":\"half of"
	halfChunked = "Transfer-Encoding: chunked\r\n\r\n17\r\n{\"content\":\"half of it\"}\r\n"
)

func TestAPI_ClientThatHangsUpHalfWay(t *testing.T) {
	t.Parallel()
	s := newService(t)
	before := s.state()
	for name, head := range map[string]string{
		"sized":                   halfSized,
		"sized, after an object":  "Content-Length: 40\r\n\r\n{\"content\":\"half\"}",
		"chunked":                 halfChunked,
		"chunked, a whole object": "Transfer-Encoding: chunked\r\n\r\n12\r\n{\"content\":\"half\"}\r\n",
		"before the body":         "Content-Length: 40\r\n\r\n",
	} {
		ended := s.seen.ended()
		conn := s.dial()
		half(t, conn, head)
		must(t, conn.Close())
		testenv.Eventually(t, 10*time.Second, name+": the request ends", func() error {
			if s.seen.ended() == ended {
				return fmt.Errorf("it has not")
			}
			return nil
		})
		if after := s.state(); after != before {
			t.Errorf("%s: %s became %s", name, before, after)
		}
	}
	s.post("/api/messages", `{"content":"x"}`).accepted()
}

// A client that is slow to send its body is told so, and holds its connection
// no longer than the server's read timeout.
func TestAPI_SlowClient(t *testing.T) {
	t.Parallel()
	s := newService(t, reading(300*time.Millisecond))
	before := s.state()
	for name, head := range map[string]string{"sized": halfSized, "chunked": halfChunked} {
		conn := s.dial()
		half(t, conn, head)
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		body, err := io.ReadAll(response.Body)
		must(t, err)
		must(t, response.Body.Close())
		a := &answer{t, name, response.StatusCode, response.Header, body}
		a.problem(400, "invalid_json", "body")
		if !response.Close {
			t.Errorf("%s: the connection stays open", name)
		}
		if n, err := conn.Read(make([]byte, 1)); n > 0 || err == nil {
			t.Errorf("%s: more on the connection", name)
		}
	}
	if after := s.state(); after != before {
		t.Errorf("%s became %s", before, after)
	}
	s.post("/api/messages", `{"content":"x"}`).accepted()
}

// One that never finishes its header is cut off without an answer.
func TestAPI_SlowHeader(t *testing.T) {
	t.Parallel()
	s := newService(t, reading(300*time.Millisecond))
	conn := s.dial()
	_, err := io.WriteString(conn, "GET /api HTTP/1.1\r\nHost: x\r\nX-Slow: ")
	must(t, err)
	start := time.Now()
	if _, err := io.ReadAll(conn); err != nil {
		t.Errorf("the connection did not end: %v", err)
	}
	if took := time.Since(start); took > 15*time.Second {
		t.Errorf("it took %v", took)
	}
}
