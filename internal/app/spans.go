package app

import (
	"cmp"
	"context"
	"log/slog"

	"github.com/waybill-dev/waybill/internal/config"
	"github.com/waybill-dev/waybill/internal/telemetry"
)

// newSpans returns where spans are made; nil if there is nowhere to send them.
func newSpans(c config.Config, roles Roles, version string, log *slog.Logger) (*telemetry.Spans, error) {
	if c.OTLPEndpoint == "" {
		return nil, nil //nolint:nilnil // nil Spans are none
	}
	return telemetry.ExportSpans(context.Background(), cmp.Or(c.ServiceName, serviceName(roles)), version, log)
}

func serviceName(roles Roles) string {
	switch {
	case roles.API && roles.Worker:
		return "waybill"
	case roles.Worker:
		return "waybill-worker"
	}
	return "waybill-api"
}
