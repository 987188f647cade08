// Package check_test holds what is deployed to what is documented and to the
// types of those who read it: Compose, Kubernetes, systemd.
package check_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// root is the repository.
const root = "../.."

var settingRow = regexp.MustCompile("(?m)^\\| `([A-Z_]+)`(?: \\(`([A-Z_]+)`\\))? \\|")

// settings are the names of docs/config.md, which a test of the product holds to
// its code: each variable, and its _FILE if it has one.
func settings(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, row := range settingRow.FindAllStringSubmatch(read(t, "docs/config.md"), -1) {
		names[row[1]], names[row[2]] = true, true
	}
	delete(names, "")
	if len(names) < 20 {
		t.Fatalf("docs/config.md has %d settings: is its table written differently now?", len(names))
	}
	return names
}

// read returns a file of the repository.
func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// checkSettings: everything in environment is a setting.
func checkSettings(t *testing.T, who string, environment map[string]string) {
	t.Helper()
	known := settings(t)
	if len(environment) == 0 {
		t.Errorf("%s has no settings", who)
	}
	for name := range environment {
		if !known[name] {
			t.Errorf("%s sets %s, which is no setting", who, name)
		}
	}
}

// checkGrace: a process is given more time to end than it takes.
func checkGrace(t *testing.T, who string, grace time.Duration, environment map[string]string) {
	t.Helper()
	timeout, err := time.ParseDuration(environment["WAYBILL_SHUTDOWN_TIMEOUT"])
	if err != nil || grace < timeout+5*time.Second {
		t.Errorf("%s has %v to end, and needs %q and some more (%v)", who, grace, environment["WAYBILL_SHUTDOWN_TIMEOUT"], err)
	}
}

var (
	image = regexp.MustCompile(`^[a-z0-9./-]+:v?[0-9]+(\.[0-9]+){1,2}(-[a-z0-9.]+)?(@sha256:[0-9a-f]{64})?$`)
	from  = regexp.MustCompile(`(?m)^FROM (?:--platform=\S+ )?(\S+)`)
	link  = regexp.MustCompile(`-X github\.com/waybill-dev/waybill/(\S+)\.([a-z]+)=`)
)

// checkPinned: another image tomorrow would be another product.
func checkPinned(t *testing.T, who, name string) {
	t.Helper()
	if !image.MatchString(name) {
		t.Errorf("%s: the image %q is not pinned by a full version", who, name)
	}
}

func TestDockerfile_BuildsOnPinnedImagesAndRunsAsNobody(t *testing.T) {
	t.Parallel()
	text := read(t, "Dockerfile")
	images := from.FindAllStringSubmatch(text, -1)
	if n := len(images); n != 2 || images[1][1] != "scratch" {
		t.Fatalf("FROM %v, want a builder and scratch", images)
	}
	checkPinned(t, "Dockerfile", images[0][1])
	for _, line := range []string{"USER 65532:65532", `CMD ["waybill", "healthcheck", "-live"]`} {
		if !strings.Contains(text, line) {
			t.Errorf("%q is missing", line)
		}
	}
	// The linker says nothing about a variable that is not there.
	variables := link.FindAllStringSubmatch(text, -1)
	if len(variables) != 2 {
		t.Errorf("the linker sets %v, want version and revision", variables)
	}
	for _, v := range variables {
		if source := read(t, v[1]+"/version.go"); !regexp.MustCompile(`(?m)^var .*\b` + v[2] + `\b.* string$`).MatchString(source) {
			t.Errorf("there is no variable %s in %s", v[2], v[1])
		}
	}
}
