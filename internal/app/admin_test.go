package app_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/waybill-dev/waybill/internal/testenv"
)

// answers waits until GET /api/me answers a key with status.
func (p *process) answers(t *testing.T, what, key string, status int, within time.Duration) {
	t.Helper()
	testenv.Eventually(t, within, what, func() error {
		a, err := call(t.Context(), http.MethodGet, p.api+"/api/me", "", "Authorization", "Bearer "+key)
		if err == nil && a.status != status {
			err = fmt.Errorf("status %d", a.status)
		}
		return err
	})
}

// keys runs waybill keys beside a waybill up, on its data, and returns what it prints.
func keys(t *testing.T, data string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), built.path(t, "waybill"), append([]string{"keys"}, args...)...)
	cmd.Env, cmd.Dir = []string{"WAYBILL_DATA=" + data}, t.TempDir()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%q: %v: %s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// TestUp_KeepsTheAdminsKey: it makes one, tells where it is and how to log in, and
// has the same after a restart. A key of the command line is as good, and ends.
func TestUp_KeepsTheAdminsKey(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	file := filepath.Join(data, "admin.key")
	p := newProcess(t, "waybill", []string{"up"}, "WAYBILL_DATA="+data, "PATH="+t.TempDir())
	p.Start(t)
	p.awaitReady(t)
	testenv.Eventually(t, 15*time.Second, "it prints how to log in", func() error {
		if said := p.out.String(); !strings.Contains(said, "log in  "+p.api+"/login/") || !strings.Contains(said, file) {
			return errors.New(said)
		}
		return nil
	})
	made, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode() != 0o600 {
		t.Errorf("its mode is %v (%v)", info.Mode(), err)
	}
	if said := p.out.String() + p.errOut.String(); strings.Contains(said, string(made)) {
		t.Error("it shows the key")
	}
	p.answers(t, "the admin's key is good", string(made), 200, 10*time.Second)

	key := keys(t, data, "create", "-name", "ci", "-scopes", "records:read")
	p.answers(t, "a key of the command line is good", key, 200, 6*time.Second)
	keys(t, data, "revoke", strings.Split(key, "_")[1])
	p.answers(t, "a key that was revoked ends", key, 401, 6*time.Second)

	if err := p.Interrupt(); err != nil {
		t.Fatal(err)
	}
	p.Start(t)
	p.awaitReady(t)
	if after, err := os.ReadFile(file); err != nil || string(after) != string(made) {
		t.Errorf("after a restart there is another key (%v)", err)
	}
	p.answers(t, "the admin's key is good after a restart", string(made), 200, 10*time.Second)
}

// TestUp_WithAnAdminKeyOfTheEnvironment keeps none, and a new secret ends the old.
func TestUp_WithAnAdminKeyOfTheEnvironment(t *testing.T) {
	t.Parallel()
	data, rotated := t.TempDir(), "wb_tests_another-secret-of-tests-long-enough-to-be-one"
	for _, key := range []string{adminKey, rotated} {
		p := newProcess(t, "waybill", []string{"up"}, "WAYBILL_DATA="+data, "PATH="+t.TempDir(), "WAYBILL_ADMIN_KEY="+key)
		p.Start(t)
		p.awaitReady(t)
		p.answers(t, "the key is good", key, 200, 10*time.Second)
		if key == rotated {
			p.answers(t, "the old secret is not", adminKey, 401, 6*time.Second)
		}
		if err := p.Interrupt(); err != nil {
			t.Fatal(err)
		}
		if said := p.out.String(); strings.Contains(said, "log in") || strings.Contains(said, "admin.key") || strings.Contains(said, key) {
			t.Errorf("it said %s", said)
		}
	}
	if _, err := os.Stat(filepath.Join(data, "admin.key")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it keeps a key: %v", err)
	}
}

func TestUp_AMalformedAdminKeyStopsTheStart_Unshown(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"wb_id_tooshortsecret", "nonsense-that-is-secret", "wb_a-b_" + strings.Repeat("s", 40), "wb_" + strings.Repeat("i", 33) + "_" + strings.Repeat("s", 40)} {
		p := newProcess(t, "waybill", []string{"up"}, "WAYBILL_DATA="+t.TempDir(), "PATH="+t.TempDir(), "WAYBILL_ADMIN_KEY="+bad)
		p.Start(t)
		status, err := p.wait(30 * time.Second)
		if err != nil {
			t.Fatalf("it runs: %v", err)
		}
		said := p.out.String() + p.errOut.String()
		if exit, ok := errors.AsType[*exec.ExitError](status); !ok || exit.ExitCode() != 1 || !strings.Contains(said, "WAYBILL_ADMIN_KEY") || strings.Contains(said, bad[3:]) {
			t.Errorf("it ended %v, saying %q", status, said)
		}
		p.forget()
	}
}
