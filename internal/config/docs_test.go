package config_test

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waybill-dev/waybill/internal/config"
)

var row = regexp.MustCompile("^\\| `([A-Z_]+)`(?: \\(`([A-Z_]+)`\\))? \\| (.+) \\| (.+) \\| (.+) \\|$")

// documented reads the table of docs/config.md: for each setting the name of its
// file variant, its meaning and its default.
func documented(t *testing.T) map[string][3]string {
	t.Helper()
	text, err := os.ReadFile("../../docs/config.md")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][3]string{}
	for line := range strings.SplitSeq(string(text), "\n") {
		m := row.FindStringSubmatch(line)
		if m == nil {
			if strings.HasPrefix(line, "| `") {
				t.Errorf("not a row of the table: %s", line)
			}
			continue
		}
		if _, twice := found[m[1]]; twice {
			t.Errorf("%s is documented twice", m[1])
		}
		if processes := regexp.MustCompile(`^(all|(api|worker|up)(, (api|worker|up))*)$`); !processes.MatchString(m[5]) {
			t.Errorf("%s: which process reads it? %q", m[1], m[5])
		}
		found[m[1]] = [3]string{m[2], m[3], m[4]}
	}
	return found
}

func TestDocs_SayWhatTheCodeReads(t *testing.T) {
	t.Parallel()
	read := map[string][3]string{}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[config.Config]()) {
		name, file := f.Tag.Get("env"), ""
		if f.Tag.Get("secret") != "" {
			file = name + "_FILE"
		}
		standard := "—"
		if d := f.Tag.Get("envDefault"); d != "" {
			standard = "`" + d + "`"
		}
		read[name] = [3]string{file, f.Tag.Get("doc"), standard}
	}
	if d := cmp.Diff(read, documented(t)); d != "" {
		t.Errorf("docs/config.md (-Config +documented):\n%s", d)
	}
}

func TestUsage_HasALineForEverySetting(t *testing.T) {
	t.Parallel()
	lines := strings.Split(strings.TrimSpace(config.Usage()), "\n")
	settings := documented(t)
	if len(lines) != len(settings) {
		t.Errorf("%d lines for %d settings", len(lines), len(settings))
	}
	for name, s := range settings {
		want := name
		if s[0] != "" {
			want += "[_FILE]"
		}
		if !strings.Contains(config.Usage(), "  "+want+" ") {
			t.Errorf("no line for %s", want)
		}
	}
}
