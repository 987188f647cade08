package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/pprof"
	"slices"
	"time"
)

// Check is one condition of being ready.
type Check struct {
	Name   string
	Run    func(context.Context) error // nil: fulfilled
	Accept bool                        // writes can be accepted only if it is
}

// NewOps returns the operators' handler: /metrics, /livez, /readyz, /readyz/accept,
// /debug/pprof. Each check has timeout to answer. /readyz/accept is for whoever sends
// requests here: writes are accepted while the database is away, and an api must not
// be left alone for it.
func NewOps(metrics http.Handler, checks []Check, timeout time.Duration) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics)
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"status":"ok"}` + "\n"))
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) { ready(w, r, checks, timeout) })
	accept := slices.DeleteFunc(slices.Clone(checks), func(c Check) bool { return !c.Accept })
	mux.HandleFunc("GET /readyz/accept", func(w http.ResponseWriter, r *http.Request) { ready(w, r, accept, timeout) })
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
	type end struct {
		name string
		err  error
	}
	ends := make(chan end, len(checks)) // room for all: one that comes too late finds nobody
	answer := readiness{Status: "ready", Checks: map[string]string{}}
	for _, check := range checks {
		answer.Checks[check.Name] = "no answer within " + timeout.String()
		go func() { ends <- end{check.Name, check.Run(ctx)} }()
	}
	good := 0
	for range checks {
		select {
		case e := <-ends:
			switch {
			case e.err == nil:
				answer.Checks[e.name] = "ok"
				good++
			case !errors.Is(e.err, context.DeadlineExceeded):
				answer.Checks[e.name] = e.err.Error()
			}
			continue
		case <-ctx.Done():
		}
		break
	}
	status := http.StatusOK
	if good < len(checks) {
		answer.Status, status = "not ready", http.StatusServiceUnavailable
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	body, _ := json.Marshal(answer) //nolint:errchkjson // a map of strings
	_, _ = w.Write(append(body, '\n'))
}
