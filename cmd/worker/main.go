// Command worker stores what was accepted; run any number of it.
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
	status := app.Main(ctx, "worker", app.Roles{Worker: true}, os.Args[1:], os.Environ(), os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}
