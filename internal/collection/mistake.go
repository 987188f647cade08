package collection

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Mistake is one thing that is wrong with a configuration file.
type Mistake struct {
	File   string
	Line   int // from 1
	Reason string
}

func (m Mistake) Error() string { return fmt.Sprintf("%s:%d: %s", m.File, m.Line, m.Reason) }

// Mistakes is everything that is wrong with a configuration file, sorted by
// line. Its text has a line for each.
type Mistakes []Mistake

func (m Mistakes) Error() string {
	lines := make([]string, len(m))
	for i := range m {
		lines[i] = m[i].Error()
	}
	return strings.Join(lines, "\n")
}

// add notes a mistake once, at a line of at least 1.
func (m *Mistakes) add(file string, line int, reason string) {
	mistake := Mistake{File: file, Line: max(line, 1), Reason: reason}
	if !slices.Contains(*m, mistake) {
		*m = append(*m, mistake)
	}
}

func (m Mistakes) sort() {
	slices.SortFunc(m, func(a, b Mistake) int {
		return cmp.Or(a.Line-b.Line, strings.Compare(a.Reason, b.Reason))
	})
}
