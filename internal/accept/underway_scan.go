package accept

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/waybill-dev/waybill/internal/record"
)

const (
	underWayPrefix = keyPrefix + "under-way:"
	// scanned is about how many of Redis's keys one step of Scan looks at.
	scanned = 500
)

// Scan returns some of the entries of all under-way sets, Redis's time, and the
// cursor of the next step. It begins with the cursor 0, and has come round when it
// returns 0; an entry that was there all the time is found at least once.
func (u *UnderWay) Scan(ctx context.Context, cursor uint64) (marks []Mark, now time.Time, next uint64, err error) {
	node, err := u.node(ctx)
	if err != nil {
		return nil, now, 0, fmt.Errorf("scan under-way sets: %w", err)
	}
	found, next, err := node.Scan(ctx, cursor, underWayPrefix+"*", scanned).Result()
	if err != nil {
		return nil, now, 0, fmt.Errorf("scan under-way sets: %w", err)
	}
	var keys []record.Key
	for _, name := range found {
		if key, ok := underWayRecord(name); ok {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, now, next, nil
	}
	ids, now, err := u.Of(ctx, keys)
	for i := range ids {
		for _, id := range ids[i] {
			marks = append(marks, Mark{keys[i], id})
		}
	}
	return marks, now, next, err
}

// node is the one that has the sets: in a cluster they are all in one slot, and SCAN
// is answered for one node.
func (u *UnderWay) node(ctx context.Context) (redis.Cmdable, error) {
	if cluster, ok := u.rc.(*redis.ClusterClient); ok {
		return cluster.MasterForKey(ctx, stampKey)
	}
	return u.rc, nil
}

// underWayRecord is the reverse of underWayKey.
func underWayRecord(name string) (record.Key, bool) {
	rest, ours := strings.CutPrefix(name, underWayPrefix)
	parts := strings.SplitN(rest, "/", 3)
	if !ours || len(parts) != 3 {
		return record.Key{}, false
	}
	return record.Key{Tenant: parts[0], Collection: parts[1], ID: parts[2]}, true
}
