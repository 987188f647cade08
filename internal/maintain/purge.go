package maintain

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/waybill-dev/waybill/internal/store"
)

// jobs returns all jobs. Deliveries go before their events.
func (m *Maintainer) jobs() []job {
	all := []job{{"identity", purgeIdentity}, {"under-way", sweepUnderWay}}
	if m.o.Operations > 0 {
		all = append(all, purgeOf("operations", store.Purge{Of: store.Operations}, m.o.Operations))
	}
	if m.o.Deliveries > 0 {
		all = append(all, purgeOf("deliveries", store.Purge{Of: store.Deliveries}, m.o.Deliveries),
			purgeOf("events", store.Purge{Of: store.Events}, m.o.Deliveries))
	}
	for _, collection := range slices.Sorted(maps.Keys(m.o.Records)) {
		all = append(all, purgeOf("records/"+collection, store.Purge{Of: store.Records, Collection: collection}, m.o.Records[collection]))
	}
	return all
}

// purgeOf is the job that removes what is older than age.
func purgeOf(name string, p store.Purge, age time.Duration) job {
	return job{name, func(ctx context.Context, r *run) error {
		p := p
		p.Before = r.now.Add(-age)
		for place, end := (store.Place{}), (store.Place{}); ; {
			removed, next, err := r.store.PurgePage(ctx, p, place, r.o.Batch)
			if err != nil {
				return err
			}
			if err := r.count(ctx, removed); err != nil {
				return err
			}
			if place = next; place == end {
				return nil
			}
		}
	}}
}

// purgeIdentity removes sessions that ended, spent tokens, revoked keys and the audit.
func purgeIdentity(ctx context.Context, r *run) error {
	var audited time.Time // nothing is older
	if r.o.Audit > 0 {
		audited = r.now.Add(-r.o.Audit)
	}
	for {
		removed, err := r.store.PurgeIdentity(ctx, r.now.Add(-KeepEnded), audited, r.o.Batch)
		if err != nil || len(removed) == 0 {
			return err
		}
		if err := r.count(ctx, removed); err != nil {
			return err
		}
	}
}
