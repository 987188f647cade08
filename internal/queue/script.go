package queue

import (
	"slices"
	"strings"
)

// script is what one of asynq's Lua scripts does, as told by its keys: they are
// asynq's storage format, which a new asynq cannot change without losing the
// tasks of the old one, whereas its scripts' texts and digests may change.
type script int

const (
	scriptOther   script = iota
	scriptDequeue        // pending, paused, active, lease: takes a task
	scriptForward        // scheduled or retry, pending: moves what is due
	scriptAck            // active, lease, and more: gives a task back, in whatever way
)

// keyspace is the Redis keys of one queue.
type keyspace struct {
	pending, paused, active, lease, scheduled, retry, archived string

	task string // and an ID: the hash of that task
}

func keysOf(queue string) keyspace {
	p := "asynq:{" + queue + "}:"
	return keyspace{
		pending: p + "pending", paused: p + "paused", active: p + "active", lease: p + "lease",
		scheduled: p + "scheduled", retry: p + "retry", archived: p + "archived", task: p + "t:",
	}
}

// script tells which one works on keys.
func (k *keyspace) script(keys []string) script {
	has := func(at int, want ...string) bool {
		return len(keys) >= at+len(want) && slices.Equal(keys[at:at+len(want)], want)
	}
	switch {
	case len(keys) == 4 && has(0, k.pending, k.paused, k.active, k.lease):
		return scriptDequeue
	case len(keys) == 2 && (has(0, k.scheduled, k.pending) || has(0, k.retry, k.pending)):
		return scriptForward
	case len(keys) >= 4 && has(1, k.active, k.lease) && strings.HasPrefix(keys[0], k.task),
		len(keys) >= 3 && has(0, k.active, k.lease):
		return scriptAck
	}
	return scriptOther
}
