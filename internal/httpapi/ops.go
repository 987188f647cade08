package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/pprof"
	"sync"
	"time"
)

// Check is one condition of being ready.
type Check struct {
	Name string
	Run  func(context.Context) error // nil: fulfilled
}

// NewOps returns the operators' handler: /metrics, /livez, /readyz, /debug/pprof.
// Each check has timeout to answer.
func NewOps(metrics http.Handler, checks []Check, timeout time.Duration) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics)
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"status":"ok"}` + "\n"))
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) { ready(w, r, checks, timeout) })
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}

// readiness is the answer of /readyz. Operators may see causes: it is their listener.
type readiness struct {
	Status string            `json:"status"` // ready, not ready
	Checks map[string]string `json:"checks"` // ok, or what is wrong
}

func ready(w http.ResponseWriter, r *http.Request, checks []Check, timeout time.Duration) {
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	answer := readiness{Status: "ready", Checks: map[string]string{}}
	status := http.StatusOK
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, check := range checks {
		all.Go(func() {
			err := check.Run(ctx)
			mu.Lock()
			defer mu.Unlock()
			answer.Checks[check.Name] = "ok"
			if err != nil {
				answer.Status, status, answer.Checks[check.Name] = "not ready", http.StatusServiceUnavailable, err.Error()
			}
		})
	}
	all.Wait()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	body, _ := json.Marshal(answer) //nolint:errchkjson // a map of strings
	_, _ = w.Write(append(body, '\n'))
}
