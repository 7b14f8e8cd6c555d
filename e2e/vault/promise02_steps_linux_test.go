package vault_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"coffer/vault/protocol"
	"coffer/vault/vaulttest"
)

// testSteps kills the node at every point of an attempt and of its end, one after the other:
// before the first write of the charge, before and between all others, before each sync, when
// something was sent to hardware or to a cluster and nothing heard, before the answer and
// after it. See tracer.
func testSteps(t *testing.T) {
	inWorlds(t, walked, func(t *testing.T, w *world) {
		k := w.newWalk()
		did := k.vault(t)
		if w.store == "bolt" {
			mustBeDurable(t, w.first(), did.all)
		}
		k.mustHold(t)
		t.Logf("%d kills, at each point of an attempt: %s; %d answers at %d records, %d of unknown outcome, linearizable",
			k.kills, told(did.points), k.answers, len(k.a.records), k.a.unknowns())
	})
}

// walked leaves the cluster inside of the nodes to the kills at random: what its members say
// to each other all the time would be most of the points.
func walked(w *world) bool { return w.store != "etcd-embedded" }

// testLeaderSteps does the same to the leader of a cluster, while a node asks it for a
// charge: before and after each write and sync of its log, and each answer to the node.
func testLeaderSteps(t *testing.T) {
	inWorlds(t, onCluster, func(t *testing.T, w *world) {
		k := w.newWalk()
		did := k.leader(t)
		k.mustHold(t)
		t.Logf("%d kills of leaders, at each point of an attempt: %s; %d answers at %d records, %d of unknown outcome, linearizable",
			k.kills, told(did.points), k.answers, len(k.a.records), k.a.unknowns())
	})
}

// A walk makes one attempt after the other, with somebody who follows.
type walk struct {
	w       *world
	a       *ambush
	h       *history
	answers int
	kills   int
	full    bool // the newest record has no tries left, by its hardware
}

func (w *world) newWalk() *walk {
	h := newHistory()
	return &walk{w: w, h: h, a: &ambush{w: w, h: h, doors: []vaulttest.Door{w.first().door()}}}
}

// guesser returns the guesser of a record that has two tries left, and the number of the next.
func (k *walk) guesser(t *testing.T) (g *vaulttest.Guesser, number uint64) {
	t.Helper()
	if n := len(k.a.records); n > 0 && !k.full {
		g = k.a.records[n-1]
		if number = k.charged(t, g) + 1; number < registered+tries {
			return g, number
		}
	}
	g = k.w.registered("right")
	k.full, k.a.records = false, append(k.a.records, g)
	return g, k.charged(t, g) + 1
}

// charged asks, and records, how many tries were charged. It also makes the connection that
// the next question will take.
func (k *walk) charged(t *testing.T, g *vaulttest.Guesser) uint64 {
	t.Helper()
	began := k.h.now()
	s, err := g.Status(t.Context())
	must(t, err)
	k.h.add(0, began, question{record: g.Record}, result{serial: s.Serial})
	if got := k.h.count(g.Record, answered); got > int(s.Serial)-registered {
		t.Fatalf("%d answers to %d charges", got, s.Serial-registered)
	}
	return s.Serial
}

// attempt is what is followed: a wrong password, and its end. It reports whether both came.
func (k *walk) attempt(t *testing.T, g *vaulttest.Guesser, number uint64) (whole bool) {
	t.Helper()
	began := k.h.now()
	answer, err := g.Ask(t.Context(), "wrong", number)
	out := outcomeOf(err)
	if k.full = out == over && k.w.seal == "tpm"; k.full {
		return false // the chip has counted what a dead node could not write: fewer tries are left
	}
	if !neverLeft(err) {
		k.h.add(0, began, question{g.Record, number}, result{outcome: out})
	}
	if err != nil {
		return false
	}
	k.answers++
	_, err = g.Finish(t.Context(), answer)
	return errors.Is(err, protocol.ErrWrongPassword)
}

// vault kills the node at point 1, 2, 3, ... until an attempt is through before that.
func (k *walk) vault(t *testing.T) trace {
	t.Helper()
	n := k.w.first()
	for at := 1; at < 1000; at++ {
		g, number := k.guesser(t)
		s := stalk(t, n.cmd.Process.Pid, at, "")
		whole := k.attempt(t, g, number)
		did, killed := s.leave()
		switch {
		case !killed && whole:
			return did
		case !killed && k.full:
			at--
			continue
		case !killed:
			t.Fatalf("an attempt that nobody has disturbed is not whole, at point %d", at)
		}
		k.kills++
		n.await()
		n.start()
	}
	t.Fatal("an attempt has no end")
	return trace{}
}

// leader does the same to the leader.
func (k *walk) leader(t *testing.T) trace {
	t.Helper()
	for at := 1; at < 1000; at++ {
		g, number := k.guesser(t)
		leader := k.w.awaitLeader(t)
		_, port, err := net.SplitHostPort(strings.TrimPrefix(strings.TrimPrefix(k.w.cluster.Endpoint(leader), "https://"), "http://"))
		must(t, err)
		s := stalk(t, memberPid(t, k.w.cluster.Dir(leader)), at, `\.wal$| :`+port+`$`)
		k.attempt(t, g, number)
		did, killed := s.leave()
		if !killed {
			return did
		}
		k.kills++
		k.w.cluster.Kill(leader) // it is dead: the cluster takes note
		k.w.restartMember(t, leader)
	}
	t.Fatal("an attempt has no end")
	return trace{}
}

// mustHold looks at the whole history.
func (k *walk) mustHold(t *testing.T) {
	t.Helper()
	k.a.mustHold(t)
	k.h.mustBeLinearizable(t)
	if k.kills < 6 || k.answers == 0 {
		t.Fatalf("%d kills, %d answers: nothing was proven", k.kills, k.answers)
	}
}

// mustBeDurable looks at the points of a whole attempt: whatever was written to the store
// before the answer began to leave was synced by then. A kill alone cannot tell that: the
// system keeps what a dead process has written.
func mustBeDurable(t *testing.T, n *node, did []string) {
	t.Helper()
	_, port, err := net.SplitHostPort(n.address)
	must(t, err)
	answer := slices.Index(did, "before write :"+port)
	if answer < 0 {
		t.Fatalf("there is no answer: %s", told(did))
	}
	written := 0
	for i, p := range did[:answer] {
		file, ok := strings.CutPrefix(p, "after write ")
		if !ok || !strings.HasSuffix(file, ".db") {
			continue
		}
		written++
		if !slices.Contains(did[i:answer], "after sync "+file) {
			t.Fatalf("what was written to %s is not durable when the answer leaves: %s", file, did[i:answer+1])
		}
	}
	if written == 0 {
		t.Fatalf("nothing was written before the answer: %s", told(did))
	}
}

// memberPid finds the process of an etcd by the folder of its data.
func memberPid(t testing.TB, dir string) int {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	must(t, err)
	for _, path := range all {
		line, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		if args := strings.Split(string(line), "\x00"); filepath.Base(args[0]) == "etcd" && slices.Contains(args, dir) {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			must(t, err)
			return pid
		}
	}
	t.Fatalf("no etcd has its data in %s", dir)
	return 0
}
