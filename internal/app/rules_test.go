package app_test

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.yaml.in/yaml/v4"

	"github.com/waybill-dev/waybill/internal/testenv"
)

const deployDir = "../../deploy/"

// rule is an entry of rules.yml.
type rule struct {
	Record, Alert, Expr string
	Labels, Annotations map[string]string
}

// parseYAML reads a file under deploy.
func parseYAML(t testing.TB, name string, v any) {
	t.Helper()
	text, err := os.ReadFile(deployDir + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

func rules(t testing.TB) (all []rule) {
	t.Helper()
	var file struct{ Groups []struct{ Rules []rule } }
	parseYAML(t, "prometheus/rules.yml", &file)
	for _, group := range file.Groups {
		all = append(all, group.Rules...)
	}
	if len(all) == 0 {
		t.Fatal("there are no rules")
	}
	return all
}

// panelQueries are the dashboard's, with an interval for Grafana's variable.
func panelQueries(t testing.TB) (all []string) {
	t.Helper()
	text, err := os.ReadFile(deployDir + "grafana/dashboards/waybill.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title       string
			FieldConfig struct{ Defaults struct{ Unit string } }
			Targets     []struct {
				Expr       string
				Datasource struct{ UID string }
			}
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			if target.Datasource.UID != "${datasource}" || p.FieldConfig.Defaults.Unit == "" {
				t.Errorf("panel %q has another data source than the chosen one, or no unit", p.Title)
			}
			all = append(all, strings.ReplaceAll(target.Expr, "$__rate_interval", "5m"))
		}
	}
	if len(all) == 0 {
		t.Fatal("the dashboard is empty")
	}
	return all
}

func TestRules_PassTheirTests(t *testing.T) {
	t.Parallel()
	promtool := testenv.Prometheus(t, "promtool")
	for _, args := range [][]string{{"check", "config", "prometheus.yml"}, {"test", "rules", "rules_test.yml"}} {
		cmd := exec.CommandContext(t.Context(), promtool, args...)
		cmd.Dir = deployDir + "prometheus"
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
}

// Each alert is tested firing and not firing, and says what to do.
func TestRules_EachAlertIsTestedAndDescribed(t *testing.T) {
	t.Parallel()
	var tests struct {
		Tests []struct {
			Queries []struct {
				Expr    string
				Samples []any `yaml:"exp_samples"`
			} `yaml:"promql_expr_test"`
		}
	}
	parseYAML(t, "prometheus/rules_test.yml", &tests)
	type shown struct{ fires, quiet bool }
	tested := map[string]shown{}
	name := regexp.MustCompile(`alertname="(\w+)"`)
	for _, one := range tests.Tests {
		for _, q := range one.Queries {
			alert := name.FindStringSubmatch(q.Expr)[1]
			s := tested[alert]
			tested[alert] = shown{s.fires || len(q.Samples) > 0, s.quiet || len(q.Samples) == 0}
		}
	}
	runbook, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rules(t) {
		if r.Alert == "" {
			continue
		}
		if tested[r.Alert] != (shown{true, true}) {
			t.Errorf("%s is not shown firing and not firing", r.Alert)
		}
		_, anchor, _ := strings.Cut(r.Annotations["runbook_url"], "/docs/operations.md#")
		if anchor != strings.ToLower(r.Alert) || !strings.Contains(string(runbook), "\n### "+r.Alert+"\n") {
			t.Errorf("%s has no entry in docs/operations.md: %q", r.Alert, anchor)
		}
		if !slices.Contains([]string{"critical", "warning"}, r.Labels["severity"]) || r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
			t.Errorf("%s lacks a severity, a summary or a description", r.Alert)
		}
	}
}

// watched is a system that has done a bit of everything, and its scrape.
func watched(t *testing.T, env ...string) (s *system, scrape string) {
	t.Helper()
	r := testenv.NewRedis(t)
	o, err := redis.ParseURL(r.URL())
	if err != nil {
		t.Fatal(err)
	}
	rc := redis.NewClient(o)
	defer func() { _ = rc.Close() }()
	if err := rc.ConfigSet(t.Context(), "maxmemory", "1gb").Err(); err != nil {
		t.Fatal(err)
	}
	s = newSystem(t, r.URL(), testenv.PostgresURL(t), 1, 1, env...)
	a := mustCall(t, http.MethodPost, s.url("/api/messages"), `{"content":"hello"}`).want(t, http.StatusAccepted)
	awaitDone(t, time.Minute, s.apis[0].api, a.operation(t).ID)
	for _, p := range s.processes() {
		_ = mustCall(t, http.MethodGet, p.ops+"/metrics", "")                            // begins looks
		text := mustCall(t, http.MethodGet, p.ops+"/metrics", "").want(t, http.StatusOK) // has them
		scrape += string(text.body)
	}
	return s, scrape
}

// What is asked for is what api and worker show: a metric that was renamed leaves
// an alert that never fires.
func TestRules_AskForMetricsThatExist(t *testing.T) {
	t.Parallel()
	_, scrape := watched(t)
	recorded := map[string]bool{}
	queries := panelQueries(t)
	for _, r := range rules(t) {
		recorded[r.Record] = true
		queries = append(queries, r.Expr)
	}
	metric := regexp.MustCompile(`\b(?:waybill|asynq|go|process)[_:][a-z0-9_:]+`)
	values := regexp.MustCompile(`"[^"]*"`) // of labels
	for _, q := range queries {
		for _, name := range metric.FindAllString(values.ReplaceAllString(q, `""`), -1) {
			if !recorded[name] && !strings.Contains(scrape, "\n"+name+"{") && !strings.Contains(scrape, "\n"+name+" ") {
				t.Errorf("no %s, which is asked for by %s", name, q)
			}
		}
	}
}
