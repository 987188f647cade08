package app_test

import (
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/waybill-dev/waybill/internal/testenv"
)

// TestBacklog_RefusesAndRecovers: with nobody to store, writes are refused once the
// limit is reached, reads go on, and what was accepted is stored when somebody is.
func TestBacklog_RefusesAndRecovers(t *testing.T) {
	t.Parallel()
	s := prepareSystem(t, testenv.NewRedis(t).URL(), testenv.PostgresURL(t), 2, 1, "WAYBILL_MAX_BACKLOG=100")
	for _, p := range s.apis {
		p.Start(t)
		p.awaitReady(t)
	}
	var ids []string
	var refused *answer
	testenv.Eventually(t, 30*time.Second, "a write is refused", func() error {
		a := mustCall(t, http.MethodPost, s.url("/api/messages"), `{"content":"x"}`)
		switch a.status {
		case http.StatusAccepted:
			ids = append(ids, a.operation(t).ID)
		case http.StatusServiceUnavailable:
			refused = a
			return nil
		default:
			t.Fatalf("answered %v", a)
		}
		return fmt.Errorf("%d accepted", len(ids))
	})
	if len(ids) < 100 {
		t.Errorf("refused after %d writes, the limit is 100", len(ids))
	}
	if n, err := strconv.Atoi(refused.header.Get("Retry-After")); err != nil || n < 1 || n > 60 {
		t.Errorf("Retry-After %q", refused.header.Get("Retry-After"))
	}
	testenv.Eventually(t, 10*time.Second, "the other api refuses too", func() error {
		a := mustCall(t, http.MethodPost, s.apis[1].api+"/api/messages", `{"content":"x"}`)
		if a.status == http.StatusAccepted {
			ids = append(ids, a.operation(t).ID)
			return fmt.Errorf("%v", a)
		}
		return nil
	})
	mustCall(t, http.MethodGet, s.url("/api/messages"), "").want(t, http.StatusOK)
	mustCall(t, http.MethodGet, s.url("/api/operations/"+ids[0]), "").want(t, http.StatusOK)
	s.workers[0].Start(t)
	awaitDone(t, time.Minute, s.apis[0].api, ids...)
	testenv.Eventually(t, 10*time.Second, "writes are accepted again", func() error {
		if a := mustCall(t, http.MethodPost, s.url("/api/messages"), `{"content":"x"}`); a.status != http.StatusAccepted {
			return fmt.Errorf("%v", a)
		}
		return nil
	})
}
