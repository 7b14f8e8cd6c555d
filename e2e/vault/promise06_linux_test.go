package vault_test

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"testing"

	"coffer/vault/protocol"
	"coffer/vault/vaulttest"
)

// A tapped is a door that keeps what passes, as it is inside of the envelopes.
type tapped struct {
	vaulttest.Door
	mu   sync.Mutex
	seen []said // guarded by mu
}

type said struct {
	kind           protocol.Kind
	request, reply []byte
}

func (d *tapped) Exchange(ctx context.Context, kind protocol.Kind, sign func([32]byte) []byte) ([]byte, error) {
	var request []byte
	reply, err := d.Door.Exchange(ctx, kind, func(binding [32]byte) []byte {
		request = sign(binding)
		return request
	})
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seen = append(d.seen, said{kind, bytes.Clone(request), bytes.Clone(reply)})
	return reply, err
}

// TestPromise06: no password, no release. Nothing of the wrapped key, nor of the release
// secret, comes back before a valid KE3; after one it comes sealed for who has made it; and
// the owner sees every opening in the log.
func TestPromise06(t *testing.T) {
	inWorlds(t, everywhere, func(t *testing.T, w *world) {
		ctx := t.Context()
		g := w.guesser()
		tap := &tapped{Door: g.Door}
		g.Door = tap
		must(t, g.Register(ctx, "right"))
		commit := tap.commit(t)
		from := len(tap.seen)
		for i := range 4 {
			a, err := g.Ask(ctx, "wrong", 0)
			must(t, err)
			if i%2 == 0 {
				a.KE3 = bytes.Repeat([]byte{byte(i + 1)}, protocol.KE3Size)
			}
			_, err = g.Finish(ctx, a)
			wantErr(t, "a KE3 that is none", err, protocol.ErrWrongPassword)
			_, err = g.Finish(ctx, a)
			wantErr(t, "a second KE3", err, protocol.ErrAttemptOver)
		}
		a, err := g.Ask(ctx, "right", 0)
		must(t, err)
		before := tap.seen[from:]
		for _, part := range []struct {
			name  string
			bytes []byte
		}{{"the wrapped key", commit.Wrapped[:]}, {"the release secret", commit.Release[:]}} {
			for _, s := range before {
				mustNotShare(t, part.name, part.bytes, s)
			}
		}
		if len(before) < 10 {
			t.Fatalf("only %d messages", len(before))
		}
		root, err := g.Finish(ctx, a)
		if err != nil || !root.Equal(g.Root) {
			t.Fatalf("the right KE3: %v", err)
		}
		last := tap.seen[len(tap.seen)-1]
		mustNotShare(t, "the wrapped key", commit.Wrapped[:], last) // sealed under the session key
		must(t, g.ArmAgain(ctx))
		mustBeLogged(t, g)
	})
}

// A committed is what was registered.
type committed struct{ *protocol.Commit }

// isIn reports whether a record's bytes hold any of it.
func (c committed) isIn(body []byte) bool {
	return bytes.Contains(body, c.Release[:]) || bytes.Contains(body, c.Wrapped[:]) || bytes.Contains(body, c.Registration[:])
}

func (d *tapped) commit(t *testing.T) committed {
	t.Helper()
	at := slices.IndexFunc(d.seen, func(s said) bool { return s.kind == protocol.KindCommit })
	if at < 0 {
		t.Fatal("nothing was registered")
	}
	m, err := protocol.Parse[protocol.Commit](protocol.NewPrefix(protocol.KindCommit), d.seen[at].request)
	must(t, err)
	return committed{m}
}

// mustNotShare: no eight bytes of a secret stand in a reply.
func mustNotShare(t *testing.T, name string, secret []byte, s said) {
	t.Helper()
	for at := 0; at+8 <= len(secret); at++ {
		if bytes.Contains(s.reply, secret[at:at+8]) {
			t.Fatalf("a part of %s is in the reply to %d", name, s.kind)
		}
	}
}

// mustBeLogged: two openings, the exposing and the right one, and every other try.
func mustBeLogged(t *testing.T, g *vaulttest.Guesser) {
	t.Helper()
	reply, err := g.Send(t.Context(), protocol.KindLog, protocol.Encode(&protocol.Act{Header: g.Header(protocol.KindLog)}))
	must(t, err)
	events, err := protocol.ParseLog(reply)
	must(t, err)
	count := map[protocol.EventKind]int{}
	for _, e := range events {
		count[e.Kind]++
	}
	if count[protocol.EventRight] != 2 || count[protocol.EventWrong] != 4 || count[protocol.EventTry] != 6 {
		t.Fatalf("the log has %v", count)
	}
}
