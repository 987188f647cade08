package queueui

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

func TestHandler_Page(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, path := range []string{"/queues/", "/queues/queues/writes?status=pending", "/queues/servers"} {
		page := b.do(t, http.MethodGet, path)
		if page.status != http.StatusOK || page.header.Get("Content-Type") != "text/html; charset=utf-8" {
			t.Fatalf("%s: %d %v", path, page.status, page.header)
		}
		scripts := directive(t, page.header.Get("Content-Security-Policy"), "script-src")
		if strings.Contains(scripts, "unsafe") || strings.Contains(scripts, "http") {
			t.Errorf("script-src %s", scripts)
		}
		inline := 0
		for _, m := range regexp.MustCompile(`(?s)<script([^>]*)>(.*?)</script>`).FindAllStringSubmatch(page.body, -1) {
			if source := regexp.MustCompile(`src="([^"]+)"`).FindStringSubmatch(m[1]); source != nil {
				b.script(t, source[1])
				continue
			}
			inline++
			hash := sha256.Sum256([]byte(m[2]))
			if want := "'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) + "'"; !strings.Contains(scripts, want) {
				t.Errorf("the script %.60s… is not in script-src %s", m[2], scripts)
			}
		}
		if inline != 2 {
			t.Errorf("%d inline scripts, want 2", inline)
		}
	}
}

// script checks that the page's script is served from here, as one.
func (b *bundle) script(t testing.TB, path string) {
	t.Helper()
	got := b.do(t, http.MethodGet, path)
	kind, cache := got.header.Get("Content-Type"), got.header.Get("Cache-Control")
	if got.status != http.StatusOK || !strings.Contains(kind, "javascript") || !strings.Contains(cache, "immutable") || len(got.body) < 1000 {
		t.Errorf("%s: %d, %q, %q, %d bytes", path, got.status, kind, cache, len(got.body))
	}
}

func directive(t testing.TB, policy, name string) string {
	t.Helper()
	for part := range strings.SplitSeq(policy, ";") {
		if value, ok := strings.CutPrefix(strings.TrimSpace(part), name+" "); ok {
			return value
		}
	}
	t.Fatalf("%q has no %s", policy, name)
	return ""
}

func TestHandler_Headers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, path := range []string{"/queues", "/queues/", "/queues/api/queues", "/queues/api/nosuch", "/queues/favicon.ico"} {
		got := b.do(t, http.MethodGet, path)
		for name, want := range map[string]string{
			"X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
		} {
			if value := got.header.Get(name); value != want {
				t.Errorf("%s: %s is %q", path, name, value)
			}
		}
		if policy := got.header.Get("Content-Security-Policy"); !strings.Contains(policy, "frame-ancestors 'none'") {
			t.Errorf("%s: Content-Security-Policy: %s", path, policy)
		}
	}
	if got := b.do(t, http.MethodGet, "/queues"); got.status != http.StatusTemporaryRedirect || got.header.Get("Location") != "/queues/" {
		t.Errorf("/queues: %d to %q", got.status, got.header.Get("Location"))
	}
	if got := b.do(t, http.MethodGet, "/queues/static/media/logo-color.c2b0c1f3.svg"); got.header.Get("Content-Type") != "image/svg+xml" {
		t.Errorf("the logo is %d %v", got.status, got.header)
	}
}
