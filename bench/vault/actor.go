package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"coffer/crypto/aead"
	"coffer/vault/protocol"
	"coffer/vault/vaulttest"
)

// An actor has one record at a time and does to it what people do, and thieves. It knows
// what it did, so it knows what the vault must say.
type actor struct {
	t *target
	g *vaulttest.Guesser // nil: no record

	// What is certain about the tries: since serial was base, answered ones were answered,
	// and unknown ones perhaps charged.
	base              uint64
	answered, unknown int
	generation        uint64 // the highest that was ever begun
}

func newActor(t *target) *actor { return &actor{t: t} }

func (a *actor) work(ctx context.Context, running func() bool) {
	for running() {
		if !a.ready(ctx) {
			rest(ctx, 100*time.Millisecond) // killed, or not back yet
			continue
		}
		a.act(ctx)
	}
}

// act does one of the things, right openings mostly.
func (a *actor) act(ctx context.Context) {
	switch n := rand.N(100); {
	case n < 50:
		a.open(ctx)
	case n < 70:
		a.guess(ctx)
	case n < 78:
		a.readLog(ctx)
	case n < 84:
		a.nonsense(ctx)
	case n < 89:
		a.stranger(ctx)
	case n < 93:
		a.reset(ctx)
	case n < 96:
		a.freeze(ctx)
	case n < 98:
		a.changePassword(ctx)
	case n < 99:
		a.burn(ctx)
	default:
		a.destroy(ctx)
	}
}

// ready makes a record where there is none, and compares what the vault says about it with
// what is certain.
func (a *actor) ready(ctx context.Context) bool {
	if a.g == nil {
		g := vaulttest.NewGuesser(a.t.door, a.t.door.Bundle.VaultID, a.t.key)
		begun := time.Now()
		if !a.t.explain("register", begun, g.Register(ctx, password), nil) {
			return false // a record that nobody will ever ask for
		}
		*a = actor{t: a.t, g: g, answered: 1, generation: 1}
	}
	s, ok := a.status(ctx)
	if !ok {
		return false
	}
	if low := a.base + uint64(a.answered); s.Serial < low || s.Serial > low+uint64(a.unknown) {
		a.t.broken("%d answers and %d unknown outcomes after serial %d, and now serial %d", a.answered, a.unknown, a.base, s.Serial)
	}
	a.base, a.answered, a.unknown = s.Serial, 0, 0
	if s.State == protocol.StateFrozen { // the answer to an unfreezing was lost
		begun := time.Now()
		_, err := a.g.Act(ctx, protocol.KindUnfreeze)
		return a.t.explain("unfreeze", begun, err, nil)
	}
	if s.Left <= 3 { // answers to right tries were lost: nothing but a right one from here on
		a.open(ctx)
		return false
	}
	return true
}

func (a *actor) status(ctx context.Context) (*protocol.StatusReply, bool) {
	begun := time.Now()
	s, err := a.g.Status(ctx)
	return s, a.t.explain("status", begun, err, nil)
}

// ask buys an answer.
func (a *actor) ask(ctx context.Context, what, word string, want error) *vaulttest.Answer {
	begun := time.Now()
	answer, err := a.g.Ask(ctx, word, a.base+uint64(a.answered)+1)
	switch {
	case err == nil:
		a.answered++
	case errors.Is(err, protocol.ErrUnknownOutcome):
		a.unknown++
	}
	if !a.t.explain(what, begun, err, want) || err != nil {
		return nil
	}
	return answer
}

func (a *actor) open(ctx context.Context) {
	answer := a.ask(ctx, "right try", password, nil)
	if answer == nil {
		return
	}
	if answer.KE3 == nil {
		a.t.broken("the right password is wrong")
		return
	}
	begun := time.Now()
	root, err := a.g.Finish(ctx, answer)
	if a.t.explain("right finish", begun, err, nil) && !root.Equal(a.g.Root) {
		a.t.broken("another root key came out than went in")
	}
}

// guess makes a wrong try, and then a right one, which must give all tries back.
func (a *actor) guess(ctx context.Context) {
	answer := a.ask(ctx, "wrong try", "wrong", nil)
	if answer == nil {
		return
	}
	if answer.KE3 != nil {
		a.t.broken("a wrong password is right")
	}
	begun := time.Now()
	_, err := a.g.Finish(ctx, answer)
	if !a.t.explain("wrong finish", begun, err, protocol.ErrWrongPassword) {
		return
	}
	if right := a.ask(ctx, "right try", password, nil); right != nil {
		begun := time.Now()
		_, err := a.g.Finish(ctx, right)
		if !a.t.explain("right finish", begun, err, nil) {
			return
		}
		if s, ok := a.status(ctx); ok && int(s.Left) != int(s.Tries) {
			a.t.broken("a right try left %d of %d", s.Left, s.Tries)
		}
	}
}

