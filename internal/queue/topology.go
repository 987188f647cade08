package queue

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// Node returns the client of the node that queue is on: in a cluster the master
// of the queue's slot as it is now, else rc itself. It is for commands without a
// key, such as CONFIG, INFO and WAIT, which a cluster's client sends anywhere.
func Node(ctx context.Context, rc redis.UniversalClient, queue string) (redis.UniversalClient, error) {
	cluster, ok := rc.(*redis.ClusterClient)
	if !ok {
		return rc, nil
	}
	node, err := cluster.MasterForKey(ctx, keysOf(queue).pending)
	if err != nil {
		return nil, fmt.Errorf("find the node of queue %s: %w", queue, err)
	}
	return node, nil
}
