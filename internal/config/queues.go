package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/waybill-dev/waybill/tasks"
)

// Queues are names of queues.
type Queues []string

// UnmarshalText reads names separated by commas.
func (q *Queues) UnmarshalText(text []byte) error {
	all := []string{tasks.QueueWrites, tasks.QueueNotify, tasks.QueueMaintenance}
	*q = nil
	for name := range strings.SplitSeq(string(text), ",") {
		name = strings.TrimSpace(name)
		if !slices.Contains(all, name) {
			return fmt.Errorf("there is no queue %q: they are %s", name, strings.Join(all, ", "))
		}
		if !q.Has(name) {
			*q = append(*q, name)
		}
	}
	return nil
}

// Has says whether name is one of them.
func (q Queues) Has(name string) bool { return slices.Contains(q, name) }
