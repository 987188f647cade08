// Command waybill is Waybill in one process (up), and its tools.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/waybill-dev/waybill/internal/app"
	"github.com/waybill-dev/waybill/internal/config"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	go func() {
		<-ctx.Done()
		stop() // a second Ctrl-C ends us at once
	}()
	os.Exit(run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

const usage = `Usage: waybill <command>

Commands:
  up        everything in one process, with nothing installed
  version   print the version

`

// run runs the command that args name, and returns the exit status.
func run(ctx context.Context, args, environment []string, out, errOut io.Writer) int {
	if len(args) != 1 {
		fmt.Fprint(errOut, usage, "Settings (environment):\n", config.Usage())
		return 2
	}
	switch args[0] {
	case "up":
		return app.Report(errOut, "waybill up", func() error { return up(ctx, environment, out, errOut) })
	case "version", "-version", "--version":
		fmt.Fprintln(out, app.Version())
		return 0
	case "help", "-h", "-help", "--help":
		fmt.Fprint(out, usage, "Settings (environment):\n", config.Usage())
		return 0
	}
	fmt.Fprintf(errOut, "waybill: unknown command %q\n\n%s", args[0], usage)
	return 2
}

// up runs everything in one process. Its log has warnings alone unless the
// environment says otherwise: what a person wants to know is printed.
func up(ctx context.Context, environment []string, out, errOut io.Writer) error {
	c, log, err := app.Settings(append([]string{"WAYBILL_LOG_LEVEL=warn"}, environment...), errOut)
	if err != nil {
		return err
	}
	u, err := app.NewUp(ctx, c, log)
	if err != nil {
		return err
	}
	return u.Run(ctx, out)
}
