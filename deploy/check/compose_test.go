package check_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// compose loads docker-compose.yml as `docker compose config` does: interpolated,
// and held to the schema.
func compose(t *testing.T) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{filepath.Join(root, "docker-compose.yml")}, cli.WithInterpolation(true), cli.WithResolvedPaths(true))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return project
}

// given are the variables of a service.
func given(s types.ServiceConfig) map[string]string {
	all := map[string]string{}
	for name, value := range s.Environment {
		if value != nil {
			all[name] = *value
		}
	}
	return all
}

func TestCompose_EveryServiceIsPinnedHardenedAndChecked(t *testing.T) {
	t.Parallel()
	project := compose(t)
	published := map[string]string{"proxy": "8080", "grafana": "3000", "mailpit": "8025"}
	for name, s := range project.Services {
		if s.Build == nil {
			checkPinned(t, name, s.Image)
		}
		if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") || s.Restart != "unless-stopped" {
			t.Errorf("%s is not hardened", name)
		}
		if s.HealthCheck == nil || len(s.HealthCheck.Test) == 0 {
			t.Errorf("%s has no health check", name)
		}
		if s.ContainerName != "" {
			t.Errorf("%s has a name of its own: there can be one only", name)
		}
		for dependency, on := range s.DependsOn {
			if on.Condition != types.ServiceConditionHealthy {
				t.Errorf("%s does not wait for %s to be healthy", name, dependency)
			}
		}
		for _, port := range s.Ports {
			if published[name] != port.Published || port.HostIP != "127.0.0.1" {
				t.Errorf("%s publishes %s at %q", name, port.Published, port.HostIP)
			}
		}
	}
}

func TestCompose_ApisAndWorkersAreWhatTheSettingsAllow(t *testing.T) {
	t.Parallel()
	project := compose(t)
	for _, name := range []string{"api", "worker"} {
		s := project.Services[name]
		checkSettings(t, name, given(s))
		checkGrace(t, name, time.Duration(*s.StopGracePeriod), given(s))
		if s.Scale == nil || *s.Scale != 2 {
			t.Errorf("%s is not there twice", name)
		}
	}
}

// TestCompose_WhatIsMountedIsThere: what is mounted is in the repository, but for the secrets, which
// deploy/secrets.sh makes.
func TestCompose_WhatIsMountedIsThere(t *testing.T) {
	t.Parallel()
	project := compose(t)
	made := makeSecrets(t)
	for name, s := range project.Secrets {
		if _, err := os.Stat(filepath.Join(made, filepath.Base(s.File))); err != nil || filepath.Base(s.File) != name {
			t.Errorf("secret %s: %v", name, err)
		}
	}
	for name, c := range project.Configs {
		mustExist(t, "config "+name, c.File)
	}
	for name, s := range project.Services {
		for _, v := range s.Volumes {
			if v.Type == types.VolumeTypeBind {
				mustExist(t, name, v.Source)
			}
		}
	}
}

// mustExist fails the test if there is no such file.
func mustExist(t *testing.T, who, path string) {
	t.Helper()
	if _, err := os.Stat(path); err != nil {
		t.Errorf("%s: %v", who, err)
	}
}

// makeSecrets runs a copy of deploy/secrets.sh, twice, and returns where the
// secrets are.
func makeSecrets(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	script := filepath.Join(dir, "secrets.sh")
	if err := os.WriteFile(script, []byte(read(t, "deploy/secrets.sh")), 0o600); err != nil {
		t.Fatal(err)
	}
	made := filepath.Join(dir, "secrets")
	var before string
	for range 2 {
		if out, err := exec.CommandContext(t.Context(), "bash", script).CombinedOutput(); err != nil {
			t.Fatalf("secrets.sh: %v\n%s", err, out)
		}
		secret, err := os.ReadFile(filepath.Join(made, "waybill_secret"))
		if err != nil || len(secret) < 32 || before != "" && string(secret) != before {
			t.Fatalf("waybill_secret is %d bytes (%v); the first run's %q", len(secret), err, before)
		}
		before = string(secret)
	}
	return made
}

// TestCompose_SettingsAreGood: the product itself says so of each service, with
// the secrets that the script makes.
func TestCompose_SettingsAreGood(t *testing.T) {
	t.Parallel()
	project := compose(t)
	made, waybill := makeSecrets(t), filepath.Join(t.TempDir(), "waybill")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-C", root, "-buildvcs=false", "-o", waybill, "./cmd/waybill").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	for _, name := range []string{"api", "worker"} {
		command := exec.CommandContext(t.Context(), waybill, "config", "check")
		command.Dir = t.TempDir()
		for variable, value := range given(project.Services[name]) {
			value = strings.ReplaceAll(value, "/run/secrets", made)
			value = strings.ReplaceAll(value, "/etc/waybill/waybill.yaml", project.Configs["waybill"].File)
			command.Env = append(command.Env, variable+"="+value)
		}
		if out, err := command.CombinedOutput(); err != nil || strings.Contains(string(out), "Warning: WAYBILL_") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

func TestProxy_ItsConfigurationIsValid(t *testing.T) {
	t.Parallel()
	path, err := exec.LookPath("haproxy")
	if err != nil {
		path, err = exec.LookPath("/usr/sbin/haproxy")
	}
	if err != nil {
		t.Skip("no haproxy here")
	}
	if out, err := exec.CommandContext(t.Context(), path, "-c", "-f", filepath.Join(root, "deploy/haproxy/haproxy.cfg")).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
