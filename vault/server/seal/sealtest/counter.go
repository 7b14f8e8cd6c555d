package sealtest

import (
	"errors"
	"sync"
	"testing"

	"coffer/vault/server/seal"
)

// runCounter tests what a [seal.Counter] promises beyond a Sealer.
func runCounter(t *testing.T, opts Options, open func(t *testing.T) (seal.Sealer, func() seal.Sealer)) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, s *suite)
	}{
		{"UnarmedEvaluatesNothing", unarmed},
		{"ExactlyTheTriesAndArmedAgain", exactly},
		{"GuessersAtOnceGetExactlyTheTries", guessers},
		{"CountsAreEachKeysOwn", ownCounts},
		{"ReopeningForgetsNoTry", reopened},
		{"ASessionArmsOnce", sessions},
		{"OnlyTheOwnerArms", forged},
		{"EvidenceIsBounded", evidence},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, start(t, opts, open)) })
	}
}

func (s *suite) counter() seal.Counter { return s.s.(seal.Counter) }

// arm does nothing for a sealer that does not count.
func (s *suite) arm(t *testing.T, id seal.ID, reference []byte) {
	t.Helper()
	if _, ok := s.s.(seal.Counter); !ok {
		return
	}
	session, challenge := s.mustChallenge(t, id, reference)
	must(t, s.counter().Arm(t.Context(), id, reference, session, s.Sign(t, challenge)))
}

func (s *suite) mustChallenge(t *testing.T, id seal.ID, reference []byte) (session [16]byte, challenge []byte) {
	t.Helper()
	session, challenge, err := s.counter().Challenge(t.Context(), id, reference)
	must(t, err)
	if len(challenge) == 0 || len(challenge) > seal.MaxChallenge {
		t.Fatalf("a challenge of %d bytes", len(challenge))
	}
	return session, challenge
}

func (s *suite) wantLeft(t *testing.T, id seal.ID, reference []byte, want int) {
	t.Helper()
	left, err := s.counter().Left(t.Context(), id, reference)
	must(t, err)
	if left != want {
		t.Fatalf("%d tries left, want %d", left, want)
	}
}

func (s *suite) refuseUnarmed(t *testing.T, id seal.ID, reference []byte) {
	t.Helper()
	got, err := s.s.Evaluate(t.Context(), id, reference, generator())
	wantErr(t, "evaluate without a try", err, seal.ErrUnarmed)
	if got != nil {
		t.Fatal("refused, and evaluated")
	}
}

func unarmed(t *testing.T, s *suite) {
	reference := s.mustUnarmed(t, id(1), 5)
	for range 2 {
		s.wantLeft(t, id(1), reference, 0)
		s.refuseUnarmed(t, id(1), reference)
		s.again()
	}
}

func exactly(t *testing.T, s *suite) {
	reference := s.mustUnarmed(t, id(1), 3)
	for range 2 {
		s.arm(t, id(1), reference)
		for left := 3; left > 0; left-- {
			s.wantLeft(t, id(1), reference, left)
			s.mustEvaluate(t, id(1), reference, generator())
		}
		s.wantLeft(t, id(1), reference, 0)
		s.refuseUnarmed(t, id(1), reference)
		s.refuseUnarmed(t, id(1), reference)
	}
	s.arm(t, id(1), reference)
	s.mustEvaluate(t, id(1), reference, generator())
	s.arm(t, id(1), reference) // before the tries are used: they do not add up
	s.wantLeft(t, id(1), reference, 3)
}

func guessers(t *testing.T, s *suite) {
	const n, tries = 64, 10
	reference := s.mustOPRF(t, id(1), tries)
	errs := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { _, errs[i] = s.s.Evaluate(t.Context(), id(1), reference, generator()) })
	}
	all.Wait()
	answers := 0
	for _, err := range errs {
		if err == nil {
			answers++
		} else if !errors.Is(err, seal.ErrUnarmed) {
			t.Errorf("refused with %v", err)
		}
	}
	if answers != tries {
		t.Fatalf("%d answers, want %d", answers, tries)
	}
	s.wantLeft(t, id(1), reference, 0)
}

