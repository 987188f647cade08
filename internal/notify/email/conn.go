package email

import (
	"context"
	"net"
	"time"

	"github.com/waybill-dev/waybill/internal/notify/outbound"
)

// maxRead is how much is read from a mail server in one attempt, in bytes: 50
// recipients' replies are a tenth of it. SMTP's replies have no end of their own.
const maxRead = 1 << 20

const errTooMuch = outbound.Sentence("the mail server sends more than 1 MiB of replies")

// conn bounds what a server can do to an attempt: no deadline is later than the
// attempt's end, and what it sends is counted.
type conn struct {
	net.Conn
	end  time.Time
	left int
	stop func() bool
}

// dial connects until ctx ends; the connection ends with it too.
func dial(ctx context.Context, address string) (*conn, error) {
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: raw, left: maxRead, stop: context.AfterFunc(ctx, func() { _ = raw.Close() })}
	c.end, _ = ctx.Deadline()
	return c, c.SetDeadline(c.end)
}

func (c *conn) SetDeadline(t time.Time) error {
	if t.IsZero() || t.After(c.end) {
		t = c.end
	}
	return c.Conn.SetDeadline(t)
}

func (c *conn) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, errTooMuch
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

func (c *conn) Close() error {
	c.stop()
	return c.Conn.Close()
}
