package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// try runs a command line and returns its exit status and what it wrote.
func try(t *testing.T, environment []string, args ...string) (status int, out, errOut string) {
	t.Helper()
	var o, e bytes.Buffer
	status = run(t.Context(), args, environment, strings.NewReader(""), &o, &e)
	return status, o.String(), e.String()
}

func TestConfigCheck_TellsOfAllMistakesEachByItsNameOrLine(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "waybill.yaml")
	if err := os.WriteFile(file, []byte("collections:\n  orders:\n    schema: {type: object}\n    acces: {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	status, out, errOut := try(t, []string{
		"REDIS_URL=ftp://:hidden@r", "WAYBILL_CONFIG=" + file, "SMTP_URL=smpt://u:hidden@h", "SMTP_FROM=w@example.com",
		"WAYBILL_TOKEN_KEYS=hidden", "WAYBILL_MAX_BODY=1", "WAYBILL_LOG_LEVEL=loud",
	}, "config", "check")
	if status != 1 || out != "" {
		t.Errorf("status %d, output %q", status, out)
	}
	for _, want := range []string{"REDIS_URL", "DATABASE_URL is needed by api", "needed by worker", file + ":4: ", "SMTP_URL", "WAYBILL_TOKEN_KEYS", "WAYBILL_MAX_BODY", "WAYBILL_LOG_LEVEL"} {
		if strings.Count(errOut, want) == 0 {
			t.Errorf("%q is not in:\n%s", want, errOut)
		}
	}
	if strings.Contains(errOut, "hidden") {
		t.Errorf("a secret is shown:\n%s", errOut)
	}
}

func TestConfigCheck_SaysWhatWouldBeUsed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ environment, want []string }{
		"up": {nil, []string{"Good for up.", "127.0.0.1:8080    (default)", "messages, todos"}},
		"api and worker": {
			[]string{"REDIS_URL=redis://:hidden@r", "DATABASE_URL=postgres://u:hidden@h/d", "WAYBILL_CONCURENCY=9", "WAYBILL_MAX_BODY=2048"},
			[]string{"Good for api and worker.", "set\n", "2048\n", "Warning: WAYBILL_CONCURENCY is set, and is no setting", "Warning: WAYBILL_SECRET is not set"},
		},
	} {
		status, out, errOut := try(t, c.environment, "config", "check")
		if status != 0 || errOut != "" || strings.Contains(out, "hidden") {
			t.Errorf("%s: status %d, %q\n%s", name, status, errOut, out)
		}
		for _, want := range c.want {
			if !strings.Contains(out, want) {
				t.Errorf("%s: %q is not in:\n%s", name, want, out)
			}
		}
	}
}

func TestHealthcheck_EndsAsTheProcessIs(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/livez" {
			http.Error(w, "database: away", http.StatusServiceUnavailable)
		}
	}))
	defer server.Close()
	_, port, _ := strings.Cut(server.Listener.Addr().String(), ":")
	here := []string{"WAYBILL_OPS_LISTEN=:" + port}
	for name, c := range map[string]struct {
		environment, args []string
		status            int
		says              string
	}{
		"alive":         {here, []string{"-live"}, 0, ""},
		"not ready":     {here, nil, 1, "database: away"},
		"by its URL":    {nil, []string{"-url", server.URL + "/livez"}, 0, ""},
		"nobody there":  {[]string{"WAYBILL_OPS_LISTEN=127.0.0.1:1"}, nil, 1, "refused"},
		"bad settings":  {[]string{"WAYBILL_OPS_LISTEN=8081"}, nil, 1, "WAYBILL_OPS_LISTEN"},
		"too many":      {here, []string{"more"}, 2, ""},
		"unknown flags": {here, []string{"-more"}, 2, "Usage"},
	} {
		status, _, errOut := try(t, c.environment, append([]string{"healthcheck"}, c.args...)...)
		if status != c.status || !strings.Contains(errOut, c.says) {
			t.Errorf("%s: status %d, %q; want %d, %q", name, status, errOut, c.status, c.says)
		}
	}
}

func TestVersion_SaysWithWhatItWasBuilt(t *testing.T) {
	t.Parallel()
	if status, out, _ := try(t, nil, "version"); status != 0 || !strings.Contains(out, ", go1.") {
		t.Errorf("status %d, %q", status, out)
	}
}
