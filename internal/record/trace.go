package record

import "strings"

// Trace says which span of a distributed trace caused something, as W3C Trace
// Context writes it. The zero value is none. telemetry.ParseTrace makes one of
// what a stranger gives.
type Trace struct {
	Parent string // traceparent: version 00
	State  string // tracestate; "" for none
}

// Where a traceparent (00-<trace ID>-<span ID>-<flags>) has its parts.
const (
	traceIDAt, traceIDEnd = 3, 35
	parentLength          = 55
)

// ID returns the trace's ID, 32 hexadecimal digits; "" if there is no trace.
func (t Trace) ID() string {
	if len(t.Parent) != parentLength {
		return ""
	}
	return t.Parent[traceIDAt:traceIDEnd]
}

// Sampled says whether the trace is recorded, as far as its parent knows.
func (t Trace) Sampled() bool {
	return len(t.Parent) == parentLength && strings.IndexByte(sampledDigits, t.Parent[parentLength-1]) >= 0
}

// sampledDigits are the last digits of flags that have the lowest bit set.
const sampledDigits = "13579bdf"
