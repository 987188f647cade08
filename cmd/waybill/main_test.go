package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/waybill-dev/waybill/internal/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }

// databases are the URLs of an empty database of each kind.
func databases(t *testing.T) map[string]string {
	t.Helper()
	return map[string]string{"SQLite": "sqlite:" + filepath.Join(t.TempDir(), "waybill.db"), "Postgres": testenv.PostgresURL(t)}
}

// command runs a command on a database, as main does.
func command(t *testing.T, database, in string, args ...string) (status int, out, errOut string) {
	t.Helper()
	var o, e bytes.Buffer
	status = run(t.Context(), args, []string{"DATABASE_URL=" + database}, strings.NewReader(in), &o, &e)
	return status, o.String(), e.String()
}

// ok runs a command that must succeed, and returns what it prints.
func ok(t *testing.T, database, in string, args ...string) string {
	t.Helper()
	status, out, errOut := command(t, database, in, args...)
	if status != 0 || errOut != "" {
		t.Fatalf("%q: %d %s", args, status, errOut)
	}
	return strings.TrimSpace(out)
}

// wantList checks what a list says.
func wantList(t *testing.T, list string, has []string, hasNot ...string) {
	t.Helper()
	for _, want := range has {
		if !strings.Contains(list, want) {
			t.Errorf("%q is missing in\n%s", want, list)
		}
	}
	for _, bad := range hasNot {
		if strings.Contains(list, bad) {
			t.Errorf("%q is in\n%s", bad, list)
		}
	}
}

func TestKeys_CreateListRevoke(t *testing.T) {
	t.Parallel()
	for kind, database := range databases(t) {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			key := ok(t, database, "", "keys", "create", "-name", "ci", "-scopes", "records:read,queues", "-collections", "messages", "-expires", "720h")
			parts := strings.SplitN(key, "_", 3)
			if len(parts) != 3 || parts[0] != "wb" {
				t.Fatalf("it printed %q", key)
			}
			ok(t, database, "", "keys", "create", "-name", "other", "-scopes", "admin", "-tenant", "acme")
			wantList(t, ok(t, database, "", "keys", "list"), []string{parts[1], "ci", "records:read,queues", "messages"}, "other", parts[2])
			wantList(t, ok(t, database, "", "keys", "list", "-tenant", "acme"), []string{"other", "all"}, "ci")
			if status, _, _ := command(t, database, "", "keys", "revoke", "-tenant", "acme", parts[1]); status != 1 {
				t.Errorf("a key of another tenant was revoked: %d", status)
			}
			ok(t, database, "", "keys", "revoke", parts[1])
			if status, _, _ := command(t, database, "", "keys", "revoke", parts[1]); status != 1 {
				t.Errorf("it was revoked twice: %d", status)
			}
		})
	}
}

func TestUsers_CreateAndChange(t *testing.T) {
	t.Parallel()
	const good = "correct horse battery staple"
	for kind, database := range databases(t) {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			id := ok(t, database, good+"\r\n", "users", "create", "-role", "admin", "Ada@example.com")
			wantList(t, ok(t, database, "", "users", "list"), []string{id, "Ada@example.com", "admin", "no"}, good)
			ok(t, database, "", "users", "role", "ada@EXAMPLE.com", "member")
			wantList(t, ok(t, database, "", "users", "list"), []string{"member"}, "admin")
			ok(t, database, "", "users", "disable", "ada@example.com")
			wantList(t, ok(t, database, "", "users", "list"), nil, " no ")
			ok(t, database, "", "users", "enable", "ada@example.com")
			ok(t, database, "another good password", "users", "password", "ada@example.com")
			ok(t, database, "", "users", "move", "ada@example.com", "acme")
			wantList(t, ok(t, database, "", "users", "list"), nil, id)
			wantList(t, ok(t, database, "", "users", "list", "-tenant", "acme"), []string{id})
			for _, c := range [][]string{
				{good, "create", "ADA@example.com"}, {"short", "create", "bob@example.com"}, {"", "create", "bob@example.com"},
				{good, "create", "-role", "king", "bob@example.com"}, {good, "create", "-tenant", "other", "-role", "platform", "bob@example.com"},
				{"", "role", "ada@example.com", "king"}, {"", "disable", "bob@example.com"}, {"short", "password", "ada@example.com"},
			} {
				if status, out, errOut := command(t, database, c[0], append([]string{"users"}, c[1:]...)...); status != 1 || out != "" || errOut == "" {
					t.Errorf("%q: %d %q %q", c, status, out, errOut)
				}
			}
			wantList(t, ok(t, database, "", "users", "list"), nil, "bob")
		})
	}
}

func TestManage_WrongUsageTouchesNothing(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "waybill.db")
	for _, line := range []string{
		"keys make", "keys create", "keys create -name x", "keys create -scopes admin", "keys create -name x -scopes admin y",
		"keys list x", "keys list -name x", "keys revoke", "keys revoke x y", "keys revoke -expires 1h x", "keys create -name x -scopes admin -expires soon",
		"users make", "users create", "users create a b", "users list x", "users role a@example.com", "users disable", "users disable -role admin a@example.com",
		"users move a@example.com", "users password", "users enable -x a@example.com",
	} {
		status, out, errOut := command(t, "sqlite:"+file, "", strings.Fields(line)...)
		if status != 2 || out != "" || !strings.Contains(errOut, "Usage: waybill "+strings.Fields(line)[0]) {
			t.Errorf("%s: %d %q %q", line, status, out, errOut)
		}
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("there is a database now")
	}
}

func TestPrintable_LeavesTheTerminalAlone(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"a name, ä 日本": "a name, ä 日本", "a\x1b[2Jb": "a\uFFFD[2Jb", "a\u009bb": "a\uFFFDb", "a\u202eb": "a\uFFFDb", "a\nb\tc\rd": "a\uFFFDb\uFFFDc\uFFFDd", "a\x7f": "a\uFFFD",
	} {
		if got := printable(given); got != want {
			t.Errorf("printable(%q) = %q, want %q", given, got, want)
		}
	}
}
