package accept

import (
	"context"
	_ "embed"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/waybill-dev/waybill/internal/record"
)

// All keys share the queue's hash tag, and so its slot in a cluster.
const (
	keyPrefix = "waybill:{writes}:"
	stampKey  = keyPrefix + "stamp"
	countKey  = keyPrefix + "count" // hash: operations accepted and finished, ever
)

//go:embed stamp.lua
var stampLua string

var stampScript = redis.NewScript(stampLua)

// mark is what one operation of a batch leaves in Redis when the batch is
// stamped: its entry in its record's under-way set, its idempotency key, or both.
type mark struct {
	tail        string // record.IDTail
	underWay    string // key of the record's under-way set; "" for none
	idempotency string // key; "" for none
	suffix      string // follows the operation's ID in the idempotency key's value
	replaces    string // a value of the key that counts as free; "" for none
	operations  int    // that it stands for: all of a bulk's
}

// stamp draws the stamp of a batch of so many operations, counts them as accepted,
// but for those of marks whose key was taken, and reserves the count-1 stamps that
// follow. It
// returns, for each mark, the value that its idempotency key had before ("" if
// it was free or there is none); a mark whose key was taken leaves nothing.
func stamp(ctx context.Context, rc redis.Scripter, count, operations int, ttl time.Duration, marks []mark) (int64, []string, error) {
	keys := make([]string, 2, 2+2*len(marks))
	keys[0], keys[1] = stampKey, countKey
	args := make([]any, 4, 4+6*len(marks))
	args[0], args[1], args[2], args[3] = count, int64(ttl/time.Second), len(marks), operations
	for _, m := range marks {
		args = append(args, m.tail, m.underWay != "", m.idempotency != "", m.suffix, m.replaces, m.operations)
		if m.underWay != "" {
			keys = append(keys, m.underWay)
		}
		if m.idempotency != "" {
			keys = append(keys, m.idempotency)
		}
	}
	reply, err := stampScript.Run(ctx, rc, keys, args...).StringSlice()
	if err != nil {
		return 0, nil, fmt.Errorf("draw a stamp: %w", err)
	}
	if len(reply) != 1+len(marks) {
		return 0, nil, fmt.Errorf("draw a stamp: %d values in the reply, want %d", len(reply), 1+len(marks))
	}
	n, err := strconv.ParseInt(reply[0], 10, 64)
	if err != nil {
		return 0, nil, fmt.Errorf("draw a stamp: %w", err)
	}
	return n, reply[1:], nil
}

// underWayKey returns the key of a record's under-way set: the IDs of the PUTs,
// PATCHes and DELETEs that were stamped and are not known to be stored. No two
// records share one: neither tenants nor collections have a slash in their names.
func underWayKey(k record.Key) string {
	return keyPrefix + "under-way:" + k.Tenant + "/" + k.Collection + "/" + k.ID
}

// idempotencyKey returns the Redis key of a client's Idempotency-Key, which is the
// tenant's and principal's own: neither of these has a slash in its name, so the
// first two slashes part the three, whatever characters the client's key is of.
func idempotencyKey(tenant, principal, key string) string {
	return keyPrefix + "idempotency:" + tenant + "/" + principal + "/" + key
}
