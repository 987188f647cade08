package email_test

import (
	"bufio"
	"cmp"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// fake is a mail server that says at each step what a test wants: for faults that
// no real one can be brought to. Steps: greeting, EHLO, STARTTLS, AUTH, MAIL, RCPT,
// DATA, end, RSET, QUIT, and "RCPT b@x.org" for one recipient. Besides a reply, an
// act is "hang", "reset", "drip" (a byte at a time without end) or "huge" (10 MiB).
type fake struct {
	acts map[string]string
	tls  *tls.Config

	mu    sync.Mutex
	mails map[string][]string // by recipient
	steps []string
}

var usual = map[string]string{
	"greeting": "220 fake", "EHLO": "250 fake", "HELO": "250 fake", "STARTTLS": "220 go on", "AUTH": "235 in", "MAIL": "250 ok",
	"RCPT": "250 ok", "DATA": "354 go on", "end": "250 2.0.0 queued as 17", "RSET": "250 ok", "QUIT": "221 bye", "*": "501 cancelled",
}

func (f *fake) start(t *testing.T) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.mails = map[string][]string{}
	var all sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
			all.Go(func() { f.serve(c); _ = c.Close() })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for _, c := range open {
			_ = c.Close()
		}
		mu.Unlock()
		all.Wait()
	})
	return l.Addr().String()
}

// act does what a step asks for, and says whether to go on, and with which code.
func (f *fake) act(c net.Conn, step, detail string) (code string, more bool) {
	f.mu.Lock()
	f.steps = append(f.steps, strings.TrimSpace(step+" "+detail))
	act := cmp.Or(f.acts[step+" "+detail], f.acts[step], usual[step], "500 what?")
	f.mu.Unlock()
	switch act {
	case "hang":
		_, _ = bufio.NewReader(c).ReadString(0) // until the client goes
		return "", false
	case "reset":
		if raw, ok := c.(*net.TCPConn); ok {
			_ = raw.SetLinger(0)
		}
		return "", false
	case "drip":
		for {
			if _, err := c.Write([]byte("2")); err != nil {
				return "", false
			}
			time.Sleep(5 * time.Millisecond) //nolint:forbidigo // slowness is what is tested
		}
	case "huge":
		line := "550-" + strings.Repeat("x", 1000) + "\r\n"
		for range 10 << 10 {
			if _, err := c.Write([]byte(line)); err != nil {
				return "", false
			}
		}
		act = "550 x"
	}
	_, err := fmt.Fprintf(c, "%s\r\n", act)
	return act[:3], err == nil && act[:3] != "421"
}

func (f *fake) serve(c net.Conn) {
	if _, more := f.act(c, "greeting", ""); !more {
		return
	}
	r, to := bufio.NewReader(c), ""
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimSpace(line)
		step, detail, _ := strings.Cut(line, " ")
		if step == "RCPT" {
			to = strings.Trim(strings.TrimPrefix(detail, "TO:"), "<>")
			detail = to
		}
		code, more := f.act(c, step, detail)
		if !more || step == "QUIT" {
			return
		}
		switch {
		case step == "STARTTLS" && code == "220":
			c = tls.Server(c, f.tls)
			r = bufio.NewReader(c)
		case step == "DATA" && code == "354":
			if !f.receive(c, r, to) {
				return
			}
		}
	}
}

func (f *fake) receive(c net.Conn, r *bufio.Reader, to string) bool {
	var mail strings.Builder
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return false
		}
		if line == ".\r\n" {
			break
		}
		mail.WriteString(strings.TrimPrefix(line, "."))
	}
	code, more := f.act(c, "end", to)
	if code == "250" {
		f.mu.Lock()
		f.mails[to] = append(f.mails[to], mail.String())
		f.mu.Unlock()
	}
	return more
}

func (f *fake) change(step, act string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.acts[step] = act
}

func (f *fake) count(step string) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.steps {
		if s == step || strings.HasPrefix(s, step+" ") {
			n++
		}
	}
	return n
}
