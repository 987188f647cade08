package email

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	html "html/template"
	gomail "net/mail"
	"strings"
	text "text/template"
	"time"

	"github.com/wneessen/go-mail"

	"github.com/waybill-dev/waybill/internal/notify"
)

// Bounds of a message.
const (
	maxRecord  = 64 << 10 // bytes of the record that are shown
	maxSubject = 200      // characters
)

//go:embed template/mail.txt
var textSource string

//go:embed template/mail.html
var htmlSource string

var (
	textTemplate = text.Must(text.New("text").Parse(textSource))
	htmlTemplate = html.Must(html.New("html").Parse(htmlSource))
)

// content is what the templates show; the same for every recipient.
type content struct {
	Type      string          `json:"type"`
	Timestamp string          `json:"timestamp"`
	Data      json.RawMessage `json:"data"`
	Operation string          `json:"operation"` // "": no operation is behind the event
	Action    string          `json:"action"`
	Error     struct{ Code, Detail string }

	Name     string `json:"-"`
	Delivery string `json:"-"`
	Record   string `json:"-"` // Data, indented and cut
	Cut      bool   `json:"-"`
	Size     int    `json:"-"` // of the whole record, in bytes
	Kept     int    `json:"-"`
}

// letter is a message before it has a recipient.
type letter struct {
	subject, text, html string
}

func write(m *notify.Message) (*letter, error) {
	c := content{Name: notify.Line(m.Name, maxSubject), Delivery: m.Delivery}
	if err := json.Unmarshal(m.Event.Body, &c); err != nil {
		return nil, fmt.Errorf("read the event: %w", err)
	}
	c.Type = cmp.Or(c.Type, m.Event.Type)
	if len(c.Data) == 0 {
		c.Data = json.RawMessage("null")
	}
	var b bytes.Buffer
	if err := json.Indent(&b, c.Data, "", "  "); err != nil {
		return nil, fmt.Errorf("read the event's record: %w", err)
	}
	c.Size = b.Len()
	c.Cut = c.Size > maxRecord
	c.Record = strings.ToValidUTF8(string(b.Bytes()[:min(c.Size, maxRecord)]), "")
	c.Kept = len(c.Record)

	l := &letter{subject: notify.Line(fmt.Sprintf("[%s] %s", c.Name, c.Type), maxSubject)}
	var plain, rich strings.Builder
	if err := textTemplate.Execute(&plain, &c); err != nil {
		return nil, err
	}
	if err := htmlTemplate.Execute(&rich, &c); err != nil {
		return nil, err
	}
	l.text, l.html = plain.String(), rich.String()
	return l, nil
}

// address makes the message to one recipient. link is theirs to unsubscribe, "" if
// they have none. Attempts repeat the Message-ID, so that a receiver which got one
// whose acknowledgement was lost can tell that it has it.
func (l *letter) address(from *gomail.Address, to, delivery, link string, now time.Time) *mail.Msg {
	m := mail.NewMsg(mail.WithNoDefaultUserAgent())
	m.FromMailAddress(from)
	m.ToMailAddress(&gomail.Address{Address: to})
	m.Subject(l.subject)
	m.SetDateWithValue(now)
	m.SetMessageIDWithValue(messageID(delivery, to, from.Address))
	m.SetGenHeader("Auto-Submitted", "auto-generated")
	if link != "" {
		m.SetListUnsubscribe(link)
	}
	if strings.HasPrefix(link, "https://") { // RFC 8058 §3.1 asks for HTTPS
		m.SetListUnsubscribePost()
	}
	m.SetBodyString(mail.TypeTextPlain, l.text)
	m.AddAlternativeString(mail.TypeTextHTML, l.html)
	return m
}

func messageID(delivery, to, from string) string {
	sum := sha256.Sum256([]byte(delivery + "\n" + normal(to)))
	return hex.EncodeToString(sum[:16]) + from[strings.LastIndexByte(from, '@'):]
}
