package app

import (
	"time"

	"github.com/waybill-dev/waybill/internal/accept"
	"github.com/waybill-dev/waybill/internal/maintain"
)

// newMaintainer makes what removes what is past its retention.
func (a *App) newMaintainer() *maintain.Maintainer {
	records := map[string]time.Duration{}
	for _, c := range a.collections.All() {
		if c.Retention != 0 {
			records[c.Name] = c.Retention
		}
	}
	return maintain.New(a.store, accept.NewUnderWay(a.redis), a.queue, maintain.Options{
		Operations: a.config.OperationKeep, Deliveries: a.config.DeliveryKeep, Audit: a.config.AuditRetention, Records: records,
		Ready: a.gate.ready, Down: a.gate.close, Logger: a.log, Observer: a.metrics,
	})
}
