package app_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/waybill-dev/waybill/internal/testenv"
)

// startPrometheus starts one at port, with our rules, that scrapes s each second.
func startPrometheus(t *testing.T, port int, s *system) *process {
	t.Helper()
	path := testenv.Prometheus(t, "prometheus")
	rules, err := filepath.Abs(deployDir + "prometheus/rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	config := fmt.Sprintf("global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [%q]\nscrape_configs:\n", rules)
	for _, p := range s.processes() {
		config += fmt.Sprintf("  - {job_name: waybill-%s, static_configs: [{targets: [%q]}]}\n", p.name, strings.TrimPrefix(p.ops, "http://"))
	}
	file := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &process{name: "prometheus", path: path, dir: dir, ops: fmt.Sprintf("http://127.0.0.1:%d", port), args: []string{
		"--config.file=" + file, "--storage.tsdb.path=" + filepath.Join(dir, "data"), fmt.Sprintf("--web.listen-address=127.0.0.1:%d", port),
	}}
	p.Start(t)
	t.Cleanup(func() {
		if err := p.Kill(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// series is how many series a query, as Prometheus answers it, has found.
func series(body []byte) (int, error) {
	var a struct {
		Status, Error string
		Data          struct{ Result []json.RawMessage }
	}
	err := json.Unmarshal(body, &a)
	if err == nil && a.Status != "success" {
		err = errors.New(a.Error)
	}
	return len(a.Data.Result), err
}

// asynqmon's charts and our dashboard, with a real Prometheus that scrapes a real
// system.
func TestPrometheus_DrawsChartsAndDashboard(t *testing.T) {
	t.Parallel()
	testenv.Prometheus(t, "prometheus")
	port := freePort(t)
	s, _ := watched(t, fmt.Sprintf("WAYBILL_PROMETHEUS_URL=http://127.0.0.1:%d", port))
	p := startPrometheus(t, port, s)
	testenv.Eventually(t, time.Minute, "asynqmon's charts have series", func() error {
		a, err := call(t.Context(), http.MethodGet, s.url("/queues/api/metrics"), "", "Authorization", "Bearer "+adminKey)
		if err != nil {
			return err
		}
		if a.status != http.StatusOK {
			return fmt.Errorf("answer %v", a)
		}
		var charts map[string]json.RawMessage
		if err := json.Unmarshal(a.body, &charts); err != nil {
			return err
		}
		if len(charts) != 9 {
			return fmt.Errorf("%d charts", len(charts))
		}
		for name, body := range charts {
			n, err := series(body)
			if err == nil && n != 2 { // the queues
				err = fmt.Errorf("%d series", n)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		return nil
	})
	for _, query := range panelQueries(t) {
		a := mustCall(t, http.MethodGet, p.ops+"/api/v1/query?query="+url.QueryEscape(query), "")
		if _, err := series(a.body); err != nil {
			t.Errorf("%s: %v", query, err)
		}
	}
	a := mustCall(t, http.MethodGet, p.ops+"/api/v1/query?query="+url.QueryEscape(`ALERTS{alertstate="firing"}`), "")
	if n, err := series(a.body); n != 0 || err != nil {
		t.Errorf("alerts fire on a sound system: %s, %v", a.body, err)
	}
}
