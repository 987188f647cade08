// Command receiver is the webhook that the comparisons deliver to, as a process
// of its own: it answers at once, late or never, whichever the path says, and
// keeps when each event came first. It checks no signatures: what it costs is the
// same for whoever sends. It knows webhook-id, and nothing else of an event.
//
//	POST   /in/{box}/{after}  an event, answered 204 after a time (0s, 200ms) or "never"
//	GET    /seen/{box}        how many came, and when
//	GET    /seen/{box}/times  when each event came first, by ID, in ns since 1970
//	DELETE /seen/{box}        forgets them
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "host:port")
	flag.Parse()
	if err := run(*listen); err != nil {
		fmt.Fprintln(os.Stderr, "receiver:", err)
		os.Exit(1)
	}
}

func run(listen string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	// Requests end with ctx: those that are never answered too.
	server := &http.Server{Handler: newReceiver(), BaseContext: func(net.Listener) context.Context { return ctx }, ReadHeaderTimeout: time.Minute}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// receiver is what came, by box.
type receiver struct {
	*http.ServeMux
	mu    sync.Mutex
	boxes map[string]*box
}

// box is what came under one name. Times are in ns since 1970.
type box struct {
	Events   int   `json:"events"`   // different ones
	Requests int   `json:"requests"` // repeats too
	Most     int   `json:"most"`     // requests at once
	First    int64 `json:"first"`    // when the first request came
	Last     int64 `json:"last"`     // and the last event that was new
	Answered int64 `json:"answered"` // when the last answer was given

	times map[string]int64 // by event
	now   int              // requests
}

func newReceiver() *receiver {
	r := &receiver{ServeMux: http.NewServeMux(), boxes: map[string]*box{}}
	r.HandleFunc("POST /in/{box}/{after}", r.take)
	r.HandleFunc("GET /seen/{box}", func(w http.ResponseWriter, q *http.Request) {
		r.show(w, q, func(b *box) any { return b })
	})
	r.HandleFunc("GET /seen/{box}/times", func(w http.ResponseWriter, q *http.Request) {
		r.show(w, q, func(b *box) any { return b.times })
	})
	r.HandleFunc("DELETE /seen/{box}", func(w http.ResponseWriter, q *http.Request) {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.boxes, q.PathValue("box"))
		w.WriteHeader(http.StatusNoContent)
	})
	return r
}

// take takes an event.
func (r *receiver) take(w http.ResponseWriter, q *http.Request) {
	_, err := io.Copy(io.Discard, q.Body)
	id, at := q.Header.Get("Webhook-Id"), time.Now()
	after, never := time.Duration(0), q.PathValue("after") == "never"
	if !never {
		var bad error
		after, bad = time.ParseDuration(q.PathValue("after"))
		err = errors.Join(err, bad)
	}
	if err != nil || id == "" || q.Header.Get("Webhook-Signature") == "" {
		http.Error(w, "not an event", http.StatusBadRequest)
		return
	}
	name := q.PathValue("box")
	r.in(name, func(b *box) { b.came(id, at.UnixNano()) })
	defer r.in(name, func(b *box) { b.now--; b.Answered = time.Now().UnixNano() })
	switch {
	case never:
		<-q.Context().Done()
		return
	case after > 0:
		select {
		case <-q.Context().Done():
			return
		case <-time.After(after - time.Since(at)):
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

// in does something with a box while nobody else does.
func (r *receiver) in(name string, do func(*box)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.boxes[name]
	if b == nil {
		b = &box{times: map[string]int64{}}
		r.boxes[name] = b
	}
	do(b)
}

func (b *box) came(id string, at int64) {
	b.Requests++
	b.now++
	b.Most = max(b.Most, b.now)
	b.First = cmp.Or(b.First, at)
	if b.times[id] == 0 {
		b.times[id] = at
		b.Events, b.Last = len(b.times), at
	}
}

// show answers with a part of a box.
func (r *receiver) show(w http.ResponseWriter, q *http.Request, part func(*box) any) {
	var text []byte
	var err error
	r.in(q.PathValue("box"), func(b *box) { text, err = json.Marshal(part(b)) })
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(text)
}
