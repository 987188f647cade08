package app

import (
	"context"
	"log/slog"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/waybill-dev/waybill/internal/config"
	"github.com/waybill-dev/waybill/internal/telemetry"
)

// NewTraced is New with spans that p is given.
func NewTraced(c config.Config, roles Roles, log *slog.Logger, p sdktrace.SpanProcessor) (*App, error) {
	a, err := New(c, roles, log)
	if err == nil {
		a.spans, err = telemetry.NewSpans(context.Background(), p, serviceName(roles), a.version, log)
	}
	return a, err
}
