package httpapi

import (
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/waybill-dev/waybill/internal/fault"
)

// statusOf is the one mapping from kinds of failure to HTTP.
var statusOf = map[fault.Kind]int{
	fault.InvalidJSON:          http.StatusBadRequest,
	fault.InvalidParameter:     http.StatusBadRequest,
	fault.Unauthorized:         http.StatusUnauthorized,
	fault.Forbidden:            http.StatusForbidden,
	fault.UnknownCollection:    http.StatusNotFound,
	fault.NotFound:             http.StatusNotFound,
	fault.MethodNotAllowed:     http.StatusMethodNotAllowed,
	fault.Conflict:             http.StatusConflict,
	fault.VersionMismatch:      http.StatusPreconditionFailed,
	fault.TooLarge:             http.StatusRequestEntityTooLarge,
	fault.UnsupportedMediaType: http.StatusUnsupportedMediaType,
	fault.InvalidRecord:        http.StatusUnprocessableEntity,
	fault.IdempotencyMismatch:  http.StatusUnprocessableEntity,
	fault.RateLimited:          http.StatusTooManyRequests,
	fault.Internal:             http.StatusInternalServerError,
	fault.QueueUnavailable:     http.StatusServiceUnavailable,
	fault.StoreUnavailable:     http.StatusServiceUnavailable,
	fault.Overloaded:           http.StatusServiceUnavailable,
}

// retryAfter is what 429 and 503 say when the failure does not know better.
const retryAfter = time.Second

// problem is an RFC 9457 problem document.
type problem struct {
	Type      string       `json:"type" doc:"Always about:blank: the code tells problems apart"`
	Title     string       `json:"title" doc:"The HTTP status in words"`
	Status    int          `json:"status"`
	Detail    string       `json:"detail" doc:"What went wrong, for a person"`
	Code      fault.Kind   `json:"code" doc:"What went wrong, for a program; stable"`
	RequestID string       `json:"request_id" doc:"The request's X-Request-Id, under which the log has it"`
	Errors    []fault.Item `json:"errors,omitempty" doc:"Everything that is wrong with the request, and where"`
}

// fail answers with the problem that err is. A failure of ours is logged, here
// and once, with its cause; the client sees only that it happened.
func (a *API) fail(x *exchange, r *http.Request, err error) {
	f, ok := errors.AsType[*fault.Error](err)
	if !ok {
		f = &fault.Error{Kind: fault.Internal, Cause: err}
	}
	status, known := statusOf[f.Kind]
	if !known {
		status = http.StatusInternalServerError
	}
	if r.Context().Err() != nil && status >= 500 {
		panic(http.ErrAbortHandler) // the client hung up, which is what failed; nobody is there to be answered
	}
	p := problem{
		Type: "about:blank", Title: http.StatusText(status), Status: status,
		Detail: f.Detail, Code: f.Kind, RequestID: x.requestID, Errors: f.Items,
	}
	if status == http.StatusInternalServerError {
		p.Detail, p.Errors = "something went wrong on our side; the log has it under this request_id", nil
	}
	if status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests {
		wait := f.RetryAfter
		if wait <= 0 {
			wait = retryAfter
		}
		x.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	}
	if status == http.StatusUnauthorized && x.Header().Get("WWW-Authenticate") == "" {
		x.Header().Set("WWW-Authenticate", `Bearer realm="waybill"`)
	}
	if status >= 500 && f.Kind != fault.Overloaded { // of that the backlog's own line tells, once
		a.o.Logger.LogAttrs(r.Context(), slog.LevelError, "request failed", append(x.about(), slog.String("method", knownMethod(r.Method)),
			slog.Int("status", status), slog.String("code", string(f.Kind)), slog.Any("error", err))...)
	}
	x.code = f.Kind
	writeProblem(x, &p)
}

// refuse answers for what is not a route of ours.
func (a *API) refuse(w http.ResponseWriter, r *http.Request, err error) {
	x, ok := w.(*exchange)
	if !ok {
		x = &exchange{ResponseWriter: w, route: "unmatched", requestID: w.Header().Get("X-Request-Id")}
	}
	if x.requestID == "" {
		x.requestID = requestID(r)
		w.Header().Set("X-Request-Id", x.requestID)
	}
	a.fail(x, r, err)
}

func writeProblem(w http.ResponseWriter, p *problem) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	body, err := json.Marshal(p)
	if err != nil {
		body = []byte("{}") // cannot be: a problem is strings and a number
	}
	w.WriteHeader(p.Status)
	_, _ = w.Write(append(body, '\n'))
}
