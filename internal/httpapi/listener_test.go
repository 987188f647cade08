package httpapi_test

import (
	"bufio"
	"encoding/json"
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
	go func() { _ = server.Serve(httpapi.Listen(l)) }()
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
