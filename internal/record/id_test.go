package record_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/waybill-dev/waybill/internal/record"
)

func drawID(t *rapid.T, label string) (id string, stamp int64, random uint64, index int) {
	stamp = rapid.Int64Range(0, 1<<47*1000).Draw(t, label+" stamp")
	random = rapid.Uint64().Draw(t, label+" random")
	index = rapid.IntRange(0, record.MaxBatch-1).Draw(t, label+" index")
	return record.NewID(stamp, random, index), stamp, random, index
}

func TestNewID_IsAUUIDv7ThatKeepsItsStamp(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		id, stamp, random, index := drawID(t, "a")
		u, err := uuid.Parse(id)
		if err != nil || u.Version() != 7 || u.Variant() != uuid.RFC4122 || u.String() != id {
			t.Fatalf("%s: version %d, variant %v, error %v", id, u.Version(), u.Variant(), err)
		}
		got, err := record.ParseID(id)
		if err != nil || got != stamp {
			t.Fatalf("ParseID(%s) = %d, %v; want %d", id, got, err, stamp)
		}
		if got := record.BatchID(id); got != record.NewID(stamp, random, 0) {
			t.Fatalf("BatchID(%s) = %s", id, got)
		}
		if got, err := record.Sibling(id, 3, 7); err != nil || got != record.NewID(stamp+3, random, 7) {
			t.Fatalf("Sibling(%s, 3, 7) = %s, %v", id, got, err)
		}
		if got := id[18:]; got != "-"+record.IDTail(random, index) {
			t.Fatalf("tail %s, want %s", got, record.IDTail(random, index))
		}
	})
}

func TestNewID_TextOrderIsStampThenIndexOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, stampA, random, indexA := drawID(t, "a")
		delta := rapid.Int64Range(1, 5_000_000).Draw(t, "delta")
		later := record.NewID(stampA+delta, rapid.Uint64().Draw(t, "random"), 0)
		if a >= later {
			t.Fatalf("%s (stamp %d) is not before %s (%d later)", a, stampA, later, delta)
		}
		if indexA < record.MaxBatch-1 {
			if next := record.NewID(stampA, random, indexA+1); a >= next {
				t.Fatalf("%s is not before %s", a, next)
			}
		}
	})
}

func TestParseID_RefusesWhatIsNoOperationID(t *testing.T) {
	t.Parallel()
	good := record.NewID(1_700_000_000_123_456, 7, 3)
	for _, bad := range []string{
		"", "x", good[:35], good + "0", "019a0000-0000-4000-8000-000000000000", // version 4
		"019a0000-0000-7000-0000-000000000000",  // variant 0
		"019A0000-0000-7000-8000-000000000000",  // upper case
		"019a0000-0000-7000-8000-00000000000g",  // not hexadecimal
		"019a0000_0000-7000-8000-000000000000",  // wrong separator
		"{019a0000-0000-7000-8000-00000000000}", // another notation
	} {
		if stamp, err := record.ParseID(bad); err == nil {
			t.Errorf("ParseID(%q) = %d, want an error", bad, stamp)
		}
	}
	if got, want := record.AcceptedAt(good), time.UnixMicro(1_700_000_000_123_456).UTC(); !got.Equal(want) {
		t.Errorf("AcceptedAt(%s) = %s, want %s", good, got, want)
	}
}

func ExampleNewID() {
	id := record.NewID(1_700_000_000_123_456, 0x2a, 5)
	fmt.Println(id, record.AcceptedAt(id).Format(time.RFC3339Nano))
	// Output: 018bcfe5-687b-774b-8000-0000002a0005 2023-11-14T22:13:20.123456Z
}
