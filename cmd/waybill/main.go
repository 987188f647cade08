// Command waybill is Waybill in one process (up), and its tools.
package main

import (
	"context"
	"errors"
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
	os.Exit(run(ctx, os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr))
}

const usage = `Usage: waybill <command>

Commands:
  up            everything in one process, with nothing installed
  keys          make, list and revoke API keys
  users         make, list and change users
  config check  say what is wrong with the settings and waybill.yaml, or what would be used
  healthcheck   ask the process beside this one whether it is ready (-live: whether it lives)
  version       print the version

`

// run runs the command that args name, and returns the exit status.
func run(ctx context.Context, args, environment []string, in io.Reader, out, errOut io.Writer) int {
	if len(args) > 0 && (args[0] == "keys" || args[0] == "users") {
		return manage(ctx, args, environment, in, out, errOut)
	}
	if len(args) > 0 && args[0] == "config" {
		return checkConfig(args[1:], environment, out, errOut)
	}
	if len(args) > 0 && args[0] == "healthcheck" {
		return healthcheck(ctx, args[1:], environment, errOut)
	}
	if len(args) != 1 {
		fmt.Fprint(errOut, usage, "Settings (environment):\n", config.Usage())
		return 2
	}
	switch args[0] {
	case "up":
		return app.Report(errOut, "waybill up", func() error { return up(ctx, environment, out, errOut) })
	case "version", "-version", "--version":
		fmt.Fprintln(out, app.VersionLine())
		return 0
	case "help", "-h", "-help", "--help":
		fmt.Fprint(out, usage, "Settings (environment):\n", config.Usage())
		return 0
	}
	fmt.Fprintf(errOut, "waybill: unknown command %q\n\n%s", args[0], usage)
	return 2
}

// misuse is a command line that asks for nothing that there is.
type misuse struct{ usage, reason string }

func (m misuse) Error() string { return m.reason }

func misused(usage, reason string) error { return misuse{usage, reason} }

// manage runs the commands that work on the database alone.
func manage(ctx context.Context, args, environment []string, in io.Reader, out, errOut io.Writer) int {
	usage := map[string]string{"keys": keysUsage, "users": usersUsage}[args[0]]
	if len(args) == 1 || args[1] == "help" || args[1] == "-h" || args[1] == "--help" {
		fmt.Fprint(out, usage)
		return 0
	}
	do, err := map[string]func([]string, io.Reader, io.Writer) (job, error){"keys": keys, "users": users}[args[0]](args[1:], in, out)
	if err == nil {
		err = withOperator(ctx, environment, errOut, do)
	}
	if wrong, ok := errors.AsType[misuse](err); ok {
		if wrong.reason != "" {
			fmt.Fprintf(errOut, "waybill %s: %s\n\n", args[0], wrong.reason)
		}
		fmt.Fprint(errOut, usage)
		return 2
	}
	return app.Report(errOut, "waybill "+args[0], func() error { return err })
}

func withOperator(ctx context.Context, environment []string, errOut io.Writer, do job) (err error) {
	c, log, err := app.Settings(append([]string{"WAYBILL_LOG_LEVEL=warn"}, environment...), errOut)
	if err != nil {
		return err
	}
	o, err := app.NewOperator(ctx, c, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.Close()) }()
	return do(ctx, o)
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
