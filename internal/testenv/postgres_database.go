package testenv

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// PostgresURL returns the URL of an empty database for this test alone: on the
// server that WAYBILL_TEST_POSTGRES_URL names, where it is dropped when the test
// ends, else on a server that all tests of this process share. Without one
// installed the test is skipped, or fails if WAYBILL_TEST_REQUIRE names postgres.
func PostgresURL(t testing.TB) string {
	t.Helper()
	if server := os.Getenv(envPostgres); server != "" {
		database, err := createDatabase(t.Context(), server)
		if err != nil {
			t.Fatalf("%s: %v", envPostgres, err)
		}
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			if err := dropDatabase(ctx, server, database); err != nil {
				t.Error(err)
			}
		})
		return database
	}
	server, err := sharedPostgres.get(t.Context())
	if err != nil {
		unavailable(t, "postgres", err)
	}
	database, err := server.NewDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return database
}

// sharedPostgres is the server that the tests of this process have in common.
var sharedPostgres shared

type shared struct {
	mu     sync.Mutex
	server *Postgres
	err    error // why there is none; asking again would only cost time
}

func (s *shared) get(ctx context.Context) (*Postgres, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server == nil && s.err == nil {
		s.server, s.err = StartPostgres(context.WithoutCancel(ctx), PostgresOptions{Fsync: true})
	}
	return s.server, s.err
}

func (s *shared) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server == nil {
		return nil
	}
	return s.server.Close()
}

// createDatabase makes a database with a name of its own on the server at
// serverURL and returns the database's URL.
func createDatabase(ctx context.Context, serverURL string) (string, error) {
	name := "waybill_test_" + strings.ToLower(rand.Text())
	database, err := withPath(serverURL, name)
	if err != nil {
		return "", err
	}
	return database, execute(ctx, serverURL, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize())
}

// dropDatabase drops the database at databaseURL, whoever is still connected.
func dropDatabase(ctx context.Context, serverURL, databaseURL string) error {
	u, err := url.Parse(databaseURL)
	if err != nil {
		return fmt.Errorf("parse URL: %w", err)
	}
	name := strings.TrimPrefix(u.Path, "/")
	return execute(ctx, serverURL, "DROP DATABASE IF EXISTS "+pgx.Identifier{name}.Sanitize()+" WITH (FORCE)")
}

func execute(ctx context.Context, serverURL, sql string) error {
	conn, err := pgx.Connect(ctx, serverURL)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	_, err = conn.Exec(ctx, sql)
	if err = errors.Join(err, conn.Close(ctx)); err != nil {
		return fmt.Errorf("%s: %w", sql, err)
	}
	return nil
}
