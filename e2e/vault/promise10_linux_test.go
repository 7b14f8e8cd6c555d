package vault_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"coffer/vault/protocol"
	"coffer/vault/vaulttest"
)

// TestPromise10: a minority of a cluster never answers, and a majority goes on.
func TestPromise10(t *testing.T) {
	inWorlds(t, onCluster, func(t *testing.T, w *world) {
		t.Run("one member killed", func(t *testing.T) { testMajority(t, w) })
		t.Run("rolling restart", func(t *testing.T) { testRolling(t, w) })
		if w.cluster.TLS() == nil {
			return // its members cannot be cut off
		}
		t.Run("one member cut off", func(t *testing.T) { testMinority(t, w) })
	})
}

// mustAnswer makes one try, as often as its outcome is unknown, and returns how many may
// have been charged.
func mustAnswer(t *testing.T, g *vaulttest.Guesser) (asked int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		asked++
		_, err := g.Ask(ctx, "wrong", 0)
		if err == nil {
			return asked
		}
		if outcomeOf(err) != unknown || ctx.Err() != nil || asked == tries {
			t.Fatalf("no answer after %d: %v", asked, err)
		}
	}
}

func testMajority(t *testing.T, w *world) {
	for range 2 { // leaders
		g := w.registered("right")
		mend := w.killLeader(t)
		asked := mustAnswer(t, g)
		s, err := g.Status(t.Context())
		if err != nil || int(s.Serial)-registered > asked || s.Serial == registered {
			t.Fatalf("%d asked: %+v, %v", asked, s, err)
		}
		mend()
	}
}

// testRolling stops each member in good order and starts it again, as for an update, and
// each node too, while guessers are at work.
func testRolling(t *testing.T, w *world) {
	g := w.registered("right")
	var answers, lost atomic.Int64
	var next atomic.Uint64
	next.Store(registered + 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	for i := range few {
		one := *g
		one.Door = w.nodes[i%len(w.nodes)].door()
		wg.Go(func() {
			for ctx.Err() == nil {
				number := next.Load()
				_, err := one.Ask(t.Context(), "wrong", number)
				switch outcomeOf(err) {
				case answered:
					answers.Add(1)
				case over:
					return
				case unknown:
					lost.Add(1)
					_ = rest(ctx, 20*time.Millisecond)
					continue // the same number again: it was used, or not
				}
				next.CompareAndSwap(number, number+1)
				_ = rest(ctx, 300*time.Millisecond) // so that the tries last
			}
		})
	}
	for i := range w.cluster.Len() {
		w.cluster.Stop(i)
		w.cluster.Restart(i)
		healed, done := context.WithTimeout(t.Context(), patience)
		w.cluster.WaitHealthy(healed)
		done()
	}
	for _, n := range w.nodes {
		n.stop()
		n.start()
	}
	cancel()
	wg.Wait()
	s, err := g.Status(t.Context())
	must(t, err)
	if charged := int64(s.Serial) - registered; answers.Load() > charged || answers.Load() == 0 || charged > answers.Load()+lost.Load() {
		t.Fatalf("%d answers, %d of unknown outcome, %d charged", answers.Load(), lost.Load(), charged)
	}
	t.Logf("%d answers, %d of unknown outcome, %d charged", answers.Load(), lost.Load(), s.Serial-registered)
}

// testMinority has a node that knows one member only. When that one is cut off, the node
// answers nobody: at once, while the member may still think that it leads, and after it has
// learned. The others go on.
func testMinority(t *testing.T, w *world) {
	cut := w.cluster.Leader()
	lonely := &node{w: w, dir: filepath.Join(w.life.TempDir(), "lonely"), address: freeAddress(t)}
	must(t, copyTree(lonely.dir, w.first().dir))
	lonely.set(map[string]string{"endpoints": `["` + w.cluster.Endpoint(cut) + `"]`})
	lonely.start()
	defer lonely.kill()
	g := w.registered("right")
	alone := *g
	alone.Door = lonely.door()
	if mustAnswer(t, &alone) != 1 {
		t.Fatal("the node does not answer while all is well")
	}

	w.cluster.Partition(cut)
	asked := 0
	for range 3 {
		asked++
		_, err := alone.Ask(t.Context(), "wrong", uint64(registered+1+asked))
		if outcomeOf(err) != unknown {
			t.Fatalf("a minority: %v", err)
		}
		if s, err := alone.Status(t.Context()); err == nil || errors.Is(err, protocol.ErrUnknownRecord) {
			t.Fatalf("a minority says how a record stands: %+v, %v", s, err)
		}
	}
	if lonely.isReady(t.Context()) == nil {
		t.Fatal("a minority is ready")
	}
	asked += mustAnswer(t, g) // with the member that is cut off among its endpoints
	w.cluster.Heal(cut)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	w.cluster.WaitHealthy(ctx)
	lonely.awaitReady(ctx)
	mustAnswer(t, &alone)
	s, err := g.Status(t.Context())
	if charged := int(s.Serial) - registered; err != nil || charged < 3 || charged > asked+2 {
		t.Fatalf("%d charged of %d asked, %v", charged, asked+2, err)
	}
}
