package testenv

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// RedisURL returns the URL of an empty Redis database for this test alone: on
// the server that WAYBILL_TEST_REDIS_URL names (where Pub/Sub channels and
// CONFIG are shared with others), else on a redis-server of its own, else on
// miniredis, which the test's log then says.
func RedisURL(t testing.TB) string {
	t.Helper()
	if url := os.Getenv(envRedis); url != "" {
		claimed, err := claimDatabase(t, url)
		if err != nil {
			t.Fatalf("%s: %v", envRedis, err)
		}
		return claimed
	}
	r, err := StartRedis(t.Context(), RedisOptions{})
	switch {
	case err == nil:
		closeAfter(t, &r.server)
		return r.URL()
	case errors.Is(err, ErrNotInstalled) && !required("redis"):
		t.Logf("on miniredis, in memory: %v", err)
		return startMini(t)
	default:
		t.Fatalf("redis: %v", err)
		return ""
	}
}

// startMini runs a miniredis in which time passes: by itself it expires nothing.
func startMini(t testing.TB) string {
	t.Helper()
	m := miniredis.RunT(t)
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		last := time.Now()
		for {
			select {
			case <-stop:
				return
			case now := <-tick.C:
				m.FastForward(now.Sub(last))
				last = now
			}
		}
	}()
	t.Cleanup(func() { close(stop); <-done })
	return "redis://" + m.Addr() + "/0"
}

// A claim is a key in database 0 that expires unless its test renews it.
const (
	claimFor   = 30 * time.Second
	claimRenew = 5 * time.Second
	claimWait  = 5 * time.Minute // there are 15 databases by default, for all tests that run
)

// claimDatabase finds a database of the server at url that no other test uses,
// empties it, and gives it back when the test ends.
func claimDatabase(t testing.TB, url string) (string, error) {
	t.Helper()
	o, err := redis.ParseURL(url)
	if err != nil {
		return "", fmt.Errorf("parse URL: %w", err)
	}
	o.DB = 0
	admin := redis.NewClient(o)
	ctx, cancel := context.WithTimeout(context.Background(), claimWait)
	defer cancel()
	token := rand.Text()
	db, err := claim(ctx, admin, token)
	if err == nil {
		err = flush(ctx, o, db)
	}
	if err != nil {
		return "", errors.Join(err, admin.Close())
	}
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		renew(admin, db, stop)
	}()
	t.Cleanup(func() {
		close(stop)
		<-done
		ctx, cancel := context.WithTimeout(context.Background(), claimFor)
		defer cancel()
		err := errors.Join(flush(ctx, o, db), admin.Del(ctx, claimKey(db)).Err(), admin.Close())
		if err != nil {
			t.Errorf("give back Redis database %d: %v", db, err)
		}
	})
	return withPath(url, strconv.Itoa(db))
}

// claim returns the number of a database above 0 that is now ours; it waits for
// one to become free.
func claim(ctx context.Context, admin *redis.Client, token string) (int, error) {
	count := 16
	if reply, err := admin.ConfigGet(ctx, "databases").Result(); err == nil {
		if n, err := strconv.Atoi(reply["databases"]); err == nil {
			count = n
		}
	}
	var found int
	err := poll(ctx, func() error {
		for db := 1; db < count; db++ {
			ok, err := admin.SetNX(ctx, claimKey(db), token, claimFor).Result()
			if err != nil {
				return permanent{fmt.Errorf("claim a database: %w", err)}
			}
			if ok {
				found = db
				return nil
			}
		}
		return fmt.Errorf("all %d databases are in use", count-1)
	})
	return found, err
}

// renew keeps the claim on db until stop. A renewal that fails is not the end:
// several fit into one term.
func renew(admin *redis.Client, db int, stop <-chan struct{}) {
	tick := time.NewTicker(claimRenew)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			ctx, cancel := context.WithTimeout(context.Background(), claimRenew)
			_ = admin.Expire(ctx, claimKey(db), claimFor).Err()
			cancel()
		}
	}
}

func flush(ctx context.Context, o *redis.Options, db int) error {
	mine := *o
	mine.DB = db
	client := redis.NewClient(&mine)
	if err := errors.Join(client.FlushDB(ctx).Err(), client.Close()); err != nil {
		return fmt.Errorf("empty database %d: %w", db, err)
	}
	return nil
}

func claimKey(db int) string { return "waybill:testenv:claim:" + strconv.Itoa(db) }
