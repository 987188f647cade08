package testenv

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// Cluster is three masters that share the slots.
type Cluster struct{ Nodes []*Redis }

const slots = 16384

// NewCluster starts a cluster and returns when all of its nodes say that it
// works. Without a Redis installed the test is skipped, as by NewRedis.
func NewCluster(t testing.TB) *Cluster {
	t.Helper()
	c := &Cluster{}
	var busPorts []int
	for range 3 {
		bus, err := FreePort()
		if err != nil {
			t.Fatal(err)
		}
		busPorts = append(busPorts, bus)
		c.Nodes = append(c.Nodes, newRedis(t, RedisOptions{Extra: []string{
			"--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(bus), "--cluster-node-timeout", "2000",
		}}))
	}
	for i, node := range c.Nodes {
		if err := join(t.Context(), node, i, len(c.Nodes), c.Nodes[0], busPorts[0]); err != nil {
			t.Fatalf("make a cluster: %v", err)
		}
	}
	Eventually(t, startWithin, "the cluster works", func() error { return c.works(t.Context()) })
	return c
}

// join gives node its part of the slots and makes it known to first.
func join(ctx context.Context, node *Redis, i, count int, first *Redis, bus int) error {
	rc := redis.NewClient(&redis.Options{Addr: node.Addr()})
	defer func() { _ = rc.Close() }()
	err := rc.ClusterAddSlotsRange(ctx, i*slots/count, (i+1)*slots/count-1).Err()
	host, port, _ := strings.Cut(first.Addr(), ":")
	return errors.Join(err,
		rc.Do(ctx, "CLUSTER", "SET-CONFIG-EPOCH", i+1).Err(),
		rc.Do(ctx, "CLUSTER", "MEET", host, port, bus).Err())
}

func (c *Cluster) works(ctx context.Context) error {
	for _, node := range c.Nodes {
		rc := redis.NewClient(&redis.Options{Addr: node.Addr()})
		info, err := rc.ClusterInfo(ctx).Result()
		_ = rc.Close()
		if err == nil && (!strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, fmt.Sprintf("cluster_known_nodes:%d", len(c.Nodes)))) {
			err = fmt.Errorf("node %s says %s", node.Addr(), info)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// URL returns the redis-cluster:// URL of all nodes.
func (c *Cluster) URL() string {
	var addrs []string
	for _, node := range c.Nodes {
		addrs = append(addrs, node.Addr())
	}
	return "redis-cluster://" + strings.Join(addrs, ",")
}
