package main

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReport_JudgesByTarget(t *testing.T) {
	t.Parallel()
	r := &report{scenario: "accept"}
	r.add("ratio", 0.59, "", atLeast(0.60), "")
	r.add("same", 0.60, "", atLeast(0.60), "")
	r.add("memory", 61, "MiB", atMost(60), "")
	r.add("rate", 12345.6, "/s", nil, "%d rounds", 5)
	var table strings.Builder
	if err := r.table(&table); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(table.String(), "\n")
	for i, want := range []string{"SCENARIO", "missed", "met", "missed", "12346 /s"} {
		if !strings.Contains(lines[i], want) {
			t.Errorf("line %d: %q is not in %q", i, want, lines[i])
		}
	}
	file := filepath.Join(t.TempDir(), "figures.json")
	if err := r.writeJSON(file); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var got struct{ Figures []figure }
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Figures) != 4 || *got.Figures[0].Met || !*got.Figures[1].Met || got.Figures[3].Met != nil {
		t.Errorf("in JSON: %s", text)
	}
}

func TestMedian(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		values []float64
		want   float64
	}{{[]float64{3}, 3}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1, 2, 9}, 3}} {
		if got := median(c.values); got != c.want {
			t.Errorf("of %v: %g, want %g", c.values, got, c.want)
		}
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	o, chosen, err := parse([]string{"-rounds", "2", "all", "-json", "x"}, io.Discard)
	if err != nil || o.rounds != 2 || o.json != "x" || len(chosen) != len(scenarios) {
		t.Errorf("%+v, %d scenarios, %v", o, len(chosen), err)
	}
	for _, bad := range [][]string{{}, {"accept", "store"}, {"other"}, {"accept", "-rounds", "0"}, {"idle", "-idle", "1ms"}} {
		if _, _, err := parse(bad, io.Discard); err == nil {
			t.Errorf("%v: no error", bad)
		}
	}
}
