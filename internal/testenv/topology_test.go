package testenv

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

func TestTLSRedis_TakesOnlyThoseItKnows(t *testing.T) {
	t.Parallel()
	r := NewTLSRedis(t)
	config, err := r.Certificates().Config()
	if err != nil {
		t.Fatal(err)
	}
	known := redis.NewClient(&redis.Options{Addr: r.Addr(), TLSConfig: config})
	defer func() { _ = known.Close() }()
	if err := known.Ping(t.Context()).Err(); err != nil {
		t.Errorf("with the certificate: %v", err)
	}
	stranger := config.Clone()
	stranger.Certificates = nil
	unknown := redis.NewClient(&redis.Options{Addr: r.Addr(), TLSConfig: stranger, MaxRetries: -1})
	defer func() { _ = unknown.Close() }()
	if err := unknown.Ping(t.Context()).Err(); err == nil {
		t.Error("a client without a certificate was let in")
	}
	if !strings.HasPrefix(r.URL(), "rediss://") {
		t.Errorf("URL %s", r.URL())
	}
}

func TestSentinels_ReplaceAMasterThatWasKilled(t *testing.T) {
	t.Parallel()
	s := NewSentinels(t)
	first, err := s.Master(t.Context())
	if err != nil || first != s.Nodes[0] {
		t.Fatalf("the master is %v, %v", first, err)
	}
	c := redisClient(t, first.URL())
	if err := errors.Join(c.Set(t.Context(), "k", "v", 0).Err(), c.Do(t.Context(), "WAIT", 1, 200).Err(), first.Kill()); err != nil {
		t.Fatal(err)
	}
	second := s.Nodes[1]
	Eventually(t, 20*time.Second, "the replica is the master", func() error { return isMaster(t.Context(), s, second) })
	if v, err := redisClient(t, second.URL()).Get(t.Context(), "k").Result(); v != "v" {
		t.Errorf("the new master has %q, %v", v, err)
	}
	if err := first.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	Eventually(t, 20*time.Second, "the old master follows the new one", func() error { return s.replicating(t.Context()) })
}

func isMaster(ctx context.Context, s *Sentinels, node *Redis) error {
	now, err := s.Master(ctx)
	if err == nil && now != node {
		err = fmt.Errorf("it is %s", now.Addr())
	}
	return err
}

func TestCluster_SharesTheSlots(t *testing.T) {
	t.Parallel()
	c := NewCluster(t)
	var addrs []string
	for _, node := range c.Nodes {
		addrs = append(addrs, node.Addr())
	}
	rc := redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs})
	defer func() { _ = rc.Close() }()
	for i := range 30 {
		if err := rc.Set(t.Context(), fmt.Sprint("k", i), i, 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for _, node := range c.Nodes {
		if n := redisClient(t, node.URL()).DBSize(t.Context()).Val(); n == 0 || n == 30 {
			t.Errorf("node %s has %d of 30 keys", node.Addr(), n)
		}
	}
}
