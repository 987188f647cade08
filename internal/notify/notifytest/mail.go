package notifytest

import (
	"bufio"
	"cmp"
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
)

// MailServer says at each step what a test wants: for faults that no real one can
// be brought to. It must not be changed but by its methods once it runs.
type MailServer struct {
	// Acts are replies ("250 ok", or several lines) by step: greeting, EHLO, STARTTLS,
	// AUTH, MAIL, RCPT, DATA, end, RSET, QUIT, and "RCPT b@x.org" for one recipient.
	// Besides a reply, an act is "hang", "reset", "drip" (a byte at a time without
	// end) or "huge" (10 MiB). Steps without one go well; AUTH PLAIN is offered.
	Acts map[string]string
	TLS  *tls.Config // after STARTTLS

	mu    sync.Mutex
	mails map[string][]string // by recipient
	steps []string
}

var usual = map[string]string{
	"greeting": "220 fake", "EHLO": "250-fake\r\n250 AUTH PLAIN", "HELO": "250 fake", "STARTTLS": "220 go on", "AUTH": "235 in", "MAIL": "250 ok",
	"RCPT": "250 ok", "DATA": "354 go on", "end": "250 2.0.0 queued as 17", "RSET": "250 ok", "QUIT": "221 bye", "*": "501 cancelled",
}

// Start returns a Receiver that is m, until the test ends: smtp://127.0.0.1:port.
func (m *MailServer) Start(t testing.TB) Receiver {
	t.Helper()
	m.mails = map[string][]string{}
	r := Raw(t, m.serve)
	r.URL = "smtp://" + r.Addr
	return r
}

// StartTLS is Start with TLS from the first byte: smtps://127.0.0.1:port.
func (m *MailServer) StartTLS(t testing.TB, certificate tls.Certificate) Receiver {
	t.Helper()
	m.mails = map[string][]string{}
	config := &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	r := Raw(t, func(conn net.Conn) { m.serve(tls.Server(conn, config)) })
	r.URL = "smtps://" + r.Addr
	return r
}

// act does what a step asks for, and says whether to go on, and with which code.
func (m *MailServer) act(c net.Conn, step, detail string) (code string, more bool) {
	m.mu.Lock()
	m.steps = append(m.steps, strings.TrimSpace(step+" "+detail))
	act := cmp.Or(m.Acts[step+" "+detail], m.Acts[step], usual[step], "500 what?")
	m.mu.Unlock()
	switch act {
	case "hang":
		wait(c)
		return "", false
	case "reset":
		reset(c)
		return "", false
	case "drip":
		trickle(c, "2")
		return "", false
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
	code = act[:min(3, len(act))]
	return code, err == nil && code != "421"
}

func (m *MailServer) serve(c net.Conn) {
	if _, more := m.act(c, "greeting", ""); !more {
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
		code, more := m.act(c, step, detail)
		if !more || step == "QUIT" {
			return
		}
		switch {
		case step == "STARTTLS" && code == "220":
			c = tls.Server(c, m.TLS)
			r = bufio.NewReader(c)
		case step == "DATA" && code == "354":
			if !m.receive(c, r, to) {
				return
			}
		}
	}
}

func (m *MailServer) receive(c net.Conn, r *bufio.Reader, to string) bool {
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
	code, more := m.act(c, "end", to)
	if code == "250" {
		m.mu.Lock()
		m.mails[to] = append(m.mails[to], mail.String())
		m.mu.Unlock()
	}
	return more
}

// Change gives a step another act.
func (m *MailServer) Change(step, act string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.Acts[step] = act
}

// Steps returns the dialogues so far, each command as it came.
func (m *MailServer) Steps() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.steps)
}

// Count returns how often a step was come to.
func (m *MailServer) Count(step string) (n int) {
	for _, s := range m.Steps() {
		if s == step || strings.HasPrefix(s, step+" ") {
			n++
		}
	}
	return n
}

// Mails returns what one recipient got.
func (m *MailServer) Mails(to string) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.mails[to])
}
