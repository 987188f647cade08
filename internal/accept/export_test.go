package accept

// Pending returns how many writes wait for the batch after the one under way.
func (a *Acceptor) Pending() int {
	a.batches.mu.Lock()
	defer a.batches.mu.Unlock()
	return len(a.batches.pending)
}
