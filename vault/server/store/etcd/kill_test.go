package etcd

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"coffer/vault/server/store/etcd/etcdtest"
)

// The leader is killed at any moment, again and again, under a crowd that charges.
func TestKillsOfTheLeaderLoseNoCharge(t *testing.T) {
	const killFor = 10 * time.Second
	c := etcdtest.StartCluster(t, 3)
	options := Options{Endpoints: c.Endpoints()}
	people := newCrowd(mustOpen(t, options), mustOpen(t, options), mustOpen(t, options))

	ctx, cancel := context.WithTimeout(t.Context(), killFor)
	defer cancel()
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		people.run(ctx, t)
	}()
	kills := 0
	for pause(ctx, 1200*time.Millisecond) {
		leader := c.Leader()
		if leader < 0 {
			continue
		}
		c.Kill(leader)
		kills++
		pause(ctx, 800*time.Millisecond)
		c.Restart(leader)
		healed, done := context.WithTimeout(t.Context(), patience)
		c.WaitHealthy(healed)
		done()
	}
	<-finished
	charges := people.mustHold(t, mustOpen(t, clusterOptions(c)))
	people.mustBeLinearizable(t, patience)
	if kills < 3 || charges < 100 {
		t.Fatalf("%d kills, %d charges: too few to say anything", kills, charges)
	}
	t.Logf("%d kills, %d charges, %d of unknown outcome, %d calls, linearizable", kills, charges, people.unknowns(), len(people.all))
}

// pause waits up to limit, and says whether ctx lasts.
func pause(ctx context.Context, limit time.Duration) bool {
	select {
	case <-time.After(rand.N(limit)):
		return true
	case <-ctx.Done():
		return false
	}
}

// Each member in turn is stopped in good order and started again, as for an update.
func TestARollingRestartLosesNoCharge(t *testing.T) {
	t.Parallel()
	c := etcdtest.StartCluster(t, 3)
	options := Options{Endpoints: c.Endpoints(), RequestTimeout: 10 * time.Second}
	people := newCrowd(mustOpen(t, options), mustOpen(t, options))

	ctx, cancel := context.WithCancel(t.Context())
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		people.run(ctx, t)
	}()
	for i := range c.Len() {
		c.Stop(i)
		c.Restart(i)
		healed, done := context.WithTimeout(t.Context(), patience)
		c.WaitHealthy(healed)
		done()
	}
	cancel()
	<-finished
	charges := people.mustHold(t, mustOpen(t, clusterOptions(c)))
	people.mustBeLinearizable(t, patience)
	if charges < 20 {
		t.Fatalf("%d charges: too few to say anything", charges)
	}
	t.Logf("%d charges, %d of unknown outcome, %d calls, linearizable", charges, people.unknowns(), len(people.all))
}
