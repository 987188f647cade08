package store_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/store"
	"github.com/waybill-dev/waybill/internal/testenv"
)

// oldOperations inserts n operations of a day long ago, each with its own time.
const (
	oldInPostgres = `INSERT INTO operations (tenant, id, collection, record, action, status, version, error_code, error_detail, principal, attempts, accepted_at, stored_at)
		SELECT 'default', ('01800000-0000-7000-8000-' || lpad(to_hex(i), 12, '0'))::uuid, 'messages', 'r' || i % 1000, 'replace', 'done', 1, '', '', '', 1, '2022-04-01', '2022-04-01'
		FROM generate_series(1, $1::int) AS i`
	oldInSQLite = `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1)
		INSERT INTO operations (tenant, id, collection, record, action, status, version, error_code, error_detail, principal, attempts, accepted_at, stored_at)
		SELECT 'default', '01800000-0000-7000-8000-' || printf('%012x', i), 'messages', 'r' || i % 1000, 'replace', 'done', 1, '', '', '', 1, '2022-04-01T00:00:00.000000Z', '2022-04-01T00:00:00.000000Z' FROM n`
)

// TestPurge_BesideWriters: 100,000 operations go while others write. In Postgres no
// write may wait for a lock longer than 250 ms, or it would fail.
func TestPurge_BesideWriters(t *testing.T) {
	t.Parallel()
	const old, writers = 100_000, 2
	for name, c := range map[string]struct{ url, insert string }{
		"postgres": {with(t, testenv.PostgresURL(t), "lock_timeout", "250ms"), oldInPostgres},
		"sqlite":   {sqliteURL(t), oldInSQLite},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := migrated(t, c.url)
			if _, err := s.DB().ExecContext(t.Context(), c.insert, old); err != nil {
				t.Fatal(err)
			}
			stop := make(chan struct{})
			var running sync.WaitGroup
			took := make([][]time.Duration, writers)
			for w := range writers {
				running.Go(func() {
					own := creates(1+w, 50)
					for n := 0; ; n++ {
						select {
						case <-stop:
							return
						default:
						}
						batch := creates(10+writers*n+w, 50)
						for i := range batch {
							if i%2 == 0 {
								batch[i].Key, batch[i].Action = own[i].Key, record.Replace
							}
						}
						from := time.Now()
						if err := apply(t.Context(), s, batch); err != nil {
							t.Errorf("a write beside the purge: %v", err)
						}
						took[w] = append(took[w], time.Since(from))
					}
				})
			}
			removed, pages, longest, from := int64(0), 0, time.Duration(0), time.Now()
			for place := (store.Place{}); ; pages++ {
				began := time.Now()
				n, next, err := s.PurgePage(t.Context(), store.Purge{Of: store.Operations, Before: time.Date(2023, 1, 1, 0, 0, 0, 0, time.UTC)}, place, 500)
				if err != nil {
					t.Fatalf("PurgePage: %v", err)
				}
				removed, longest = removed+n["operations"], max(longest, time.Since(began))
				if place = next; place == (store.Place{}) {
					break
				}
			}
			close(stop)
			running.Wait()
			all := slices.Concat(took...)
			slices.Sort(all)
			if removed != old || len(all) == 0 {
				t.Errorf("%d removed, %d batches written", removed, len(all))
			}
			t.Logf("%d rows in %v, %d pages, the longest %v; beside it %d batches, p50 %v, p99 %v", removed, time.Since(from).Round(time.Millisecond), pages,
				longest.Round(time.Millisecond), len(all), all[len(all)/2].Round(time.Millisecond), all[len(all)*99/100].Round(time.Millisecond))
		})
	}
}
