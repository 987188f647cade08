package testenv

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// PostgresOptions says what StartPostgres starts.
type PostgresOptions struct {
	Dir      string            // where its files go; "" = a temporary one, removed by Close
	Port     int               // 0 = a free one
	Fsync    bool              // false survives every kill, not a power cut; figures need true
	Settings map[string]string // further server settings: "max_connections": "20"
}

// Postgres is a PostgreSQL server on the loopback that trusts everyone there.
type Postgres struct{ server }

// StartPostgres makes a database cluster in o.Dir unless there is one, starts a
// server on it and returns when it answers. ctx bounds the start alone. Its
// errors wrap ErrNotInstalled where there is no PostgreSQL. As root, the server
// runs as the user postgres (else nobody), to whom o.Dir is given and who must be
// able to reach it.
func StartPostgres(ctx context.Context, o PostgresOptions) (*Postgres, error) {
	bin, err := postgresBin()
	if err != nil {
		return nil, err
	}
	owner, err := serverUser()
	if err != nil {
		return nil, err
	}
	dir, err := newScratch(o.Dir)
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir.path, "data")
	if err := initCluster(ctx, bin, data, owner); err != nil {
		return nil, errors.Join(err, dir.remove())
	}
	p := &Postgres{server{name: "PostgreSQL", scratch: dir, stop: syscall.SIGINT}} // SIGTERM would wait for clients
	p.command = func(port int) command {
		return command{path: filepath.Join(bin, "postgres"), args: postgresArgs(o, data, port), dir: dir.path,
			user: owner, deathsig: syscall.SIGQUIT} // ends its children and frees shared memory too
	}
	p.ready = func(ctx context.Context, _ int) error { return postgresReady(ctx, postgresURL(p.addr()), data) }
	if err := p.open(ctx, o.Port); err != nil {
		return nil, err
	}
	return p, nil
}

// URL returns the postgres:// URL of the server's database "postgres".
func (p *Postgres) URL() string { return postgresURL(p.Addr()) }

// NewDatabase makes an empty database and returns its URL.
func (p *Postgres) NewDatabase(ctx context.Context) (url string, err error) {
	return createDatabase(ctx, p.URL())
}

// NewPostgres starts a PostgreSQL for this test alone, which the test may kill,
// pause and start again. Without one installed the test is skipped, or fails if
// WAYBILL_TEST_REQUIRE names postgres.
func NewPostgres(t testing.TB) *Postgres {
	t.Helper()
	p, err := StartPostgres(t.Context(), PostgresOptions{Fsync: true})
	if err != nil {
		unavailable(t, "postgres", err)
	}
	closeAfter(t, &p.server)
	return p
}

func postgresURL(addr string) string {
	return "postgres://postgres@" + addr + "/postgres?sslmode=disable"
}

func postgresArgs(o PostgresOptions, data string, port int) []string {
	settings := map[string]string{
		"listen_addresses":        "127.0.0.1",
		"port":                    strconv.Itoa(port),
		"unix_socket_directories": "", // their paths may be too long, and nobody needs them
		"fsync":                   "off",
		"max_connections":         "200",
	}
	if o.Fsync {
		settings["fsync"] = "on"
	}
	maps.Copy(settings, o.Settings)
	args := []string{"-D", data}
	for k, v := range settings {
		args = append(args, "-c", k+"="+v)
	}
	return args
}

// postgresReady connects and compares the data directory: another test's server
// may have taken the port while ours was starting.
func postgresReady(ctx context.Context, url, data string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	var serves string
	if err := conn.QueryRow(ctx, "SHOW data_directory").Scan(&serves); err != nil {
		return err
	}
	if serves != data {
		return fmt.Errorf("the server on this port has its data in %s, not in %s", serves, data)
	}
	return nil
}

// initCluster runs initdb, unless data holds a cluster already.
func initCluster(ctx context.Context, bin, data string, owner *syscall.Credential) error {
	if _, err := os.Stat(filepath.Join(data, "PG_VERSION")); err == nil {
		return nil
	}
	if err := os.MkdirAll(data, 0o700); err != nil {
		return fmt.Errorf("database cluster: %w", err)
	}
	if owner != nil {
		for _, path := range []string{filepath.Dir(data), data} {
			if err := os.Chown(path, int(owner.Uid), int(owner.Gid)); err != nil {
				return fmt.Errorf("database cluster: %w", err)
			}
		}
	}
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "-D", data, "-U", "postgres",
		"--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
	cmd.Dir, cmd.Env = filepath.Dir(data), plainEnv()
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: owner}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return nil
}

// serverUser returns as whom to run PostgreSQL, which refuses to be root; nil
// means as ourselves.
func serverUser() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, errUID := strconv.ParseUint(u.Uid, 10, 32)
		gid, errGID := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(errUID, errGID); err != nil {
			return nil, fmt.Errorf("user %s: %w", name, err)
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New("PostgreSQL does not run as root, and there is no user postgres or nobody")
}

// postgresBin returns the directory that has both postgres and initdb: from
// PATH, or Debian's newest. A lone postgres on PATH is often a wrapper.
func postgresBin() (string, error) {
	dirs := filepath.SplitList(os.Getenv("PATH"))
	debian, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	slices.SortFunc(debian, func(a, b string) int { return cmp.Compare(version(b), version(a)) })
	for _, dir := range append(dirs, debian...) {
		if filepath.IsAbs(dir) && executable(filepath.Join(dir, "initdb")) && executable(filepath.Join(dir, "postgres")) {
			return dir, nil
		}
	}
	return "", fmt.Errorf("initdb and postgres: %w", ErrNotInstalled)
}

// version reads the number in /usr/lib/postgresql/15/bin.
func version(bin string) float64 {
	v, _ := strconv.ParseFloat(filepath.Base(filepath.Dir(bin)), 64)
	return v
}
