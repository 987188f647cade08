package notify

import "sync"

// slots bound how many attempts a process makes at once, whatever the number of
// subscriptions. A subscription gets another one only while it uses fewer than
// are free: so hanging receivers, however many, never take the last ones.
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
	if inUse >= l.free {
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