func (a *actor) readLog(ctx context.Context) {
	begun := time.Now()
	_, err := a.g.Send(ctx, protocol.KindLog, protocol.Encode(&protocol.Act{Header: a.g.Header(protocol.KindLog)}))
	a.t.explain("log", begun, err, nil)
}

// nonsense sends an envelope of random bytes.
func (a *actor) nonsense(ctx context.Context) {
	begun := time.Now()
	_, err := a.t.door.Exchange(ctx, protocol.KindAttempt, func([32]byte) []byte { return aead.Random(1 + rand.N(2000)) })
	a.t.explain("nonsense", begun, err, protocol.ErrMalformed)
}

// stranger asks without the cloud share.
func (a *actor) stranger(ctx context.Context) {
	stranger := *a.g
	stranger.CloudShare = [32]byte(aead.Random(32))
	begun := time.Now()
	_, err := stranger.Ask(ctx, password, a.base+uint64(a.answered)+1)
	a.t.explain("stranger", begun, err, protocol.ErrUnknownRecord)
}

func (a *actor) reset(ctx context.Context) {
	begun := time.Now()
	_, err := a.g.Act(ctx, protocol.KindReset)
	if !a.t.explain("reset", begun, err, nil) {
		return
	}
	if s, ok := a.status(ctx); ok && int(s.Left) != int(s.Tries) {
		a.t.broken("a reset left %d of %d", s.Left, s.Tries)
	}
}

func (a *actor) freeze(ctx context.Context) {
	begun := time.Now()
	_, err := a.g.Act(ctx, protocol.KindFreeze)
	if !a.t.explain("freeze", begun, err, nil) {
		return
	}
	a.ask(ctx, "try while frozen", password, protocol.ErrFrozen)
	begun = time.Now()
	_, err = a.g.Act(ctx, protocol.KindUnfreeze)
	a.t.explain("unfreeze", begun, err, nil)
}

// changePassword brings a new generation in. When a kill comes in between, either the old
// one is active or the new one.
func (a *actor) changePassword(ctx context.Context) {
	next := a.g.Next()
	a.generation++
	next.Generation = a.generation
	a.unknown++ // the exposing is a try
	begun := time.Now()
	if a.t.explain("change", begun, next.Register(ctx, password), nil) {
		a.g = next
		return
	}
	for ctx.Err() == nil {
		begun := time.Now()
		_, err := a.g.Status(ctx)
		switch {
		case err == nil:
			return
		case errors.Is(err, protocol.ErrUnknownRecord):
			a.g = next // the old generation is gone: if the new one is not there, the next status says so
			return
		}
		if !a.t.wasAway(begun, time.Now()) {
			a.t.explain("status after a change", begun, err, nil)
			a.g = nil
			return
		}
		rest(ctx, 100*time.Millisecond)
	}
}

// burn guesses until the key is gone, and counts what it got for it.
func (a *actor) burn(ctx context.Context) {
	tries := 0
	for {
		s, ok := a.status(ctx)
		if !ok {
			break
		}
		if tries == 0 {
			tries = int(s.Left)
		}
		a.base, a.answered, a.unknown = s.Serial, 0, 0
		if s.State == protocol.StateDestroyed {
			a.ask(ctx, "try after destruction", password, protocol.ErrDestroyed)
			break
		}
		answer := a.ask(ctx, "wrong try", "wrong", nil)
		if answer == nil {
			break
		}
		if tries--; tries < 0 {
			a.t.broken("more answers than tries")
		}
		want := protocol.ErrWrongPassword
		if s.Left == 1 {
			want = protocol.ErrDestroyed
		}
		begun := time.Now()
		_, err := a.g.Finish(ctx, answer)
		if !a.t.explain("wrong finish", begun, err, want) {
			break
		}
	}
	a.g = nil
}

func (a *actor) destroy(ctx context.Context) {
	begun := time.Now()
	_, err := a.g.Act(ctx, protocol.KindDestroy)
	if a.t.explain("destroy", begun, err, nil) {
		a.ask(ctx, "try after destruction", password, protocol.ErrDestroyed)
	}
	a.g = nil
}
