package notifytest

import (
	"bufio"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// Serve returns a Receiver that answers with handler, over HTTP/1.1.
func Serve(t testing.TB, handler http.HandlerFunc) Receiver {
	t.Helper()
	return start(t, handler, func(s *httptest.Server) { s.Start() })
}

// ServeTLS is Serve with TLS and HTTP/2, for a certificate.
func ServeTLS(t testing.TB, certificate tls.Certificate, handler http.HandlerFunc) Receiver {
	t.Helper()
	return start(t, handler, func(s *httptest.Server) {
		s.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
		s.EnableHTTP2 = true
		s.StartTLS()
	})
}

func start(t testing.TB, handler http.Handler, run func(*httptest.Server)) Receiver {
	t.Helper()
	s := httptest.NewUnstartedServer(handler)
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	run(s)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return Receiver{URL: s.URL, Addr: s.Listener.Addr().String()}
}

// Raw returns a Receiver that does with each connection what handle does. The
// connection is closed when handle returns; handle returns once the connection
// fails, which it does at the end of the test.
func Raw(t testing.TB, handle func(net.Conn)) Receiver {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var open []net.Conn
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, conn)
			mu.Unlock()
			running.Go(func() {
				defer func() { _ = conn.Close() }()
				handle(conn)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for _, conn := range open {
			_ = conn.Close()
		}
		mu.Unlock()
		running.Wait()
	})
	return Receiver{URL: "http://" + l.Addr().String(), Addr: l.Addr().String()}
}

// Refused returns a Receiver where nobody listens.
func Refused(t testing.TB) Receiver {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	return Receiver{URL: "http://" + l.Addr().String(), Addr: l.Addr().String()}
}

// secure returns r as an https:// URL.
func secure(r Receiver) Receiver {
	r.URL = strings.Replace(r.URL, "http://", "https://", 1)
	return r
}

// request reads one request to its end and returns it as text, "" if none came.
func request(conn net.Conn) string {
	r, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return ""
	}
	return dump(r)
}

// dump returns everything that a receiver learns from a request.
func dump(r *http.Request) string {
	var b strings.Builder
	b.WriteString(r.Method + " " + r.URL.RequestURI() + " " + r.URL.RawQuery + "\n")
	_ = r.Header.Write(&b)
	body, _ := io.ReadAll(r.Body)
	b.Write(body)
	return b.String()
}

// reset closes a connection with a TCP reset.
func reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// wait returns when the other side has closed the connection.
func wait(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }
