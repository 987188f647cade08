package notify

import "sync"

// share is the part of the free slots that a subscription may have in use.
const share = 8

// slots bound how many attempts a process makes at once, whatever the number of
// subscriptions. A subscription gets another one only while it uses less than an
// eighth of those that are free: the first takes an eighth, the next of what is
// left, and so on. So receivers that hang, scores of them, leave some to others.
type slots struct {
	mu      sync.Mutex
	free    int
	waiting map[*session]bool
}

func newSlots(n int) *slots { return &slots{free: n, waiting: map[*session]bool{}} }

// take takes a slot for s, which uses inUse; if there is none for it, s is
// signalled when that may have changed.
func (l *slots) take(s *session, inUse int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if share*inUse >= l.free {
		l.waiting[s] = true
		return false
	}
	l.free--
	return true
}

func (l *slots) give() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.free++
	for s := range l.waiting {
		s.signal()
	}
	clear(l.waiting)
}
