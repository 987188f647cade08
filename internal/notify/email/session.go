package email

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"os"
	"strings"
	"time"

	"github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"

	"github.com/waybill-dev/waybill/internal/notify/outbound"
)

// quitTime is what a server gets to answer QUIT: by then all is known.
const quitTime = time.Second

// stage is where in the dialogue something failed; its text goes into the error.
type stage string

const (
	connecting stage = "connect"
	greeting   stage = "greeting"
	hello      stage = "EHLO"
	startTLS   stage = "STARTTLS"
	login      stage = "AUTH"
	mailFrom   stage = "MAIL FROM"
	rcptTo     stage = "RCPT TO"
	dataStart  stage = "DATA"
	dataEnd    stage = "end of the message"
	reset      stage = "RSET"
)

// failure is why a dialogue went no further.
type failure struct {
	stage  stage
	code   int    // SMTP's; 0: no reply came
	text   string // the reply, or what happened instead of one
	broken bool   // the connection is of no more use
}

func (f *failure) Error() string {
	if f.code == 0 {
		return fmt.Sprintf("%s: %s", f.stage, f.text)
	}
	return fmt.Sprintf("%s: %d %s", f.stage, f.code, f.text)
}

// bounce says whether the recipient was refused for good. Before RCPT, a refusal
// is about us (who we are, how we log in), and so are the codes about logging in
// anywhere: an operator can mend that, so such mails are tried again.
func (f *failure) bounce() bool {
	switch f.code {
	case 530, 534, 535, 538:
		return false
	}
	return f.code/100 == 5 && (f.stage == rcptTo || f.stage == dataStart || f.stage == dataEnd)
}

// fail tells a server's refusal from a connection that failed. A 421 announces
// that the server hangs up.
func fail(ctx context.Context, began time.Time, at stage, err error) *failure {
	if reply, ok := errors.AsType[*textproto.Error](err); ok {
		return &failure{stage: at, code: reply.Code, text: reply.Msg, broken: reply.Code == 421}
	}
	if _, ok := errors.AsType[textproto.ProtocolError](err); ok {
		return &failure{stage: at, text: "the answer is not SMTP", broken: true}
	}
	text := outbound.Lost(ctx, ctx, time.Since(began), err)
	if _, ok := errors.AsType[net.Error](err); text == "" && ok {
		text = "the connection failed" // the cause shows addresses
	} else if text == "" {
		text = err.Error()
	}
	return &failure{stage: at, text: text, broken: true}
}

// session is a dialogue with the mail server, ready for messages.
type session struct {
	ctx    context.Context // the attempt's: a session does not outlive it
	began  time.Time
	conn   net.Conn
	client *smtp.Client
}

func (o *session) fail(at stage, err error) *failure { return fail(o.ctx, o.began, at, err) }

// open connects, greets, encrypts and logs in.
func (s *server) open(ctx context.Context) (*session, *failure) {
	began := time.Now()
	raw, err := dial(ctx, s.address)
	if err != nil {
		return nil, fail(ctx, began, connecting, err)
	}
	o := &session{ctx: ctx, began: began, conn: raw}
	if s.encryption == implicitTLS {
		encrypted := tls.Client(raw, s.tls)
		if err := encrypted.HandshakeContext(ctx); err != nil {
			_ = raw.Close()
			return nil, fail(ctx, began, connecting, err)
		}
		o.conn = encrypted
	}
	if o.client, err = smtp.NewClient(o.conn, s.host); err != nil {
		_ = raw.Close()
		return nil, fail(ctx, began, greeting, err)
	}
	if f := o.prepare(s); f != nil {
		o.close(f)
		return nil, f
	}
	return o, nil
}

func (o *session) prepare(s *server) *failure {
	if err := o.client.Hello(hostname()); err != nil {
		return o.fail(hello, err)
	}
	if s.encryption == tlsRequired || s.encryption == tlsOpportunistic {
		offered, _ := o.client.Extension("STARTTLS")
		if !offered && s.encryption == tlsRequired {
			return &failure{stage: startTLS, text: "the server does not offer it, and SMTP_URL requires it"}
		}
		if offered {
			if err := o.client.StartTLS(s.tls); err != nil {
				return o.fail(startTLS, err)
			}
		}
	}
	if s.user == "" {
		return nil
	}
	_, offered := o.client.Extension("AUTH")
	mechanism := s.authentication(offered)
	if mechanism == nil {
		return &failure{stage: login, text: "the server offers no mechanism that we have"}
	}
	if err := o.client.Auth(mechanism); err != nil {
		f := o.fail(login, err)
		f.broken = true // Auth has said QUIT
		return f
	}
	return nil
}

// send sends one message and returns the server's reply to it.
func (o *session) send(from, to string, m *mail.Msg) (reply string, f *failure) {
	wide := !ascii(from + to)
	if offered, _ := o.client.Extension("SMTPUTF8"); wide && !offered {
		return "", &failure{stage: rcptTo, code: 553, text: "5.6.7 the mail server takes no addresses beyond ASCII (SMTPUTF8)"}
	}
	o.client.SkipSMTPUTF8(!wide) // asked for in vain, it makes servers further on bounce
	if err := o.client.Mail("<" + from + ">"); err != nil {
		return "", o.fail(mailFrom, err)
	}
	if err := o.client.Rcpt("<" + to + ">"); err != nil {
		return "", o.reset(o.fail(rcptTo, err))
	}
	w, err := o.client.Data()
	if err != nil {
		return "", o.reset(o.fail(dataStart, err))
	}
	if _, err := m.WriteTo(w); err != nil {
		f := o.fail(dataEnd, err)
		f.broken = true // in the middle of a message there is no way back
		return "", f
	}
	if err := w.Close(); err != nil {
		return "", o.fail(dataEnd, err)
	}
	if data, ok := w.(*smtp.DataCloser); ok {
		reply = data.ServerResponse()
	}
	return reply, nil
}

// reset ends a transaction that failed, so that the next can begin.
func (o *session) reset(f *failure) *failure {
	if !f.broken {
		f.broken = o.client.Reset() != nil
	}
	return f
}

// close says goodbye where that makes sense. f is how the dialogue ended, nil if
// well.
func (o *session) close(f *failure) {
	if f == nil || !f.broken {
		_ = o.conn.SetDeadline(time.Now().Add(quitTime))
		_ = o.client.Quit()
	}
	_ = o.conn.SetDeadline(time.Now()) // TLS would like to say goodbye too
	_ = o.conn.Close()
}

// hostname is how we introduce ourselves.
func hostname() string {
	name, err := os.Hostname()
	if err != nil || name == "" || strings.ContainsAny(name, " \r\n") {
		return "localhost"
	}
	return name
}
