// Command webhook-receiver receives what Waybill sends: it shows each event on a
// line, once it has checked who signed it. Copy it and put your own code where
// the event is printed. With a Waybill on this machine one command is enough,
//
//	go run ./examples/webhook-receiver -subscribe http://127.0.0.1:8080 -key-file data/admin.key
//
// which subscribes to everything, and takes that back on Ctrl-C. To receive what
// a subscription of yours sends, name its secret instead:
//
//	WEBHOOK_SECRET=whsec_… go run ./examples/webhook-receiver -listen 127.0.0.1:9000
package main

import (
	"bytes"
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
	"strings"
	"syscall"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:9000", "host:port to listen on")
	secret := flag.String("secret", os.Getenv("WEBHOOK_SECRET"), "the subscription's secret, whsec_…; better in WEBHOOK_SECRET")
	subscribe := flag.String("subscribe", "", "URL of a Waybill: subscribe there while this runs")
	keyFile := flag.String("key-file", "", "file with the API key to subscribe with, as waybill up keeps one; else WAYBILL_KEY")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	key, err := readKey(*keyFile)
	if err == nil {
		err = run(ctx, os.Stdout, *listen, *secret, waybill{strings.TrimSuffix(*subscribe, "/"), key})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "webhook-receiver:", err)
		os.Exit(1)
	}
}

// readKey returns the API key in file, or in the environment if that is "".
func readKey(file string) (string, error) {
	if file == "" {
		return os.Getenv("WAYBILL_KEY"), nil
	}
	text, err := os.ReadFile(file)
	return strings.TrimSpace(string(text)), err
}

// waybill is where to subscribe, "" for nowhere, and the key for it.
type waybill struct{ url, key string }

// run receives until ctx ends.
func run(ctx context.Context, out io.Writer, listen, secret string, w waybill) (err error) {
	if secret == "" && w.url == "" {
		return errors.New("name the secret (WEBHOOK_SECRET or -secret) or a Waybill (-subscribe http://127.0.0.1:8080)")
	}
	// First we listen, then we subscribe: events may come at once.
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }()
	url := "http://" + listener.Addr().String() + "/"
	if w.url != "" {
		var remove func() error
		if secret, remove, err = w.subscribe(ctx, url); err != nil {
			return fmt.Errorf("subscribe: %w", err)
		}
		defer func() { err = errors.Join(err, remove()) }()
	}
	verifier, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		return fmt.Errorf("the secret must be whsec_ and base64: %w", err)
	}
	server := &http.Server{Handler: newReceiver(verifier, out), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second}
	fmt.Fprintf(out, "listening on %s; Ctrl-C ends it\n", url)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	// What is being received is still answered.
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return server.Shutdown(last)
}

// subscribe asks a Waybill for all its events, and returns the secret that it
// signs them with and what ends the subscription.
func (w waybill) subscribe(ctx context.Context, url string) (secret string, remove func() error, err error) {
	body, err := json.Marshal(map[string]any{
		"name": "webhook-receiver", "events": []string{"*"}, "channel": map[string]string{"type": "webhook", "url": url},
	})
	if err != nil {
		return "", nil, err
	}
	var made struct{ ID, Secret string }
	if err := w.call(ctx, http.MethodPost, "/api/subscriptions", body, &made); err != nil {
		return "", nil, err
	}
	return made.Secret, func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		return w.call(ctx, http.MethodDelete, "/api/subscriptions/"+made.ID, nil, nil)
	}, nil
}

// call makes one request of the API and decodes the answer into out, unless that
// is nil.
func (w waybill) call(ctx context.Context, method, path string, body []byte, out any) error {
	request, err := http.NewRequestWithContext(ctx, method, w.url+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if w.key != "" {
		request.Header.Set("Authorization", "Bearer "+w.key)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil {
		return err
	}
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s answered %s: %s", method, path, answer.Status, text)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(text, out)
}
