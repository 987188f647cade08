package queue

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestKeyspace_KnowsAsynqsScripts(t *testing.T) {
	t.Parallel()
	keys := keysOf("writes")
	cases := []struct {
		name, keys string // short for asynq:{writes}:…
		want       script
	}{
		{"dequeue", "pending paused active lease", scriptDequeue},
		{"forward scheduled", "scheduled pending", scriptForward},
		{"forward retry", "retry pending", scriptForward},
		{"done", "active lease t:1 processed:2026-01-01 processed", scriptAck},
		{"done unique", "active lease t:1 processed:2026-01-01 processed unique:x", scriptAck},
		{"complete", "active lease completed t:1 processed:2026-01-01 processed", scriptAck},
		{"requeue", "active lease pending t:1", scriptAck},
		{"retry", "t:1 active lease retry processed:2026-01-01 failed:2026-01-01 processed failed", scriptAck},
		{"archive", "t:1 active lease archived processed:2026-01-01 failed:2026-01-01 processed failed t:", scriptAck},
		{"enqueue", "t:1 pending", scriptOther},
		{"enqueue under a misleading ID", "t:x:retry pending", scriptOther},
		{"list expired leases", "lease", scriptOther},
		{"ours that recovers", "lease active pending", scriptOther},
		{"none", "", scriptOther},
	}
	for _, c := range cases {
		var full []string
		for key := range strings.FieldsSeq(c.keys) {
			full = append(full, "asynq:{writes}:"+key)
		}
		if got := keys.script(full); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
		for i := range full {
			full[i] = strings.Replace(full[i], "writes", "other", 1)
		}
		if got := keys.script(full); got != scriptOther {
			t.Errorf("%s of another queue: %d", c.name, got)
		}
	}
}

func TestAsynqLog_SaysOnceWhatIsRepeated(t *testing.T) {
	t.Parallel()
	book := &logBook{}
	l := newAsynqLog(slog.New(slog.NewTextHandler(book, &slog.HandlerOptions{Level: slog.LevelDebug})))
	l.Debug("fine")
	l.Info("hello")
	for i := range 3 {
		l.Error(fmt.Sprintf("Failed to forward scheduled tasks: %d", i))
		l.Warn(fmt.Sprintf("Could not remove task id=%d: down", i))
	}
	l.Error("Dequeue error: UNKNOWN: redis eval error: down") // the broker logs these
	l.Error("Dequeue error: INTERNAL_ERROR: cannot decode message")
	l.Fatal("not the end")
	for what, want := range map[string]int{
		"level=DEBUG msg=\"asynq: fine": 1, "level=INFO msg=\"asynq: hello": 1,
		"level=ERROR msg=\"asynq: Failed to forward": 1, "level=DEBUG msg=\"asynq: Failed to forward": 2,
		"level=WARN msg=\"asynq: Could not remove": 3,
		"level=DEBUG msg=\"asynq: Dequeue error":   1, "level=ERROR msg=\"asynq: Dequeue error": 1,
		"level=ERROR msg=\"asynq: not the end": 1,
	} {
		if n := len(book.lines(what)); n != want {
			t.Errorf("%s: %d lines, want %d", what, n, want)
		}
	}
}
