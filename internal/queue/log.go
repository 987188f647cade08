package queue

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/hibiken/asynq"
)

// logEvery is how often a warning of asynq's comes through at its own level;
// while Redis is down each of its loops repeats one every few seconds. The rest
// is logged for debugging.
const logEvery = time.Minute

// asynqLog is asynq's Logger on ours.
type asynqLog struct {
	log *slog.Logger

	mu   sync.Mutex
	last map[string]time.Time // by the beginning of the message
}

func newAsynqLog(log *slog.Logger) *asynqLog {
	return &asynqLog{log: log, last: map[string]time.Time{}}
}

// level is the one from which asynq need not even format its messages.
func (l *asynqLog) level() asynq.LogLevel {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		return asynq.DebugLevel
	}
	return asynq.InfoLevel
}

func (l *asynqLog) Debug(args ...any) { l.print(slog.LevelDebug, args) }
func (l *asynqLog) Info(args ...any)  { l.print(slog.LevelInfo, args) }
func (l *asynqLog) Warn(args ...any)  { l.print(slog.LevelWarn, args) }
func (l *asynqLog) Error(args ...any) { l.print(slog.LevelError, args) }

// Fatal does not end the process: that is the main function's to decide.
func (l *asynqLog) Fatal(args ...any) { l.print(slog.LevelError, args) }

func (l *asynqLog) print(level slog.Level, args []any) {
	message := fmt.Sprint(args...)
	if level >= slog.LevelWarn && l.again(message) {
		level = slog.LevelDebug
	}
	l.log.Log(context.Background(), level, "asynq: "+message) //nolint:sloglint // asynq hands over whole sentences
}

// again says that message comes too soon after one like it, or that the broker
// has logged the same: a dequeue that failed.
func (l *asynqLog) again(message string) bool {
	kind := message
	if i := strings.IndexAny(message, ":["); i >= 0 {
		kind = message[:i]
	}
	if kind == "Dequeue error" && strings.Contains(message, "redis eval error") {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	for k, at := range l.last {
		if now.Sub(at) >= logEvery {
			delete(l.last, k)
		}
	}
	if _, ok := l.last[kind]; ok {
		return true
	}
	l.last[kind] = now
	return false
}
