package vault_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"coffer/vault/protocol"
	"coffer/vault/vaulttest"
)

// TestPromise02 is about N tries, charged durably before each answer.
func TestPromise02(t *testing.T) {
	t.Run("crowds", testCrowds)
	t.Run("steps", testSteps)
	t.Run("steps of leaders", testLeaderSteps)
	t.Run("kills", testKills)
}

// crowdRounds is how often 64 guessers fall upon a new record. Hardware is slow.
var crowdRounds = map[string]int{
	"soft-bolt": 100, "pkcs11-bolt": 20, "epochs-bolt": 20, "tpm-bolt": 4, "soft-etcd": 20, "pkcs11-etcd": 20, "soft-embedded": 5,
}

// testCrowds: 64 guessers at once get exactly N answers. Where there are two nodes, half of
// them ask each.
func testCrowds(t *testing.T) {
	inWorlds(t, everywhere, func(t *testing.T, w *world) {
		rounds := crowdRounds[w.name]
		if rounds == 0 {
			t.Fatal("no rounds prove nothing")
		}
		var doors []vaulttest.Door
		for _, n := range w.nodes {
			doors = append(doors, n.door())
		}
		exact := 0
		for round := range rounds {
			g := w.registered("right")
			answers, lost := crowd(t, g, 64, doors...)
			if answers > tries || answers+lost < tries {
				t.Fatalf("round %d: 64 guessers got %d answers to %d tries, and lost %d questions", round, answers, tries, lost)
			}
			if lost == 0 {
				exact++
			}
			s, err := g.Status(t.Context())
			if err != nil || s.Left != 0 || s.Serial != registered+tries {
				t.Fatalf("round %d: %+v, %v", round, s, err)
			}
		}
		if exact < rounds/2 || exact == 0 {
			t.Errorf("%d of %d rounds without a lost question: too few to say anything", exact, rounds)
		}
		t.Logf("%d rounds of 64 guessers: exactly %d answers in %d of them, at most as many in those where a question was lost", rounds, tries, exact)
	})
}

// kills says how often the nodes, and the leader of the cluster, are killed at random, among
// a few guessers. With those of [testSteps] and [testLeaderSteps], who walk from point to
// point, they are more than 200.
var kills = map[string]struct{ nodes, leaders int }{
	"soft-bolt": {12, 0}, "pkcs11-bolt": {8, 0}, "epochs-bolt": {8, 0}, "tpm-bolt": {4, 0},
	"soft-etcd": {6, 4}, "pkcs11-etcd": {6, 4}, "soft-embedded": {10, 0},
}

// testKills kills a node, or the leader of its cluster, at any moment of what a few guessers
// do, again and again: no answer without a charge, and what was ever said about a record is
// the history of one counter.
func testKills(t *testing.T) {
	inWorlds(t, everywhere, func(t *testing.T, w *world) {
		h := newHistory()
		a := &ambush{w: w, h: h}
		for _, n := range w.nodes {
			a.doors = append(a.doors, n.door())
		}
		plan := kills[w.name]
		for i := range plan.nodes {
			a.round(t, func() func() {
				n := w.nodes[i%len(w.nodes)]
				n.kill()
				return n.start
			})
		}
		for range plan.leaders {
			a.round(t, func() func() { return w.killLeader(t) })
		}
		answers := a.mustHold(t)
		h.mustBeLinearizable(t)
		if plan.nodes == 0 || answers < plan.nodes/3 {
			t.Fatalf("%d answers around %d kills: too few to say anything", answers, plan.nodes)
		}
		t.Logf("%d kills of nodes, %d of leaders: %d records, %d answers, %d of unknown outcome, %d questions, linearizable",
			plan.nodes, plan.leaders, len(a.records), answers, a.unknowns(), len(h.all))
	})
}

// killLeader kills the leader of the cluster, and returns how it comes back.
func (w *world) killLeader(t testing.TB) (restart func()) {
	leader := w.awaitLeader(t)
	w.cluster.Kill(leader)
	return func() { w.restartMember(t, leader) }
}

// awaitLeader returns who leads the cluster. Between two elections it is nobody.
func (w *world) awaitLeader(t testing.TB) int {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		if leader := w.cluster.Leader(); leader >= 0 {
			return leader
		}
		if rest(ctx, 50*time.Millisecond) != nil {
			t.Fatal("a healthy cluster has no leader")
		}
	}
}

