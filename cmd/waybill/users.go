package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/waybill-dev/waybill/internal/app"
	"github.com/waybill-dev/waybill/internal/auth"
	"github.com/waybill-dev/waybill/internal/record"
)

const usersUsage = `Usage: waybill users <command>

  create   [-tenant TENANT] [-role member|admin|platform] EMAIL     reads the password from standard input
  list     [-tenant TENANT]
  role     EMAIL ROLE
  disable  EMAIL
  enable   EMAIL
  move     EMAIL TENANT
  password EMAIL                                                    reads it from standard input

They work on DATABASE_URL, by default on the database of waybill up.
`

// users reads what follows waybill users.
func users(args []string, in io.Reader, out io.Writer) (job, error) {
	flags := flag.NewFlagSet("waybill users "+args[0], flag.ContinueOnError)
	flags.SetOutput(io.Discard) // what is wrong is in the error
	tenant, role := record.DefaultTenant, "member"
	if args[0] == "create" || args[0] == "list" {
		flags.StringVar(&tenant, "tenant", tenant, "")
	}
	if args[0] == "create" {
		flags.StringVar(&role, "role", role, "")
	}
	if err := flags.Parse(args[1:]); err != nil {
		return nil, misused(usersUsage, err.Error())
	}
	email, value := flags.Arg(0), flags.Arg(1)
	var change auth.UserChange
	switch fmt.Sprint(args[0], flags.NArg()) {
	case "create1":
		password, err := readPassword(in)
		return func(ctx context.Context, o *app.Operator) error {
			u, err := o.CreateUser(ctx, auth.NewUser{Tenant: tenant, Email: email, Password: password, Role: role})
			if err == nil {
				fmt.Fprintln(out, u.ID)
			}
			return err
		}, err
	case "list0":
		return func(ctx context.Context, o *app.Operator) error { return listUsers(ctx, o, tenant, out) }, nil
	case "role2":
		change.Role = &value
	case "disable1":
		change.Disabled = new(true)
	case "enable1":
		change.Disabled = new(false)
	case "move2":
		change.Tenant = &value
	case "password1":
		password, err := readPassword(in)
		if err != nil {
			return nil, err
		}
		change.Password = &password
	default:
		return nil, misused(usersUsage, "")
	}
	return func(ctx context.Context, o *app.Operator) error {
		_, err := o.UpdateUser(ctx, email, change)
		return err
	}, nil
}

// readPassword reads one line: an argument could be seen by others.
func readPassword(in io.Reader) (string, error) {
	line, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read the password: %w", err)
	}
	return strings.TrimRight(line, "\r\n"), nil
}

func listUsers(ctx context.Context, o *app.Operator, tenant string, out io.Writer) error {
	users, err := o.Users(ctx, tenant)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tEMAIL\tROLE\tDISABLED\tCREATED\tLAST LOGIN")
	for _, u := range users {
		disabled := "no"
		if !u.DisabledAt.IsZero() {
			disabled = moment(u.DisabledAt)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", u.ID, printable(u.Email), u.Role, disabled, moment(u.CreatedAt), moment(u.LastLoginAt))
	}
	return table.Flush()
}
