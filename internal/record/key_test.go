package record_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/waybill-dev/waybill/internal/record"
)

func drawKey(t *rapid.T, label string) record.Key {
	part := rapid.SampledFrom([]string{"", "a", "ab", "b", "a/b"})
	return record.Key{Tenant: part.Draw(t, label+" tenant"), Collection: part.Draw(t, label+" collection"), ID: part.Draw(t, label+" id")}
}

func less(a, b record.Key) bool { return a.Compare(b) < 0 }

// Whoever locks several records locks them in this order, so it must be one.
func TestKey_CompareIsATotalOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := drawKey(t, "a"), drawKey(t, "b"), drawKey(t, "c")
		if less(a, a) || less(a, b) && less(b, a) || a != b && !less(a, b) && !less(b, a) {
			t.Fatalf("%v and %v have no order", a, b)
		}
		if less(a, b) && less(b, c) && !less(a, c) {
			t.Fatalf("%v, %v, %v go round in a circle", a, b, c)
		}
	})
}

func TestSibling_RefusesWhatIsNoOperationID(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "x", "019a0000-0000-4000-8000-000000000000"} {
		if id, err := record.Sibling(bad, 1, 1); err == nil {
			t.Errorf("Sibling(%q) = %s, want an error", bad, id)
		}
		if at := record.AcceptedAt(bad); !at.IsZero() {
			t.Errorf("AcceptedAt(%q) = %s, want none", bad, at)
		}
	}
}

// A bulk's batches have consecutive stamps; its lines are in ID order.
func TestSibling_OfABulkAreInTheOrderOfItsLines(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		first, _, _, _ := drawID(t, "first")
		first = record.BatchID(first)
		var ids []string
		for batch, size := range rapid.SliceOfN(rapid.IntRange(1, 5), 1, 6).Draw(t, "sizes") {
			for i := range size {
				id, err := record.Sibling(first, batch, i)
				if err != nil {
					t.Fatal(err)
				}
				ids = append(ids, id)
			}
		}
		if !slices.IsSorted(ids) || len(slices.Compact(slices.Clone(ids))) != len(ids) || ids[0] != first {
			t.Fatalf("not in order, or not different, or not from %s on: %v", first, ids)
		}
	})
}
