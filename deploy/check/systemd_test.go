package check_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

var exposure = regexp.MustCompile(`Overall exposure level for \S+: ([0-9.]+)`)

// unit returns the lines of a unit by key; a key may be there more than once.
func unit(t *testing.T, name string) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for line := range strings.SplitSeq(read(t, "deploy/systemd/"+name), "\n") {
		if key, value, ok := strings.Cut(line, "="); ok && !strings.HasPrefix(line, "#") {
			all[key] = append(all[key], value)
		}
	}
	return all
}

func TestSystemd_UnitsSetWhatThereIsAndEndInTime(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"waybill-api.service", "waybill-worker.service"} {
		u := unit(t, name)
		environment, credentials := map[string]string{}, map[string]bool{}
		for _, line := range u["Environment"] {
			for field := range strings.FieldsSeq(line) {
				variable, value, _ := strings.Cut(field, "=")
				environment[variable] = value
			}
		}
		for _, line := range u["LoadCredential"] {
			id, _, _ := strings.Cut(line, ":")
			credentials["%d/"+id] = true
		}
		checkSettings(t, name, environment)
		for variable, value := range environment {
			if strings.HasSuffix(variable, "_FILE") && !credentials[value] {
				t.Errorf("%s: %s is %s, which no LoadCredential makes", name, variable, value)
			}
		}
		grace, err := time.ParseDuration(u["TimeoutStopSec"][0])
		if err != nil {
			t.Errorf("%s: TimeoutStopSec: %v", name, err)
		}
		checkGrace(t, name, grace, environment)
	}
}

// TestSystemd_UnitsAreValidAndConfined: systemd itself says so.
func TestSystemd_UnitsAreValidAndConfined(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("no systemd-analyze here")
	}
	for _, name := range []string{"waybill-api.service", "waybill-worker.service"} {
		// The binary that it starts must be there, so it starts another one.
		text := regexp.MustCompile(`(?m)^ExecStart=.*$`).ReplaceAllString(read(t, "deploy/systemd/"+name), "ExecStart=/bin/true")
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), "systemd-analyze", "verify", "--man=no", path).CombinedOutput()
		if err != nil || strings.Contains(string(out), name+":") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		out, err = exec.CommandContext(t.Context(), "systemd-analyze", "security", "--offline=yes", "--threshold=20", "--no-pager", path).CombinedOutput()
		level := exposure.FindSubmatch(out)
		if err != nil || level == nil {
			t.Errorf("%s is more exposed than 2.0: %v\n%s", name, err, out)
			continue
		}
		t.Logf("%s: exposure %s", name, level[1])
	}
}
