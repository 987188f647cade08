package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/testenv"
)

// BenchmarkApply stores batches of creates, and of patches of the same records,
// on one connection.
func BenchmarkApply(b *testing.B) {
	for name, url := range map[string]func(testing.TB) string{"postgres": testenv.PostgresURL, "sqlite": sqliteURL} {
		for _, size := range []int{1, 32, 512} {
			for _, action := range []record.Action{record.Create, record.Patch} {
				b.Run(fmt.Sprintf("%s/%s/%d", name, action, size), func(b *testing.B) {
					s := migrated(b, url(b))
					first := creates(0, size)
					if err := apply(b.Context(), s, first); err != nil {
						b.Fatal(err)
					}
					number := 0
					for b.Loop() {
						number++
						batch := creates(number, size)
						for i := range batch {
							if action == record.Patch {
								batch[i].Action, batch[i].Key = action, first[i].Key
							}
						}
						if _, err := s.Apply(b.Context(), batch, nil, time.Now(), fold); err != nil {
							b.Fatal(err)
						}
					}
					b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*size), "µs/operation")
				})
			}
		}
	}
}
