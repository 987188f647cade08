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
	"pgregory.net/rapid"

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
	n, held, err := stamp(context.Background(), rc, count, 1, time.Hour, marks)
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
	if n, _, err := stamp(t.Context(), rc, 1, 1, time.Hour, nil); err == nil {
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
	tenants := rapid.StringMatching(`[a-z0-9][a-z0-9_-]{0,3}`)
	principals := rapid.OneOf(rapid.Just(""), rapid.StringMatching(`user:[0-9a-f]{2}-[0-9a-f]`), rapid.StringMatching(`key:[A-Za-z0-9]{1,3}`))
	for name, key := range map[string]func(a, b, c string) string{
		"idempotency": idempotencyKey,
		"under way": func(tenant, _, id string) string {
			return underWayKey(record.Key{Tenant: tenant, Collection: "todos", ID: id})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				a := [3]string{tenants.Draw(t, "tenant"), principals.Draw(t, "principal"), rapid.StringMatching(`[ -~]{1,12}`).Draw(t, "key")}
				// The other names that a's key could be taken for, and any.
				b := [3]string{
					rapid.OneOf(rapid.Just(a[0]), tenants).Draw(t, "other tenant"), rapid.OneOf(rapid.Just(a[1]), principals).Draw(t, "other principal"),
					rapid.SampledFrom([]string{a[2], "/" + a[2], a[1] + "/" + a[2], "/" + a[1] + "/" + a[2], a[0] + "/" + a[1] + "/" + a[2]}).Draw(t, "other key"),
				}
				if name == "under way" {
					a[1], b[1] = "", ""
				}
				if x, y := key(a[0], a[1], a[2]), key(b[0], b[1], b[2]); (x == y) != (a == b) {
					t.Fatalf("%q has %s, %q has %s", a, x, b, y)
				}
			})
		})
	}
	if idempotencyKey("t", "", "k") == underWayKey(record.Key{Tenant: "t", ID: "k"}) {
		t.Error("an idempotency key is an under-way set's")
	}
}
