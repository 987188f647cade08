package accept

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/waybill-dev/waybill/internal/record"
	"github.com/waybill-dev/waybill/internal/testenv"
)

func client(t testing.TB, url string) *redis.Client {
	t.Helper()
	o, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	rc := redis.NewClient(o)
	t.Cleanup(func() { _ = rc.Close() })
	return rc
}

func draw(t testing.TB, rc redis.Scripter, count int, marks ...mark) (int64, []string) {
	t.Helper()
	n, held, err := stamp(context.Background(), rc, count, time.Hour, marks)
	if err != nil {
		t.Fatal(err)
	}
	return n, held
}

func TestStamp_IsTheTimeOfRedis(t *testing.T) {
	t.Parallel()
	rc := client(t, testenv.RedisURL(t))
	before, err := rc.Time(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	n, _ := draw(t, rc, 1)
	after, err := rc.Time(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	if n < before.UnixMicro() || n > after.UnixMicro() {
		t.Errorf("stamp %d, not from %d to %d", n, before.UnixMicro(), after.UnixMicro())
	}
}

func TestStamp_RisesThroughClockTrouble(t *testing.T) {
	t.Parallel()
	rc := client(t, testenv.RedisURL(t))
	future := time.Now().Add(time.Hour).UnixMicro() // what a clock that was an hour fast left behind
	if err := rc.Set(t.Context(), stampKey, future, 0).Err(); err != nil {
		t.Fatal(err)
	}
	first, _ := draw(t, rc, 10)
	second, _ := draw(t, rc, 1)
	if first != future+1 || second != first+10 {
		t.Errorf("stamps %d and %d after %d, want one more, and ten more", first, second, future)
	}
	if err := rc.Set(t.Context(), stampKey, "nonsense", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if n, _, err := stamp(t.Context(), rc, 1, time.Hour, nil); err == nil {
		t.Errorf("stamp %d from nonsense, want an error: nobody knows what was drawn before", n)
	}
}

// script runs the same calls on any Redis, with the clock out of the picture,
// and returns all that they left and answered.
func script(t testing.TB, rc *redis.Client) []string {
	t.Helper()
	const future, calls, ahead = int64(4_000_000_000_123_456), 150, 7
	ctx := context.Background()
	if err := rc.Set(ctx, stampKey, future, 0).Err(); err != nil {
		t.Fatal(err)
	}
	r := record.Key{Tenant: "t", Collection: "c", ID: "r"}
	key := idempotencyKey("t", "p", "k")
	var got []string
	for i := range calls { // over more than a millisecond, in steps that meet each of its bits
		marks := []mark{
			{tail: record.IDTail(7, 2*i), underWay: underWayKey(r)},
			{tail: record.IDTail(7, 2*i+1), underWay: underWayKey(r), idempotency: key + strconv.Itoa(i/2), suffix: ":h"},
		}
		n, held := draw(t, rc, ahead, marks...)
		got = append(got, fmt.Sprint(n, held))
	}
	members, err := rc.SMembers(ctx, underWayKey(r)).Result()
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, m := range members {
		known[m] = true
	}
	for i := range calls {
		n := future + int64(i*ahead) + 1
		first, second := record.NewID(n, 7, 2*i), record.NewID(n, 7, 2*i+1)
		if !known[first] || known[second] != (i%2 == 0) {
			t.Errorf("stamp %d: marks %v and %v, want true and %v", n, known[first], known[second], i%2 == 0)
		}
	}
	stampNow := rc.Get(ctx, stampKey).Val()
	ttl := rc.TTL(ctx, key+"0").Val().Round(time.Minute)
	return append(got, stampNow, rc.Get(ctx, key+"0").Val(), ttl.String(), strconv.Itoa(len(members)))
}

func TestStamp_LeavesItsMarksAndTheSameOnMiniredis(t *testing.T) {
	t.Parallel()
	genuine := script(t, client(t, testenv.RedisURL(t)))
	mini := script(t, client(t, "redis://"+miniredis.RunT(t).Addr()))
	if d := cmp.Diff(genuine, mini); d != "" {
		t.Errorf("results differ (-redis +miniredis):\n%s", d)
	}
}

// No two names may share a key: they are put together from what clients choose.
func TestKeys_AreOneToOne(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, tenant := range []string{"t", "u"} {
		for _, principal := range []string{"", "p", "user:p"} {
			for _, key := range []string{"k", "p/k", "/k", "//", "user:p/k", "t/p/k"} {
				name := fmt.Sprintf("%q %q %q", tenant, principal, key)
				if k := idempotencyKey(tenant, principal, key); seen[k] != "" {
					t.Errorf("%s and %s share %s", name, seen[k], k)
				} else {
					seen[k] = name
				}
			}
		}
	}
}
