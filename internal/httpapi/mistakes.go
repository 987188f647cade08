package httpapi

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/waybill-dev/waybill/internal/fault"
)

// mistakes gathers what is wrong with a body that several parts of the program
// look at, so that the client hears of everything at once.
type mistakes struct{ items []fault.Item }

func (m *mistakes) add(location, format string, args ...any) {
	m.items = append(m.items, fault.Item{Location: location, Message: fmt.Sprintf(format, args...)})
}

// take takes in what an InvalidRecord lists; any other error is given back.
func (m *mistakes) take(err error) error {
	f, ok := errors.AsType[*fault.Error](err)
	if !ok || f.Kind != fault.InvalidRecord || len(f.Items) == 0 {
		return err
	}
	m.items = append(m.items, f.Items...)
	return nil
}

// clean says whether nothing is wrong at a location and below it.
func (m *mistakes) clean(location string) bool {
	return !slices.ContainsFunc(m.items, func(i fault.Item) bool {
		rest, below := strings.CutPrefix(i.Location, location)
		return below && (rest == "" || rest[0] == '.' || rest[0] == '[')
	})
}

// fault returns the InvalidRecord that lists them; nil if there are none.
func (m *mistakes) fault() error {
	if len(m.items) == 0 {
		return nil
	}
	slices.SortStableFunc(m.items, func(a, b fault.Item) int { return strings.Compare(a.Location, b.Location) })
	f := fault.Of(fault.InvalidRecord, m.items)
	f.Items = m.items[:min(len(m.items), maxItems)]
	return f
}
