package app

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"

	"github.com/waybill-dev/waybill/internal/config"
	"github.com/waybill-dev/waybill/internal/telemetry"
)

// Main is the command of a process with fixed roles: it reads args, which may
// only ask for help or the version, and the environment, and runs until ctx
// ends. It returns the exit status.
func Main(ctx context.Context, name string, roles Roles, args, environment []string, out, errOut io.Writer) int {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(errOut)
	showVersion := flags.Bool("version", false, "print the version and exit")
	flags.Usage = func() {
		fmt.Fprintf(errOut, "Usage: %s\n\nEverything is set by the environment:\n\n%s", name, config.Usage())
	}
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if *showVersion {
		fmt.Fprintln(out, VersionLine())
		return 0
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(errOut, "%s: unexpected argument %q\n", name, flags.Arg(0))
		return 2
	}
	return Report(errOut, name, func() error {
		c, log, err := Settings(environment, errOut)
		if err != nil {
			return err
		}
		a, err := New(c, roles, log)
		if err != nil {
			return err
		}
		return a.Run(ctx)
	})
}

// Settings reads the environment and makes the logger that it asks for.
func Settings(environment []string, errOut io.Writer) (config.Config, *slog.Logger, error) {
	c, err := config.FromEnv(environment)
	if err != nil {
		return c, nil, err
	}
	log, err := newLogger(c, errOut)
	return c, log, err
}

func newLogger(c config.Config, errOut io.Writer) (*slog.Logger, error) {
	log, err := telemetry.NewLogger(errOut, c.LogLevel, c.LogFormat)
	if err != nil {
		return nil, fmt.Errorf("WAYBILL_LOG_LEVEL and WAYBILL_LOG_FORMAT: %w", err)
	}
	return log, nil
}

// Report runs what a command does, tells its error, and returns the exit status.
func Report(errOut io.Writer, name string, run func() error) int {
	if err := run(); err != nil {
		fmt.Fprintf(errOut, "%s: %v\n", name, err)
		return 1
	}
	return 0
}
