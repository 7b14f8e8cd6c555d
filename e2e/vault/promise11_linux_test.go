package vault_test

import (
	"errors"
	"math/rand/v2"
	"testing"

	"coffer/vault"
	"coffer/vault/protocol"
)

// TestPromise11: lost is better than leaked. A front loses, cuts and bends what passes, at
// random: a client to which the outcome is unknown has no answer, and takes the try for spent;
// the vault never has charged less than the answers it gave, and never more than was asked.
func TestPromise11(t *testing.T) {
	inWorlds(t, everywhere, func(t *testing.T, w *world) {
		f := w.newFront(t)
		through := w.doorAt(f.address, f.link)
		rounds := map[bool]int{true: 3, false: 12}[onTPM(w)]
		counts := map[outcome]int{}
		for range rounds {
			g := w.registered("right")
			direct := g.Door
			g.Door = through
			f.obey(func(x *passing) fate {
				if x.kind != protocol.KindAttempt {
					return passes
				}
				return fate(rand.N(int(replyIsBent) + 1))
			})
			answers, lost := 0, 0
			for number := uint64(registered + 1); answers+lost < tries; number++ {
				a, err := g.Ask(t.Context(), "wrong", number)
				out := outcomeOf(err)
				counts[out]++
				switch out {
				case answered:
					answers++
				case unknown:
					lost++
					if a != nil || !errors.Is(err, protocol.ErrUnknownOutcome) {
						t.Fatalf("an unknown outcome with an answer: %v", err)
					}
				case over:
					t.Fatalf("over after %d answers and %d of unknown outcome", answers, lost)
				case used:
					t.Fatalf("number %d was used", number)
				}
				if s, err := g.Status(t.Context()); err != nil {
					t.Fatal(err)
				} else if number = s.Serial; int(s.Serial)-registered < answers || int(s.Serial)-registered > answers+lost {
					t.Fatalf("%d answers, %d of unknown outcome, %d charged", answers, lost, s.Serial-registered)
				}
			}
			g.Door = direct
			s, err := g.Status(t.Context())
			// What the client takes for spent is never less than what is spent.
			if err != nil || int(s.Left) < tries-answers-lost {
				t.Fatalf("%d answers, %d of unknown outcome: %+v, %v", answers, lost, s, err)
			}
		}
		if counts[unknown] == 0 || counts[answered] == 0 {
			t.Fatalf("%v: nothing was proven", counts)
		}
		t.Logf("%d records: %d answers, %d of unknown outcome", rounds, counts[answered], counts[unknown])
	})
}

// TestPromise11Client: the product's own client says so of each of these ends.
func TestPromise11Client(t *testing.T) {
	inWorlds(t, named("soft-bolt"), func(t *testing.T, w *world) {
		g := w.registered("right")
		f := w.newFront(t)
		for _, what := range []fate{neverArrives, replyIsLost, replyIsCut, replyIsBent} {
			f.obey(func(x *passing) fate {
				if x.kind == protocol.KindAttempt {
					return what
				}
				return passes
			})
			c := w.client(f.address, f.link, vault.RemoteOptions{})
			_, _, err := c.Open(t.Context(), w.slotOf(g), secret("right"))
			var said *vault.AttemptError
			if !errors.As(err, &said) || !errors.Is(said, vault.ErrUnknownOutcome) || errors.Is(err, vault.ErrOffline) {
				t.Errorf("fate %d: %v", what, err)
			}
		}
		s, err := g.Status(t.Context())
		if err != nil || s.Serial != registered+3 {
			t.Fatalf("three of the four arrived: %+v, %v", s, err)
		}
	})
}
