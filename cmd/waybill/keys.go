package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/waybill-dev/waybill/internal/app"
	"github.com/waybill-dev/waybill/internal/auth"
	"github.com/waybill-dev/waybill/internal/record"
)

const keysUsage = `Usage: waybill keys <command>

  create -name NAME -scopes SCOPES [-tenant TENANT] [-collections NAMES] [-expires 720h]
         SCOPES: records:read, records:write, subscriptions, deliveries, queues,
         admin (of the tenant), platform (of all tenants), separated by commas
  list   [-tenant TENANT]
  revoke [-tenant TENANT] ID

They work on DATABASE_URL, by default on the database of waybill up.
`

// job is what a command line asks for.
type job func(ctx context.Context, o *app.Operator) error

// keys reads what follows waybill keys.
func keys(args []string, _ io.Reader, out io.Writer) (job, error) {
	flags := flag.NewFlagSet("waybill keys "+args[0], flag.ContinueOnError)
	flags.SetOutput(io.Discard) // what is wrong is in the error
	tenant := flags.String("tenant", record.DefaultTenant, "")
	var name, scopes, collections string
	var expires time.Duration
	if args[0] == "create" {
		flags.StringVar(&name, "name", "", "")
		flags.StringVar(&scopes, "scopes", "", "")
		flags.StringVar(&collections, "collections", "", "")
		flags.DurationVar(&expires, "expires", 0, "")
	}
	if err := flags.Parse(args[1:]); err != nil {
		return nil, misused(keysUsage, err.Error())
	}
	switch {
	case args[0] == "create" && (name == "" || scopes == ""):
		return nil, misused(keysUsage, "-name and -scopes are needed")
	case args[0] == "create" && flags.NArg() == 0:
		k := auth.NewKey{Name: name, Scopes: list(scopes), Collections: list(collections)}
		if expires != 0 {
			k.ExpiresAt = time.Now().Add(expires)
		}
		return func(ctx context.Context, o *app.Operator) error {
			_, text, err := o.CreateKey(ctx, *tenant, k)
			if err == nil {
				fmt.Fprintln(out, text)
			}
			return err
		}, nil
	case args[0] == "list" && flags.NArg() == 0:
		return func(ctx context.Context, o *app.Operator) error { return listKeys(ctx, o, *tenant, out) }, nil
	case args[0] == "revoke" && flags.NArg() == 1:
		return func(ctx context.Context, o *app.Operator) error { return o.RevokeKey(ctx, *tenant, flags.Arg(0)) }, nil
	}
	return nil, misused(keysUsage, "")
}

func listKeys(ctx context.Context, o *app.Operator, tenant string, out io.Writer) error {
	keys, err := o.Keys(ctx, tenant)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tNAME\tSCOPES\tCOLLECTIONS\tCREATED\tEXPIRES\tLAST USED")
	for _, k := range keys {
		scopes := make([]string, len(k.Scopes))
		for i, s := range k.Scopes {
			scopes[i] = string(s)
		}
		collections := strings.Join(k.Collections, ",")
		if collections == "" {
			collections = "all"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", k.ID, printable(k.Name), strings.Join(scopes, ","), collections, moment(k.CreatedAt), moment(k.ExpiresAt), moment(k.LastUsedAt))
	}
	return table.Flush()
}

// list splits what commas separate.
func list(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, ",")
}

func moment(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.Format(time.RFC3339)
}

// printable is text that a client chose, safe for a terminal: without what controls
// it, and what turns the direction of writing around.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '\uFFFD'
		}
		return r
	}, text)
}
