package main

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"

	"github.com/waybill-dev/waybill/internal/collection"
)

// maxBody is Waybill's limit of a body, in bytes.
const maxBody = 256 << 10

// operation is Waybill's answer, member for member.
type operation struct {
	ID         string     `json:"id"`
	Action     string     `json:"action"`
	Collection string     `json:"collection"`
	Record     string     `json:"record"`
	Status     string     `json:"status"`
	AcceptedAt string     `json:"accepted_at"`
	StoredAt   *string    `json:"stored_at"`
	Version    *int64     `json:"version"`
	Attempts   int        `json:"attempts"`
	Error      *string    `json:"error"`
	Deliveries deliveries `json:"deliveries"`
}

type deliveries struct {
	Pending   int `json:"pending"`
	Delivered int `json:"delivered"`
	Dead      int `json:"dead"`
	Canceled  int `json:"canceled"`
}

// enqueuer puts a record, checked and under its new ID, into the queue.
type enqueuer func(ctx context.Context, id uuid.UUID, body []byte) error

func enqueueNothing(context.Context, uuid.UUID, []byte) error { return nil }

// newService returns the API: POST /api/messages, checked by Waybill's own code
// against Waybill's own schema, and answered as Waybill answers.
func newService(enqueue enqueuer) http.Handler {
	messages, _ := collection.Default().Get("messages")
	r := chi.NewRouter()
	r.Post("/api/messages", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			http.Error(w, "the body could not be read", http.StatusBadRequest)
			return
		}
		checked, err := messages.Record("body", body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusUnprocessableEntity)
			return
		}
		id, err := uuid.NewV7()
		if err == nil {
			err = enqueue(r.Context(), id, checked)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		answer(w, id.String())
	})
	return r
}

// answer is a 202 with the headers and the body that Waybill's has.
func answer(w http.ResponseWriter, id string) {
	body, err := json.Marshal(operation{
		ID: id, Action: "create", Collection: "messages", Record: id, Status: "queued",
		AcceptedAt: time.Now().UTC().Format("2006-01-02T15:04:05.000000Z"),
	})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("X-Request-Id", uuid.NewString())
	h.Set("X-Content-Type-Options", "nosniff")
	maps.Copy(h, browser)
	h.Set("Location", "/api/operations/"+id)
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusAccepted)
	_, _ = w.Write(append(body, '\n')) // a client that is gone is no failure
}

// browser are the headers that keep browsers safe, ready to be sent.
var browser = map[string][]string{
	"Content-Security-Policy":    {"default-src 'none'; frame-ancestors 'none'"},
	"Cross-Origin-Opener-Policy": {"same-origin"},
	"Permissions-Policy":         {"camera=(), geolocation=(), microphone=(), payment=(), usb=()"},
	"Referrer-Policy":            {"no-referrer"},
	"X-Frame-Options":            {"DENY"},
}
