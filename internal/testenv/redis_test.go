package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

func redisClient(t *testing.T, url string) *redis.Client {
	t.Helper()
	o, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	o.MaxRetries = -1
	o.ReadTimeout = 300 * time.Millisecond
	o.ContextTimeoutEnabled = true
	c := redis.NewClient(o)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestRedis_KilledKeepsWhatItAcknowledged(t *testing.T) {
	t.Parallel()
	r := NewRedis(t)
	c := redisClient(t, r.URL())
	for i := range 50 {
		if err := c.Set(t.Context(), fmt.Sprint("k", i), i, 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	first := r.PID()
	if err := r.Kill(); err != nil {
		t.Fatal(err)
	}
	if pid := r.PID(); pid != 0 {
		t.Errorf("PID after Kill = %d, want 0", pid)
	}
	if err := c.Ping(t.Context()).Err(); err == nil {
		t.Fatal("a killed server answers")
	}
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := c.DBSize(t.Context()).Val(); n != 50 {
		t.Errorf("%d keys after the restart, want 50", n)
	}
	if r.PID() == first || r.PID() == 0 {
		t.Errorf("PID after the restart = %d, was %d", r.PID(), first)
	}
}

func TestRedis_StoppedWithoutAppendOnlyFileForgets(t *testing.T) {
	t.Parallel()
	r, err := StartRedis(t.Context(), RedisOptions{AppendFsync: "no"})
	if err != nil {
		unavailable(t, "redis", err)
	}
	closeAfter(t, &r.server)
	c := redisClient(t, r.URL())
	if err := c.Set(t.Context(), "k", 1, 0).Err(); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(r.Stop(), r.Start(t.Context())); err != nil {
		t.Fatal(err)
	}
	if n := c.DBSize(t.Context()).Val(); n != 0 {
		t.Errorf("%d keys after the restart, want none", n)
	}
}

func TestRedis_PausedBlocksAndResumes(t *testing.T) {
	t.Parallel()
	r := NewRedis(t)
	c := redisClient(t, r.URL())
	if err := errors.Join(c.Ping(t.Context()).Err(), r.Pause()); err != nil {
		t.Fatal(err)
	}
	if err := c.Ping(t.Context()).Err(); !os.IsTimeout(err) {
		t.Fatalf("PING of a paused server: %v, want a timeout", err)
	}
	if err := r.Resume(); err != nil {
		t.Fatal(err)
	}
	Eventually(t, 5*time.Second, "a resumed server answers", func() error { return c.Ping(t.Context()).Err() })
	if err := errors.Join(r.Pause(), r.Stop(), r.Start(t.Context())); err != nil {
		t.Errorf("stop a paused server and start it: %v", err)
	}
}

func TestRedis_CloseEndsItAndRemovesItsDirectory(t *testing.T) {
	t.Parallel()
	r := NewRedis(t)
	pid := r.PID()
	if err := errors.Join(r.Close(), r.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := processState(pid); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("state of process %d: %v, want none", pid, err)
	}
	if _, err := os.Stat(r.scratch.path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("directory after Close: %v", err)
	}
	if err := r.Start(t.Context()); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Start after Close: %v, want os.ErrClosed", err)
	}
}

func TestStartRedis_ReportsWhyItDoesNotStart(t *testing.T) {
	t.Parallel()
	first := NewRedis(t)
	tests := map[string]RedisOptions{
		"bad argument": {Extra: []string{"--no-such-setting", "1"}},
		"port taken":   {Port: first.port},
	}
	for name, o := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := StartRedis(t.Context(), o)
			if err == nil {
				t.Fatal(errors.Join(errors.New("it started"), r.Close()))
			}
			t.Log(err)
		})
	}
}

func TestRedisURL_EachTestHasAnEmptyDatabase(t *testing.T) {
	t.Parallel()
	urls := []string{RedisURL(t), RedisURL(t)}
	for _, url := range urls {
		if err := redisClient(t, url).SetNX(t.Context(), "mine", 1, 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for _, url := range urls {
		if n := redisClient(t, url).DBSize(t.Context()).Val(); n != 1 {
			t.Errorf("%d keys in %s, want the 1 set there", n, url)
		}
	}
}

func TestClaimDatabase_SharesAServer(t *testing.T) {
	t.Parallel()
	r := NewRedis(t)
	var cleanups []func()
	urls := []string{r.URL()}
	for range 2 {
		url, err := claimDatabase(&spy{TB: t, cleanups: &cleanups}, r.URL())
		if err != nil {
			t.Fatal(err)
		}
		urls = append(urls, url)
		if n, err := redisClient(t, url).Incr(t.Context(), "n").Result(); n != 1 || err != nil {
			t.Errorf("%s counted to %d, %v; want 1", url, n, err)
		}
	}
	for _, f := range cleanups {
		f()
	}
	for _, url := range urls {
		if n, err := redisClient(t, url).DBSize(t.Context()).Result(); n != 0 || err != nil {
			t.Errorf("%d keys left in %s, %v; want none", n, url, err)
		}
	}
}

func TestClaim_WaitsForAFreeDatabase(t *testing.T) {
	t.Parallel()
	r, err := StartRedis(t.Context(), RedisOptions{Extra: []string{"--databases", "2"}})
	if err != nil {
		unavailable(t, "redis", err)
	}
	closeAfter(t, &r.server)
	admin := redisClient(t, r.URL())
	if db, err := claim(t.Context(), admin, "first"); db != 1 || err != nil {
		t.Fatalf("first claim: %d, %v; want 1", db, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if db, err := claim(ctx, admin, "second"); err == nil {
		t.Errorf("the second claim got %d too", db)
	}
	if err := admin.Del(t.Context(), claimKey(1)).Err(); err != nil {
		t.Fatal(err)
	}
	if db, err := claim(t.Context(), admin, "third"); db != 1 || err != nil {
		t.Errorf("claim after the release: %d, %v; want 1", db, err)
	}
}

func TestStartMini_LetsTimePass(t *testing.T) {
	t.Parallel()
	c := redisClient(t, startMini(t))
	if err := c.Set(t.Context(), "k", 1, 100*time.Millisecond).Err(); err != nil {
		t.Fatal(err)
	}
	Eventually(t, 5*time.Second, "the key expires", func() error {
		if n := c.Exists(t.Context(), "k").Val(); n != 0 {
			return errors.New("it is still there")
		}
		return nil
	})
}
