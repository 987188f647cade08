package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/waybill-dev/waybill/bench/load"
)

// figure is one result.
type figure struct {
	Scenario string  `json:"scenario"`
	Name     string  `json:"name"`
	Value    float64 `json:"value"`
	Unit     string  `json:"unit,omitempty"` // ms, MiB, /s, cores; "" for a ratio
	Target   *target `json:"target,omitempty"`
	Met      *bool   `json:"met,omitempty"`
	Note     string  `json:"note,omitempty"`
}

// target is what a figure is held to.
type target struct {
	Limit   float64 `json:"limit"`
	AtLeast bool    `json:"at_least"` // else at most
}

func atLeast(limit float64) *target { return &target{limit, true} }
func atMost(limit float64) *target  { return &target{limit, false} }

func (t *target) met(value float64) bool {
	if t.AtLeast {
		return value >= t.Limit
	}
	return value <= t.Limit
}

func (t *target) String() string {
	if t.AtLeast {
		return fmt.Sprintf("≥ %g", t.Limit)
	}
	return fmt.Sprintf("≤ %g", t.Limit)
}

// report collects figures.
type report struct {
	scenario  string // that figures are added under
	figures   []figure
	elsewhere float64 // cores that others used meanwhile, at most
}

// add adds a figure; want may be nil.
func (r *report) add(name string, value float64, unit string, want *target, note string, args ...any) {
	f := figure{Scenario: r.scenario, Name: name, Value: value, Unit: unit, Target: want, Note: fmt.Sprintf(note, args...)}
	if want != nil {
		met := want.met(value)
		f.Met = &met
	}
	r.figures = append(r.figures, f)
}

// addLatencies adds the median and the 99th percentile, which may have targets.
func (r *report) addLatencies(name string, l load.Latencies, p50, p99 *target, note string) {
	r.add(name+" p50", ms(l.Quantile(0.50)), "ms", p50, "%s", note)
	r.add(name+" p99", ms(l.Quantile(0.99)), "ms", p99, "%s", note)
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// quiet is how many cores others may use before the figures are in doubt.
const quiet = 0.2

// table writes the figures for a person.
func (r *report) table(out io.Writer) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SCENARIO\tFIGURE\tVALUE\tTARGET\t\tNOTE")
	for _, f := range r.figures {
		limit, verdict := "", ""
		if f.Target != nil {
			limit, verdict = f.Target.String(), "missed"
			if *f.Met {
				verdict = "met"
			}
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", f.Scenario, f.Name, number(f.Value, f.Unit), limit, verdict, f.Note)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if r.elsewhere > quiet {
		fmt.Fprintf(out, "\nThe machine was busy elsewhere, with up to %.1f cores: these figures say little.\n", r.elsewhere)
	}
	return nil
}

// number has as many digits as mean something.
func number(value float64, unit string) string {
	format := "%.2f"
	if value >= 100 {
		format = "%.0f"
	}
	if unit != "" {
		format += " " + unit
	}
	return fmt.Sprintf(format, value)
}

// writeJSON writes the figures for a program.
func (r *report) writeJSON(file string) error {
	text, err := json.MarshalIndent(struct {
		At        time.Time `json:"at"`
		CPUs      int       `json:"cpus"`
		Go        string    `json:"go"`
		Elsewhere float64   `json:"cores_used_elsewhere"`
		Figures   []figure  `json:"figures"`
	}{time.Now().UTC().Truncate(time.Second), runtime.NumCPU(), runtime.Version(), r.elsewhere, r.figures}, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the figures: %w", err)
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}

// median returns the middle of values, or the mean of the two there. values must
// not be empty.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