func ownCounts(t *testing.T, s *suite) {
	one, two := s.mustOPRF(t, id(1), 2), s.mustOPRF(t, id(2), 4)
	s.mustEvaluate(t, id(1), one, generator())
	s.mustEvaluate(t, id(1), one, generator())
	s.refuseUnarmed(t, id(1), one)
	s.wantLeft(t, id(2), two, 4)
	s.arm(t, id(1), one)
	s.wantLeft(t, id(1), one, 2)
	s.wantLeft(t, id(2), two, 4)
}

func reopened(t *testing.T, s *suite) {
	reference := s.mustOPRF(t, id(1), 3)
	for left := 3; left > 0; left-- {
		s.wantLeft(t, id(1), reference, left)
		s.mustEvaluate(t, id(1), reference, generator())
		s.again()
	}
	s.refuseUnarmed(t, id(1), reference)
}

func sessions(t *testing.T, s *suite) {
	reference, other := s.mustUnarmed(t, id(1), 5), s.mustUnarmed(t, id(2), 5)
	session, challenge := s.mustChallenge(t, id(1), reference)
	signature := s.Sign(t, challenge)
	arm := func(id seal.ID, reference []byte, session [16]byte, signature [64]byte) error {
		return s.counter().Arm(t.Context(), id, reference, session, signature)
	}
	wantErr(t, "a session that never was", arm(id(1), reference, [16]byte{1}, signature), seal.ErrSession)
	foreign, foreignChallenge := s.mustChallenge(t, id(2), other)
	if foreign == session {
		t.Fatal("two sessions are one")
	}
	wantErr(t, "another key's session", arm(id(1), reference, foreign, s.Sign(t, foreignChallenge)), seal.ErrSession)
	s.wantLeft(t, id(1), reference, 0)
	s.wantLeft(t, id(2), other, 0)
	must(t, arm(id(1), reference, session, signature))
	s.mustEvaluate(t, id(1), reference, generator())
	wantErr(t, "a used session", arm(id(1), reference, session, signature), seal.ErrSession)
	s.wantLeft(t, id(1), reference, 4)
	fresh, _ := s.mustChallenge(t, id(1), reference)
	wantErr(t, "a replayed signature", arm(id(1), reference, fresh, signature), seal.ErrSession)
	s.wantLeft(t, id(1), reference, 4)
}

func forged(t *testing.T, s *suite) {
	reference := s.mustUnarmed(t, id(1), 5)
	for i := range 4 {
		session, challenge := s.mustChallenge(t, id(1), reference)
		signature := s.Sign(t, challenge)
		signature[i*21] ^= 1
		wantErr(t, "a changed signature", s.counter().Arm(t.Context(), id(1), reference, session, signature), seal.ErrSession)
	}
	session, _ := s.mustChallenge(t, id(1), reference)
	wantErr(t, "no signature", s.counter().Arm(t.Context(), id(1), reference, session, [64]byte{}), seal.ErrSession)
	s.wantLeft(t, id(1), reference, 0)
	s.refuseUnarmed(t, id(1), reference)
}

func evidence(t *testing.T, s *suite) {
	reference := s.mustOPRF(t, id(1), 5)
	got, err := s.counter().Evidence(t.Context(), id(1), reference, [32]byte{1})
	must(t, err)
	if len(got) == 0 || len(got) > seal.MaxEvidence {
		t.Fatalf("evidence of %d bytes", len(got))
	}
	if _, err := s.counter().Evidence(t.Context(), id(1), nil, [32]byte{1}); err == nil {
		t.Fatal("evidence of nothing")
	}
	s.wantLeft(t, id(1), reference, 5)
}
