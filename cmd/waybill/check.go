package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/waybill-dev/waybill/internal/app"
	"github.com/waybill-dev/waybill/internal/config"
)

const configUsage = `Usage: waybill config check
Reads the environment and waybill.yaml as api and worker would, or as up would
if neither REDIS_URL nor DATABASE_URL is set. It connects to nothing.
`

// checkConfig runs waybill config.
func checkConfig(args, environment []string, out, errOut io.Writer) int {
	if len(args) != 1 || args[0] != "check" {
		fmt.Fprint(errOut, configUsage)
		return 2
	}
	if err := app.Check(environment, app.Processes(environment), out); err != nil {
		fmt.Fprintln(errOut, err)
		return 1
	}
	return 0
}

const healthcheckUsage = `Usage: waybill healthcheck [-live] [-url URL] [-timeout 3s]
Asks /readyz (with -live: /livez) at WAYBILL_OPS_LISTEN, and ends with 0 if the
answer is 200. A worker on its default address needs -url http://127.0.0.1:8082/readyz.
`

// healthcheck runs waybill healthcheck.
func healthcheck(ctx context.Context, args, environment []string, errOut io.Writer) int {
	flags := flag.NewFlagSet("waybill healthcheck", flag.ContinueOnError)
	flags.SetOutput(errOut)
	flags.Usage = func() { fmt.Fprint(errOut, healthcheckUsage) }
	live := flags.Bool("live", false, "")
	url := flags.String("url", "", "")
	timeout := flags.Duration("timeout", 3*time.Second, "")
	if err := flags.Parse(args); err != nil || flags.NArg() > 0 {
		return 2
	}
	return app.Report(errOut, "waybill healthcheck", func() error {
		if *url == "" {
			c, err := config.FromEnv(environment)
			if err != nil {
				return err
			}
			*url = app.HealthURL(c, *live)
		}
		ctx, cancel := context.WithTimeout(ctx, *timeout)
		defer cancel()
		return app.CheckHealth(ctx, *url)
	})
}
