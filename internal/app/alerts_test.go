package app_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waybill-dev/waybill/internal/testenv"
)

// prometheus is a real one that scrapes a system and evaluates our rules, in a
// hurry: what they look back on and wait for is seconds.
type prometheus struct {
	*process
	url string
}

// Windows and waits of the rules, and what they become here.
var (
	window  = regexp.MustCompile(`\[\d+[smh]\]`)
	waiting = regexp.MustCompile(`for: \d+[smh]`)
)

// startAlerts starts one on a system. scaled are parts of the rules and what
// they are here: limits that would take too long to reach.
func startAlerts(t *testing.T, s *system, scaled map[string]string) *prometheus {
	t.Helper()
	path, dir := testenv.Prometheus(t, "prometheus"), t.TempDir()
	rules, err := os.ReadFile("../../deploy/prometheus/rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	text := waiting.ReplaceAllString(window.ReplaceAllString(string(rules), "[5s]"), "for: 1s")
	for from, to := range scaled {
		if !strings.Contains(text, from) {
			t.Fatalf("the rules have no %q", from)
		}
		text = strings.ReplaceAll(text, from, to)
	}
	targets := func(processes []*process) string {
		var all []string
		for _, p := range processes {
			all = append(all, strings.TrimPrefix(p.ops, "http://"))
		}
		return strings.Join(all, ", ")
	}
	config := fmt.Sprintf(`global: {scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms}
rule_files: [rules.yml]
scrape_configs:
  - {job_name: waybill-api, static_configs: [{targets: [%s]}]}
  - {job_name: waybill-worker, static_configs: [{targets: [%s]}]}
`, targets(s.apis), targets(s.workers))
	for name, content := range map[string]string{"rules.yml": text, "prometheus.yml": config} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	listen := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	p := &prometheus{url: "http://" + listen, process: &process{
		name: "prometheus", path: path, dir: dir,
		args: []string{"--config.file=prometheus.yml", "--storage.tsdb.path=data", "--web.listen-address=" + listen, "--log.level=warn"},
	}}
	t.Cleanup(func() {
		if err := p.Kill(); err != nil {
			t.Error(err)
		}
	})
	p.Start(t)
	testenv.Eventually(t, 30*time.Second, "prometheus has our rules", func() error {
		_, err := p.firing(t)
		return err
	})
	return p
}

// firing returns the names of the alerts that fire, each once, sorted.
func (p *prometheus) firing(t testing.TB) ([]string, error) {
	t.Helper()
	a, err := call(t.Context(), http.MethodGet, p.url+"/api/v1/alerts", "")
	if err != nil {
		return nil, err
	}
	var answer struct {
		Data struct {
			Alerts []struct {
				State  string
				Labels struct{ Alertname string }
			}
		}
	}
	if err := json.Unmarshal(a.body, &answer); err != nil {
		return nil, fmt.Errorf("%v: %w", a, err)
	}
	var names []string
	for _, alert := range answer.Data.Alerts {
		if alert.State == "firing" {
			names = append(names, alert.Labels.Alertname)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// await waits until every alert in want fires.
func (p *prometheus) await(t testing.TB, within time.Duration, want ...string) {
	t.Helper()
	testenv.Eventually(t, within, fmt.Sprintf("%v fire", want), func() error {
		names, err := p.firing(t)
		for _, name := range want {
			if err == nil && !slices.Contains(names, name) {
				err = fmt.Errorf("%s does not fire, %v do", name, names)
			}
		}
		return err
	})
}

// awaitQuiet waits until no alert fires but those in but.
func (p *prometheus) awaitQuiet(t testing.TB, within time.Duration, but ...string) {
	t.Helper()
	testenv.Eventually(t, within, "no alert fires", func() error {
		names, err := p.firing(t)
		names = slices.DeleteFunc(names, func(name string) bool { return slices.Contains(but, name) })
		if err == nil && len(names) > 0 {
			err = errors.New(strings.Join(names, ", ") + " fire")
		}
		return err
	})
}
