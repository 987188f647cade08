-- +goose Up

-- W3C Trace Context of what an event is caused by: its webhooks belong to the same trace.
ALTER TABLE events ADD COLUMN traceparent TEXT NOT NULL DEFAULT '';
ALTER TABLE events ADD COLUMN tracestate TEXT NOT NULL DEFAULT '';
