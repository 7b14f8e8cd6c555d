package etcdtest_test

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"coffer/vault/server/store/etcd/etcdtest"
)

func TestAKilledMemberComesBackAndALeaderIsFound(t *testing.T) {
	c := etcdtest.StartCluster(t, 3)
	leader := c.Leader()
	if leader < 0 {
		t.Fatal("three healthy members, no leader")
	}
	c.Kill(leader)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	c.WaitHealthy(ctx)
	next := c.Leader()
	if next < 0 || next == leader {
		t.Fatalf("after the leader %d was killed, %d leads", leader, next)
	}
	c.Restart(leader)
	c.WaitHealthy(ctx)
}

func TestAPartitionedMemberIsReachedAndHealthyNoMore(t *testing.T) {
	c := etcdtest.StartIsolatedCluster(t, 3)
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	defer cancel()
	cut := c.Leader()
	c.Partition(cut)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for c.Leader() == cut || c.Leader() < 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("the others elect no leader")
		}
	}
	conn, err := net.Dial("tcp", strings.TrimPrefix(c.Endpoint(cut), "https://"))
	if err != nil {
		t.Fatalf("the member that is cut off cannot be reached: %v", err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	c.Heal(cut)
	c.WaitHealthy(ctx)
}
