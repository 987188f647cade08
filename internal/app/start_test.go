package app_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/waybill-dev/waybill/internal/testenv"
)

// TestSystem_StartsBeforeItsServers: a process lives without Redis and database,
// says what is missing, and works once both are up, without a restart.
func TestSystem_StartsBeforeItsServers(t *testing.T) {
	t.Parallel()
	for _, down := range [][]string{{"redis"}, {"database"}, {"redis", "database"}} {
		t.Run(fmt.Sprint(down), func(t *testing.T) {
			t.Parallel()
			redis, postgres := testenv.NewRedis(t), testenv.NewPostgres(t)
			servers := map[string]server{"redis": redis, "database": postgres}
			for _, name := range down {
				if err := servers[name].Stop(); err != nil {
					t.Fatal(err)
				}
			}
			s := prepareSystem(t, redis.URL(), postgres.URL(), 1, 1)
			for _, p := range s.processes() {
				p.Start(t)
			}
			for _, p := range s.processes() {
				testenv.Eventually(t, startWithin, p.name+" lives, is not ready, and says why", func() error {
					if a, err := call(t.Context(), http.MethodGet, p.ops+"/livez", ""); err != nil || a.status != http.StatusOK {
						return fmt.Errorf("/livez: %v (%w)", a, err)
					}
					return p.checkUnready(t.Context(), down...)
				})
			}
			accepted := writeWhileDown(t, s, slices.Contains(down, "redis"))

			for _, name := range down {
				if err := servers[name].Start(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			for _, p := range s.processes() {
				p.awaitReady(t)
			}
			awaitDone(t, 20*time.Second, s.apis[0].api, append(accepted, awaitAccepted(t, s))...)
		})
	}
}

// checkUnready returns nil if /readyz says 503 and names exactly these servers
// as down.
func (p *process) checkUnready(ctx context.Context, down ...string) error {
	r, err := p.readiness(ctx)
	if err != nil {
		return err
	}
	if r.status != http.StatusServiceUnavailable {
		return fmt.Errorf("/readyz: status %d", r.status)
	}
	for _, name := range []string{"redis", "database"} {
		if isDown := r.Checks[name] != "ok"; isDown != slices.Contains(down, name) {
			return fmt.Errorf("/readyz says of %s: %q", name, r.Checks[name])
		}
	}
	return nil
}

// writeWhileDown sends a write, which is accepted (and its ID returned) unless
// Redis is down.
func writeWhileDown(t *testing.T, s *system, redisDown bool) (id []string) {
	t.Helper()
	a := mustCall(t, http.MethodPost, s.url("/api/messages"), `{"content":"early"}`)
	if a.took > refusedWithin {
		t.Errorf("a write while it is down was answered after %v", a.took)
	}
	if redisDown {
		a.want(t, http.StatusServiceUnavailable)
		return nil
	}
	return []string{a.want(t, http.StatusAccepted).operation(t).ID}
}
