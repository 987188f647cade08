package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/testenv"
)

var drawn int64

func benchApply(b *testing.B, url string, n int, patch bool) {
	s := migrated(b, url)
	fold := func(c *record.Record, ops []record.Operation) (*record.Record, []record.Outcome) {
		return record.Fold(c, ops, func(_, p []byte) ([]byte, error) { return p, nil })
	}
	var keys []record.Key
	batch := func(action record.Action) []record.Operation {
		drawn++
		ops := make([]record.Operation, n)
		for i := range ops {
			id := record.NewID(1_767_225_600_123_456+drawn, 7, i)
			ops[i] = record.Operation{ID: id, Key: record.Key{Tenant: "default", Collection: "messages", ID: id}, Action: action, Body: []byte(fmt.Sprintf(`{"content":"hello world, this is a message of some length %d"}`, i))}
			if action == record.Patch {
				ops[i].Key = keys[i]
			}
		}
		return ops
	}
	first := batch(record.Create)
	for _, o := range first {
		keys = append(keys, o.Key)
	}
	if _, err := s.Apply(b.Context(), first, nil, time.Now(), fold); err != nil {
		b.Fatal(err)
	}
	action := record.Create
	if patch {
		action = record.Patch
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Apply(b.Context(), batch(action), nil, time.Now(), fold); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/float64(n), "µs/operation")
}

func BenchmarkApply(b *testing.B) {
	for _, n := range []int{1, 32, 256, 512} {
		for _, patch := range []bool{false, true} {
			b.Run(fmt.Sprintf("postgres/%d/%v", n, patch), func(b *testing.B) { benchApply(b, testenv.PostgresURL(b), n, patch) })
			b.Run(fmt.Sprintf("sqlite/%d/%v", n, patch), func(b *testing.B) { benchApply(b, sqliteURL(b), n, patch) })
		}
	}
}
