package httpapi

import (
	"log/slog"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/waybill-dev/waybill/internal/telemetry"
)

// startSpan begins the request's span, in the trace that the client names, if
// any. Its name and attributes have nothing that a client made up but the request
// ID: no path, no query, no header.
func (a *API) startSpan(x *exchange, r *http.Request) (*http.Request, trace.Span) {
	method := knownMethod(r.Method)
	ctx, span := a.o.Tracer.Start(telemetry.Under(r.Context(), x.trace), method+" "+x.route, trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(attribute.String("http.request.method", method), attribute.String("http.route", x.route),
			attribute.String("waybill.request_id", x.requestID)))
	x.trace = telemetry.TraceOf(span.SpanContext())
	return r.WithContext(ctx), span
}

// endSpan ends the request's span with its answer; one without was cut off.
func endSpan(x *exchange, span trace.Span) {
	if x.status != 0 {
		span.SetAttributes(attribute.Int("http.response.status_code", x.status))
	}
	if x.tenant != "" {
		span.SetAttributes(attribute.String("waybill.tenant", x.tenant))
	}
	if x.status == 0 || x.status >= http.StatusInternalServerError {
		telemetry.Fail(span, string(x.code))
	}
	span.End()
}

// observe tells the metrics and, for debugging, the log of a request that ended.
func (a *API) observe(x *exchange, r *http.Request, took time.Duration) {
	a.o.Observer.Request(x.trace, r.Method, x.route, x.status, took)
	if x.code != "" {
		a.o.Observer.Rejected(x.code)
	}
	if !a.o.Logger.Enabled(r.Context(), slog.LevelDebug) {
		return
	}
	attributes := append(x.about(), slog.String("method", knownMethod(r.Method)), slog.Int("status", x.status), slog.Duration("duration", took))
	if x.who != nil && x.who.ID != "" {
		attributes = append(attributes, slog.String("principal", x.who.ID))
	}
	a.o.Logger.LogAttrs(r.Context(), slog.LevelDebug, "request", attributes...)
}

// about is what every line of the log about a request has.
func (x *exchange) about() []slog.Attr {
	attributes := []slog.Attr{slog.String("request_id", x.requestID), slog.String("route", x.route)}
	if x.tenant != "" {
		attributes = append(attributes, slog.String("tenant", x.tenant))
	}
	if x.operation != "" {
		attributes = append(attributes, slog.String("operation", x.operation))
	}
	return append(attributes, telemetry.TraceID(x.trace))
}

// knownMethod is method, or other: a client can make up any number of methods.
func knownMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "other"
}
