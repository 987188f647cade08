package app_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestDeliveries_UpNeedsNoSettings: `waybill up` delivers to the loopback, and
// its subscriptions outlive a restart, by the secret that it keeps.
func TestDeliveries_UpNeedsNoSettings(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	p := newUp(t, data)
	p.Start(t)
	p.awaitReady(t)
	r := subscribe(t, p.api, "local", `"events":["messages.created"]`, nil)
	ids := writeMessages(t, p.api, 20, "before")
	r.awaitAccepted(t, 10*time.Second, ids)
	awaitCounts(t, 10*time.Second, p.api, ids, deliveryCounts{Delivered: 1})
	secret := keptSecret(t, data)
	if err := p.Interrupt(); err != nil {
		t.Fatal(err)
	}
	p.Start(t)
	p.awaitReady(t)
	ids = append(ids, writeMessages(t, p.api, 20, "after")...)
	r.awaitAccepted(t, 10*time.Second, ids)
	awaitCounts(t, 10*time.Second, p.api, ids, deliveryCounts{Delivered: 1})
	if again := keptSecret(t, data); again != secret {
		t.Error("the secret is another after a restart")
	}
	if d := r.duplicates(); d > 0 {
		t.Errorf("%d duplicates", d)
	}
}

// keptSecret is the secret under the data directory, which is for its owner alone.
func keptSecret(t *testing.T, data string) string {
	t.Helper()
	path := filepath.Join(data, "secret")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode(); mode != 0o600 {
		t.Errorf("%s has mode %v, want 0600", path, mode)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(text) < 32 {
		t.Errorf("the secret has %d bytes", len(text))
	}
	return string(text)
}