func (w *world) restartMember(t testing.TB, i int) {
	w.cluster.Restart(i)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	w.cluster.WaitHealthy(ctx)
	for _, n := range w.nodes {
		n.awaitReady(ctx)
	}
}

// An ambush is a few guessers who are at work when something is killed.
type ambush struct {
	w       *world
	h       *history
	doors   []vaulttest.Door
	records []*vaulttest.Guesser
	next    atomic.Uint64 // number of the next try at the newest record
	full    bool          // the newest record has no tries left
}

// guessers of an ambush.
const few = 4

// round has the guessers at work, strikes, lets those end whose question is lost, and makes
// good again.
func (a *ambush) round(t *testing.T, strike func() (mend func())) {
	t.Helper()
	if len(a.records) == 0 || a.full {
		a.records = append(a.records, a.w.registered("right"))
		a.next.Store(registered + 1)
		a.full = false
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg, ready sync.WaitGroup
	var full atomic.Bool
	ready.Add(few)
	for i := range few {
		one := *a.records[len(a.records)-1]
		one.Door = a.doors[i%len(a.doors)]
		wg.Go(func() {
			connected := a.status(i, &one)
			ready.Done()
			if connected && a.work(ctx, i, &one) {
				full.Store(true)
			}
		})
	}
	ready.Wait()
	_ = rest(ctx, rand.N(40*time.Millisecond)) // any moment
	mend := strike()
	cancel() // who has not begun another question does not
	wg.Wait()
	mend()
	a.full = full.Load()
}

// work asks until something is lost, or nothing is left. A question that was begun is not
// cut off: what is recorded as of unknown outcome is so by the vault's doing.
func (a *ambush) work(ctx context.Context, client int, g *vaulttest.Guesser) (full bool) {
	for turn := 0; ctx.Err() == nil; turn++ {
		if (client+turn)%4 == 3 {
			if !a.status(client, g) {
				return false
			}
			continue
		}
		number := a.next.Load()
		began := a.h.now()
		answer, err := g.Ask(context.WithoutCancel(ctx), "wrong", number)
		out := outcomeOf(err)
		// A chip may have counted what the record has not: over is not always the tenth then.
		if !neverLeft(err) && !(out == over && a.w.seal == "tpm") {
			a.h.add(client, began, question{g.Record, number}, result{outcome: out})
		}
		switch out {
		case over:
			return true
		case unknown:
			return false
		}
		a.next.CompareAndSwap(number, number+1)
		if answer != nil && turn%2 == 0 {
			_, _ = g.Finish(context.WithoutCancel(ctx), answer) // wrong; a moment more to be killed in
		}
	}
	return false
}

func (a *ambush) status(client int, g *vaulttest.Guesser) bool {
	began := a.h.now()
	ctx, cancel := context.WithTimeout(a.w.t.Context(), patience)
	defer cancel()
	s, err := g.Status(ctx)
	if err != nil {
		return false
	}
	a.h.add(client, began, question{record: g.Record}, result{serial: s.Serial})
	return true
}

// mustHold asks, at last, how each record stands: no answer without a charge.
func (a *ambush) mustHold(t *testing.T) (answers int) {
	t.Helper()
	for _, g := range a.records {
		began := a.h.now()
		s, err := g.Status(t.Context())
		must(t, err)
		a.h.add(few, began, question{record: g.Record}, result{serial: s.Serial})
		charged, got := int(s.Serial)-registered, a.h.count(g.Record, answered)
		if got > charged || charged > tries || charged > got+a.h.count(g.Record, unknown) {
			t.Errorf("record %x: %d answers, %d of unknown outcome, %d tries charged", g.Record[:4], got, a.h.count(g.Record, unknown), charged)
		}
		left := tries - charged
		if s.State != protocol.StateDestroyed && int(s.Left) != left && (int(s.Left) > left || a.w.seal != "tpm") {
			t.Errorf("record %x: %d left after %d tries", g.Record[:4], s.Left, charged)
		}
		answers += got
	}
	return answers
}

func (a *ambush) unknowns() (n int) {
	for _, g := range a.records {
		n += a.h.count(g.Record, unknown)
	}
	return n
}

// outcomeOf reads what an attempt came to. The vault's own failures are taken for unknown.
func outcomeOf(err error) outcome {
	switch {
	case err == nil:
		return answered
	case errors.Is(err, protocol.ErrSerial):
		return used
	case isOver(err):
		return over
	}
	return unknown
}

// neverLeft reports whether nobody listened: nothing was asked then.
func neverLeft(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}
