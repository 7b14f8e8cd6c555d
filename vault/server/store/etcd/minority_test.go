package etcd

import (
	"context"
	"errors"
	"testing"
	"time"

	"coffer/vault/server/store"
	"coffer/vault/server/store/etcd/etcdtest"
)

// mustCharge charges once; a charge of unknown outcome is tried again, as a next try.
func mustCharge(t *testing.T, s *DB, author int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		err := chargeOnce(ctx, s, store.ID{1}, author)
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			t.Fatal(err)
		}
	}
}

func TestAMinorityNeverAnswers(t *testing.T) {
	t.Parallel()
	c := etcdtest.StartIsolatedCluster(t, 3)
	all := mustOpen(t, clusterOptions(c))
	if err := all.Create(t.Context(), store.ID{1}, []byte("0:")); err != nil {
		t.Fatal(err)
	}
	only := make([]*DB, c.Len()) // one member each
	for i := range only {
		only[i] = mustOpen(t, Options{Endpoints: []string{c.Endpoint(i)}, TLS: c.TLS(), RequestTimeout: 500 * time.Millisecond})
	}

	killed := c.Leader()
	c.Kill(killed)
	mustCharge(t, all, 1)
	for i, s := range only {
		if i != killed {
			mustReadySoon(t, s)
			mustCharge(t, s, 2+i)
		}
	}
	c.Restart(killed)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c.WaitHealthy(ctx)

	for _, cut := range []int{c.Leader(), (c.Leader() + 1) % c.Len()} {
		cutOff(t, c, cut, all, only)
	}
}

// cutOff cuts one member off: it must refuse from that moment on, and the others go on.
func cutOff(t *testing.T, c *etcdtest.Cluster, cut int, all *DB, only []*DB) {
	t.Helper()
	ctx := t.Context()
	before, revision, err := all.Fetch(ctx, store.ID{1})
	if err != nil {
		t.Fatal(err)
	}
	c.Partition(cut)
	// At once, while the member may still think that it leads; and after it has learned.
	for range 2 {
		if row, _, err := only[cut].Fetch(ctx, store.ID{1}); err == nil || errors.Is(err, store.ErrNotFound) {
			t.Fatalf("a minority answers %q, %v", row, err)
		}
	}
	wantUnknown(t, only[cut].Replace(ctx, store.ID{1}, revision, []byte("99:from the minority")))
	if err := only[cut].Ready(ctx); err == nil {
		t.Fatal("a minority is ready")
	}
	mustCharge(t, all, 100+cut) // with the member that is cut off among its endpoints
	c.Heal(cut)
	mustReadySoon(t, only[cut])
	n := mustCount(t, only[cut])
	was, err := parseCount(before)
	if err != nil {
		t.Fatal(err)
	}
	if n <= was || n == 99 {
		t.Fatalf("the member has %d charges after %d and one more: what the majority wrote is lost", n, was)
	}
}

// mustReadySoon waits until s is ready; a single Ready gives up after its time.
func mustReadySoon(t *testing.T, s *DB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		err := s.Ready(ctx)
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			t.Fatal(err)
		}
	}
}

// mustCount reads the count, as often as it takes.
func mustCount(t *testing.T, s *DB) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		n, err := readCount(ctx, s, store.ID{1})
		if err == nil {
			return n
		}
		if ctx.Err() != nil {
			t.Fatal(err)
		}
	}
}
