// Command api accepts writes and answers reads; run any number of it.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/waybill-dev/waybill/internal/app"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := app.Main(ctx, "api", app.Roles{API: true}, os.Args[1:], os.Environ(), os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}
