package queue

import (
	"bytes"
	"net"
	"sync"
	"testing"
)

// proxy is a network between client and Redis that can lose one reply.
type proxy struct {
	listener net.Listener
	target   string

	mu   sync.Mutex
	lose []byte // the next request that contains this loses its reply; nil: none
	lost int
}

func newProxy(t testing.TB, target string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, target: target}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go p.join(client)
		}
	}()
	return p
}

func (p *proxy) url() string { return "redis://" + p.listener.Addr().String() + "/0" }

// loseReply makes the next request that contains part arrive and its reply not.
func (p *proxy) loseReply(part string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lose = []byte(part)
}

func (p *proxy) replies() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lost
}

func (p *proxy) matches(request []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lose == nil || !bytes.Contains(request, p.lose) {
		return false
	}
	p.lose = nil
	p.lost++
	return true
}

func (p *proxy) join(client net.Conn) {
	defer func() { _ = client.Close() }()
	redis, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer func() { _ = redis.Close() }()
	cut := make(chan struct{}) // closed before the request whose reply is lost goes out
	go func() {
		defer func() { _ = redis.Close() }()
		var once sync.Once
		copyWhile(redis, client, func(request []byte) bool {
			if p.matches(request) {
				once.Do(func() { close(cut) })
			}
			return true
		})
	}()
	copyWhile(client, redis, func([]byte) bool {
		select {
		case <-cut:
			return false
		default:
			return true
		}
	})
}

func copyWhile(to, from net.Conn, pass func([]byte) bool) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 && !pass(buffer[:n]) {
			return
		}
		if _, werr := to.Write(buffer[:n]); err != nil || werr != nil {
			return
		}
	}
}
