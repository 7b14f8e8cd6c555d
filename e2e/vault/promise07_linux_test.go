package vault_test

import (
	"testing"

	"coffer/crypto"
	"coffer/vault"
	"coffer/vault/protocol"
)

// TestPromise07: a vault that swallows answers gets no extra tries. Twenty times a front
// drops the vault's reply to a registration, each time at another message, and the product's
// client takes it up again: it names one generation, in all its requests, and no more answers
// than tries are given for it.
func TestPromise07(t *testing.T) {
	inWorlds(t, named("soft-bolt"), func(t *testing.T, w *world) {
		f := w.newFront(t)
		c := w.client(f.address, f.link, vault.RemoteOptions{})
		root := crypto.NewRootKey()
		slot := swallowed(t, f, c, root, nil, "first")
		got, _, err := c.Open(t.Context(), slot, secret("first"))
		if err != nil || !got.Equal(root) {
			t.Fatalf("after all of it: %v", err)
		}
		next := swallowed(t, f, c, root, &slot, "second")
		if next.Generation != slot.Generation+1 {
			t.Fatalf("generation %d after %d", next.Generation, slot.Generation)
		}
		got, _, err = c.Open(t.Context(), next, secret("second"))
		if err != nil || !got.Equal(root) {
			t.Fatalf("after a password change: %v", err)
		}
	})
}

// A loss is what happens to one message of a registration.
type loss struct {
	kind protocol.Kind
	fate fate
}

// losses are twenty retries. Begin and commit may be asked as often as one likes; what counts
// are the answers to tries.
func losses() (all []loss) {
	for _, l := range []struct {
		loss
		times int
	}{
		{loss{protocol.KindBegin, replyIsLost}, 8},
		{loss{protocol.KindCommit, neverArrives}, 4},
		{loss{protocol.KindCommit, replyIsLost}, 1},
		{loss{protocol.KindExpose, replyIsLost}, 5},
		{loss{protocol.KindFinish, neverArrives}, 2},
	} {
		for range l.times {
			all = append(all, l.loss)
		}
	}
	return all
}

// swallowed registers a password while twenty replies are lost.
func swallowed(t *testing.T, f *front, c *vault.Client, root crypto.RootKey, old *vault.Slot, password string) vault.Slot {
	t.Helper()
	from := len(f.passed())
	var pending vault.Pending
	for i, l := range losses() {
		lost := 0
		f.obey(func(x *passing) fate {
			if x.kind == l.kind {
				lost++
				return l.fate
			}
			return passes
		})
		var err error
		if i == 0 {
			_, err = c.Enroll(t.Context(), root, secret(password), cheapest, old, func(p vault.Pending) error { pending = p; return nil })
		} else {
			_, err = c.Resume(t.Context(), pending, root, secret(password))
		}
		wantErr(t, "a registration whose answer was swallowed", err, vault.ErrUnknownOutcome)
		if lost != 1 {
			t.Fatalf("retry %d: %d messages %d were lost", i, lost, l.kind)
		}
	}
	f.obey(nil)
	slot, err := c.Resume(t.Context(), pending, root, secret(password))
	must(t, err)
	mustBeOneGeneration(t, f.passed()[from:], slot, old)
	t.Logf("%d replies were lost, %d answers to tries given", len(losses()), exposures(f, from))
	return slot
}

// exposures counts the tries that were answered.
func exposures(f *front, from int) (n int) {
	for _, x := range f.passed()[from:] {
		if (x.kind == protocol.KindExpose || x.kind == protocol.KindAttempt) && x.innerReply != nil && !x.refused() {
			n++
		}
	}
	return n
}

// mustBeOneGeneration: all that was asked was about the generation of slot, but for the
// status of an old one; and at most so many tries as there are were answered.
func mustBeOneGeneration(t *testing.T, all []*passing, slot vault.Slot, old *vault.Slot) {
	t.Helper()
	begun, answers := 0, 0
	for _, x := range all {
		if x.header.Record != slot.Record {
			t.Errorf("a %v about another record", x.kind)
		}
		if old != nil && x.header.Generation == old.Generation && x.kind == protocol.KindStatus {
			continue
		}
		if x.header.Generation != slot.Generation {
			t.Errorf("a request %d about generation %d", x.kind, x.header.Generation)
		}
		switch x.kind {
		case protocol.KindBegin:
			begun++
		case protocol.KindExpose, protocol.KindAttempt:
			if x.innerReply != nil && !x.refused() {
				answers++
			}
		}
	}
	if begun < 2 || answers > tries {
		t.Errorf("%d registrations begun, %d tries answered", begun, answers)
	}
}
