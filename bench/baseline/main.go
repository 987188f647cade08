// Command baseline is what Waybill is measured against: the handler that
// enqueues nothing, and the service that everyone writes first, with a task a
// write and an INSERT a task. It is what such a service would be and no more;
// whatever makes it faster without changing what it does is a flag.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

// queueName is where the tasks of this service wait. bench knows it too.
const queueName = "baseline"

// settings are the flags.
type settings struct {
	listen   string
	redis    string
	database string

	pool     int  // connections to Redis
	pipeline bool // go-redis's AutoPipeline: concurrent commands share a round trip

	servers     int // asynq servers in the worker, each with a loop that dequeues
	concurrency int // tasks in hand at once, of each server
	check       time.Duration
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "baseline:", err)
		os.Exit(1)
	}
}

// run runs the role that the first argument names.
func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("usage: baseline bare|enqueue|worker [flags]")
	}
	var s settings
	flags := flag.NewFlagSet("baseline", flag.ContinueOnError)
	flags.StringVar(&s.listen, "listen", "127.0.0.1:8080", "address of the API (bare, enqueue)")
	flags.StringVar(&s.redis, "redis", "redis://127.0.0.1:6379/0", "Redis (enqueue, worker)")
	flags.StringVar(&s.database, "database", "", "PostgreSQL (worker)")
	flags.IntVar(&s.pool, "pool", 64, "connections to Redis")
	flags.BoolVar(&s.pipeline, "pipeline", false, "let concurrent commands to Redis share a round trip (enqueue)")
	flags.IntVar(&s.servers, "servers", 1, "asynq servers (worker)")
	flags.IntVar(&s.concurrency, "concurrency", 10, "tasks at once in each server (worker)")
	flags.DurationVar(&s.check, "check", 5*time.Millisecond, "asynq's TaskCheckInterval (worker)")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	switch args[0] {
	case "bare":
		return serve(ctx, s.listen, newService(enqueueNothing))
	case "enqueue":
		return s.runEnqueue(ctx)
	case "worker":
		return s.runWorker(ctx)
	}
	return fmt.Errorf("unknown role %q", args[0])
}

func (s *settings) connectRedis() (*redis.Client, error) {
	o, err := redis.ParseURL(s.redis)
	if err != nil {
		return nil, fmt.Errorf("redis URL: %w", err)
	}
	o.PoolSize = s.pool
	return redis.NewClient(o), nil
}

// serve serves h until ctx ends.
func serve(ctx context.Context, address string, h http.Handler) error {
	server := &http.Server{Addr: address, Handler: h, ReadHeaderTimeout: 10 * time.Second}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}
