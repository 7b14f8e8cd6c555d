package vault_test

import (
	"testing"

	"coffer/vault/protocol"
)

// TestPromise04: a right try gives all tries back. Nine wrong ones and a right one, ten
// times over.
func TestPromise04(t *testing.T) {
	inWorlds(t, everywhere, func(t *testing.T, w *world) {
		ctx := t.Context()
		g := w.registered("right")
		for round := range 10 {
			for i := range tries - 1 {
				a, err := g.Ask(ctx, "wrong", 0)
				must(t, err)
				if want := tries - 1 - i; a.Left != want {
					t.Fatalf("round %d, wrong try %d: %d left, want %d", round, i, a.Left, want)
				}
				_, err = g.Finish(ctx, a)
				wantErr(t, "a wrong password", err, protocol.ErrWrongPassword)
			}
			root, err := g.Guess(ctx, "right") // with the last try
			if err != nil || !root.Equal(g.Root) {
				t.Fatalf("round %d: the right password: %v", round, err)
			}
			must(t, g.ArmAgain(ctx))
			s, err := g.Status(ctx)
			if err != nil || s.Left != tries || s.State != protocol.StateActive {
				t.Fatalf("round %d: %+v, %v", round, s, err)
			}
		}
	})
}
