package chat

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/waybill-dev/waybill/internal/notify/outbound"
)

// membersOf returns the members of a JSON object that are whole: what is read of
// an answer may end before it does.
func membersOf(reply []byte) map[string]json.RawMessage {
	d := json.NewDecoder(bytes.NewReader(reply))
	if first, err := d.Token(); err != nil || first != json.Delim('{') {
		return nil
	}
	members := map[string]json.RawMessage{}
	for d.More() {
		name, err := d.Token()
		var value json.RawMessage
		if err != nil || d.Decode(&value) != nil {
			break
		}
		members[fmt.Sprint(name)] = value
	}
	return members
}

// saysOK is the accepts of APIs whose answers always have "ok": true or false.
func saysOK(reply []byte, _ bool) bool { return string(membersOf(reply)["ok"]) == "true" }

// because returns the explain of such an API, whose reason is in a member.
func because(refused, member string) func(reply []byte) string {
	return func(reply []byte) string {
		members := membersOf(reply)
		if string(members["ok"]) != "false" {
			return ""
		}
		var why string
		if json.Unmarshal(members[member], &why) != nil || why == "" {
			return refused
		}
		return refused + ": " + why
	}
}

// asksFor reads what Discord (retry_after) and Telegram (parameters.retry_after)
// put into the body, in seconds. The longest counts.
func asksFor(reply []byte) time.Duration {
	var a struct {
		RetryAfter float64 `json:"retry_after"`
		Parameters struct {
			RetryAfter float64 `json:"retry_after"`
		} `json:"parameters"`
	}
	_ = json.Unmarshal(reply, &a) // another body asks for nothing
	seconds := max(0, a.RetryAfter, a.Parameters.RetryAfter)
	return time.Duration(min(seconds, outbound.MaxRetryAfter.Seconds()) * float64(time.Second))
}
