package email

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/waybill-dev/waybill/internal/notify"
	"github.com/waybill-dev/waybill/internal/subscription"
)

// Bounds of what is kept of failures, in characters.
const (
	maxError  = 8000
	maxBounce = 200 // for each recipient, in the progress
)

type sender struct {
	channel *Channel
	key     subscription.Key
	to      []string
}

// progress is what one attempt leaves to the next, as JSON: who has the mail, and
// who was refused it for good.
type progress struct {
	Done    []string          `json:"done,omitempty"`
	Bounced map[string]string `json:"bounced,omitempty"` // address: "550 …"
}

// attempt is one Send.
type attempt struct {
	*sender
	message *notify.Message
	letter  *letter
	progress
	secrets []string          // not to be shown
	waiting map[string]string // address: why it has no mail yet
	last    failure           // what the server said last that was not good
	reply   string            // what it said last that was
}

// Send is notify.Sender's.
func (s *sender) Send(ctx context.Context, m *notify.Message) notify.Result {
	c := s.channel
	if c.server == nil {
		return notify.Result{Error: notConfigured, Progress: m.Progress}
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	a := &attempt{sender: s, message: m, waiting: map[string]string{}, secrets: c.server.secrets()}
	_ = json.Unmarshal([]byte(m.Progress), &a.progress) // what cannot be read is no progress
	l, err := write(m)
	if err != nil {
		return notify.Result{Error: a.clean(err.Error(), maxError), Permanent: true, Progress: m.Progress}
	}
	a.letter = l
	for _, to := range s.to {
		_, bounced := a.Bounced[to]
		if !bounced && !slices.Contains(a.Done, to) {
			a.waiting[to] = "not tried"
		}
	}
	if len(a.waiting) > 0 {
		a.talk(ctx)
	}
	return a.result()
}

// talk sends to all who wait, until the connection fails.
func (a *attempt) talk(ctx context.Context) {
	c := a.channel
	session, failed := c.server.open(ctx)
	if failed != nil {
		a.last = *failed
		return
	}
	for _, to := range a.to {
		if _, waits := a.waiting[to]; !waits {
			continue
		}
		link, token := c.unsubscribeLink(a.key, to)
		if token != "" {
			a.secrets = append(a.secrets, token)
		}
		m := a.letter.address(c.from, to, a.message.Delivery, link, time.Now())
		var reply string
		reply, failed = session.send(c.from.Address, to, m)
		a.note(to, reply, failed)
		if failed != nil && (failed.broken || failed.stage == mailFrom) {
			break // who sends is refused to all alike
		}
	}
	session.close(failed)
}

// note keeps how a recipient fared.
func (a *attempt) note(to, reply string, f *failure) {
	if f == nil {
		a.Done = append(a.Done, to)
		delete(a.waiting, to)
		a.reply = reply
		return
	}
	a.last = *f
	if !f.bounce() {
		a.waiting[to] = f.Error()
		return
	}
	if a.Bounced == nil {
		a.Bounced = map[string]string{}
	}
	a.Bounced[to] = a.clean(fmt.Sprintf("%d %s", f.code, f.text), maxBounce)
	delete(a.waiting, to)
}

func (a *attempt) result() notify.Result {
	r := notify.Result{Status: 250, Reply: a.bytes(250, a.reply)}
	if a.reply == "" {
		r.Status, r.Reply = 0, nil
	}
	if a.last.stage != "" {
		r.Status, r.Reply = a.last.code, a.bytes(a.last.code, a.last.text)
	}
	if noted, err := json.Marshal(a.progress); err == nil && string(noted) != "{}" {
		r.Progress = string(noted)
	}
	err := a.trouble()
	r.OK = err == nil
	if err != nil {
		r.Error = a.clean(err.Error(), maxError)
	}
	r.Permanent = !r.OK && len(a.waiting) == 0
	return r
}

// trouble names each recipient who has no mail, and why; nil if all have theirs.
func (a *attempt) trouble() error {
	var each []string
	session := "" // what failed for all
	for _, to := range a.to {
		if why, bounced := a.Bounced[to]; bounced {
			each = append(each, to+" refused for good: "+why)
		} else if why, waits := a.waiting[to]; waits && why != "not tried" {
			each = append(each, to+": "+why)
		} else if waits {
			session = cmp.Or(session, a.last.Error())
		}
	}
	if session != "" {
		each = append(each, "others were not tried: "+session)
		if len(a.waiting) == len(a.to) && len(each) == 1 {
			each[0] = session
		}
	}
	if len(each) == 0 {
		return nil
	}
	return errors.New(strings.Join(each, "; "))
}

// bytes returns a reply as it is kept.
func (a *attempt) bytes(code int, text string) []byte {
	if code == 0 {
		return nil
	}
	b := a.redact(fmt.Sprintf("%d %s", code, text))
	return []byte(strings.ToValidUTF8(b[:min(len(b), notify.MaxReply)], ""))
}

// clean returns text fit to be stored: on one line, without secrets, cut. Secrets
// go first, so that no cut leaves the beginning of one.
func (a *attempt) clean(text string, most int) string {
	return notify.Line(a.redact(text), most)
}

// redact removes secrets. Servers quote what they refuse: lines of the dialogue, or
// of the message.
func (a *attempt) redact(text string) string {
	for _, s := range a.secrets {
		text = strings.ReplaceAll(text, s, "***")
	}
	return text
}
