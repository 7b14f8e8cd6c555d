// Package sealtest says when a sealer is right: a sealer is done when it passes.
//
// Words are those of package seal. A test of a sealer calls [Run] with a function that
// makes one, and with [Options] for what sealers may differ in.
package sealtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"coffer/vault/server/seal"
)

// Options say what a sealer is allowed, and what the tests need to know. The zero value
// allows nothing.
type Options struct {
	// KeysInHandle: the record key lies in the handle, so a saved handle outlives DestroyKey.
	KeysInHandle bool
	// ReferenceIsKey: the reference is the OPRF key, in which every change makes another key.
	ReferenceIsKey bool
	// KeepsOPRF: OPRF keys live outside of the reference, and DestroyOPRF destroys them.
	KeepsOPRF bool
	// Instant: the sealer waits for nothing, so it does not look at contexts.
	Instant bool
	// OPRFKey returns the OPRF key of a reference, where a test can know it; else nil.
	OPRFKey func(t *testing.T, s seal.Sealer, id seal.ID, reference []byte) []byte

	// Owner and Sign are needed for a [seal.Counter]: the key of its guards, and its
	// signature of what a challenge wants to be signed.
	Owner [33]byte
	Sign  func(t *testing.T, challenge []byte) [64]byte
}

// A suite is one test's view of a sealer.
type suite struct {
	Options
	s      seal.Sealer
	reopen func() seal.Sealer
}

// Run tests the sealers that open gives: s is open and may hold records of other
// tests; each call of reopen closes the last one, and opens the same one again. open
// closes the last one with t.Cleanup.
func Run(t *testing.T, opts Options, open func(t *testing.T) (s seal.Sealer, reopen func() seal.Sealer)) {
	tests := []struct {
		name string
		run  func(t *testing.T, s *suite)
	}{
		{"WhatIsSealedOpensAfterReopening", sealed},
		{"WhatWasChangedIsRefused", changed},
		{"NothingIsMadeTwice", fresh},
		{"ADestroyedKeyOpensNothing", destroyed},
		{"OPRFIsAProduct", product},
		{"OPRFKeysDiffer", oprfKeys},
		{"OPAQUERunsThroughEvaluate", opaqueLogin},
		{"ForeignReferencesAreRefused", references},
		{"ADestroyedOPRFIsGone", destroyedOPRF},
		{"ManyAtOnce", many},
		{"CancelledContexts", cancelled},
		{"PrintsNothing", prints},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.run(t, start(t, opts, open)) })
	}
	if opts.Sign != nil {
		t.Run("Counter", func(t *testing.T) { runCounter(t, opts, open) })
	}
}

func start(t *testing.T, opts Options, open func(t *testing.T) (seal.Sealer, func() seal.Sealer)) *suite {
	t.Helper()
	s, reopen := open(t)
	if _, counts := s.(seal.Counter); counts != (opts.Sign != nil) {
		t.Fatal("Options.Sign is for a sealer that counts, and it needs one")
	}
	return &suite{opts, s, reopen}
}

// again closes and opens the sealer.
func (s *suite) again() { s.s = s.reopen() }

func id(n byte) seal.ID { return seal.ID{n, 0xfe} }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t *testing.T, what string, err error, want ...error) {
	t.Helper()
	for _, w := range want {
		if errors.Is(err, w) {
			return
		}
	}
	t.Fatalf("%s: error %v, want %v", what, err, want)
}

func (s *suite) mustKey(t *testing.T, id seal.ID) []byte {
	t.Helper()
	handle, err := s.s.NewKey(t.Context(), id)
	must(t, err)
	if len(handle) == 0 || len(handle) > seal.MaxHandle {
		t.Fatalf("a handle of %d bytes", len(handle))
	}
	return handle
}

func (s *suite) mustSeal(t *testing.T, id seal.ID, handle, body []byte) []byte {
	t.Helper()
	before, name := bytes.Clone(body), bytes.Clone(handle)
	sealed, err := s.s.Seal(t.Context(), id, handle, body)
	must(t, err)
	if !bytes.Equal(before, body) || !bytes.Equal(name, handle) {
		t.Fatal("Seal changed its arguments")
	}
	return sealed
}

func (s *suite) mustOpen(t *testing.T, id seal.ID, handle, sealed, want []byte) {
	t.Helper()
	got, err := s.s.Open(t.Context(), id, handle, sealed)
	must(t, err)
	if !bytes.Equal(got, want) {
		t.Fatalf("opened %d bytes, want %d", len(got), len(want))
	}
	clear(got) // it is the caller's own
}

func (s *suite) refuseOpen(t *testing.T, what string, id seal.ID, handle, sealed []byte) {
	t.Helper()
	got, err := s.s.Open(t.Context(), id, handle, sealed)
	wantErr(t, what, err, seal.ErrOpen)
	if got != nil {
		t.Fatalf("%s: refused, and gave %d bytes", what, len(got))
	}
}

// body is long enough not to occur by chance.
func body(n int) []byte { return bytes.Repeat([]byte("the body of a record; "), n/22+1)[:n] }

func sealed(t *testing.T, s *suite) {
	type row struct{ handle, sealed, body []byte }
	var rows []row
	for i, n := range []int{1, 15, 16, 17, 300, 16 << 10} {
		r := row{handle: s.mustKey(t, id(byte(i))), body: body(n)}
		r.sealed = s.mustSeal(t, id(byte(i)), r.handle, r.body)
		if n > 15 && bytes.Contains(r.sealed, r.body) {
			t.Fatal("what is sealed can be read")
		}
		rows = append(rows, r)
	}
	for range 2 {
		for i, r := range rows {
			s.mustOpen(t, id(byte(i)), r.handle, r.sealed, r.body)
			s.mustOpen(t, id(byte(i)), r.handle, s.mustSeal(t, id(byte(i)), r.handle, r.body), r.body)
		}
		s.again()
	}
}

func changed(t *testing.T, s *suite) {
	handle, other := s.mustKey(t, id(1)), s.mustKey(t, id(1))
	foreign := s.mustKey(t, id(2))
	box := s.mustSeal(t, id(1), handle, body(60))
	s.refuseOpen(t, "other record", id(2), handle, box)
	s.refuseOpen(t, "other record key", id(1), other, box)
	s.refuseOpen(t, "another's record key", id(1), foreign, box)
	s.refuseOpen(t, "another's record and key", id(2), foreign, box)
	s.refuseOpen(t, "no handle", id(1), nil, box)
	s.refuseOpen(t, "handle of zeros", id(1), make([]byte, len(handle)), box)
	for _, x := range mangled(box) {
		s.refuseOpen(t, "sealed "+x.what, id(1), handle, x.b)
	}
	for _, x := range mangled(handle) {
		s.refuseOpen(t, "handle "+x.what, id(1), x.b, box)
	}
	_, err := s.s.Seal(t.Context(), id(2), handle, body(60))
	wantErr(t, "seal another's record", err, seal.ErrOpen)
	_, err = s.s.Seal(t.Context(), id(1), handle[:len(handle)-1], body(60))
	wantErr(t, "seal under a cut handle", err, seal.ErrOpen)
	s.mustOpen(t, id(1), handle, box, body(60))
}

type mangling struct {
	what string
	b    []byte
}

// mangled returns every prefix of b, b with each byte changed, and b with one more.
func mangled(b []byte) []mangling {
	all := []mangling{{"longer", append(bytes.Clone(b), 0)}}
	for i := range b {
		x := bytes.Clone(b)
		x[i] ^= 1 << (i % 8)
		all = append(all, mangling{fmt.Sprintf("cut at %d", i), b[:i:i]}, mangling{fmt.Sprintf("changed at %d", i), x})
	}
	return all
}

func fresh(t *testing.T, s *suite) {
	seen := map[string]bool{}
	once := func(what string, b []byte) {
		t.Helper()
		if seen[string(b)] {
			t.Fatalf("%s made twice", what)
		}
		seen[string(b)] = true
	}
	for range 5 {
		handle := s.mustKey(t, id(1))
		once("a handle", handle)
		once("a box", s.mustSeal(t, id(1), handle, body(30)))
		once("a box", s.mustSeal(t, id(1), handle, body(30)))
		once("a reference", s.mustOPRF(t, id(1), 10))
		s.again()
	}
}

func destroyed(t *testing.T, s *suite) {
	handle, stays := s.mustKey(t, id(1)), s.mustKey(t, id(1))
	box, kept := s.mustSeal(t, id(1), handle, body(60)), s.mustSeal(t, id(1), stays, body(61))
	s.mustOpen(t, id(1), handle, box, body(60)) // a sealer may remember it by now
	savedHandle, savedBox := bytes.Clone(handle), bytes.Clone(box)
	must(t, s.s.DestroyKey(t.Context(), id(1), handle))
	for range 2 {
		if !s.KeysInHandle {
			s.refuseOpen(t, "destroyed", id(1), savedHandle, savedBox)
			_, err := s.s.Seal(t.Context(), id(1), savedHandle, body(60))
			wantErr(t, "seal under a destroyed key", err, seal.ErrOpen)
		}
		s.mustOpen(t, id(1), stays, kept, body(61))
		s.again()
		must(t, s.s.DestroyKey(t.Context(), id(1), handle))
	}
}

func cancelled(t *testing.T, s *suite) {
	handle := s.mustKey(t, id(1))
	box := s.mustSeal(t, id(1), handle, body(60))
	reference := s.mustOPRF(t, id(1), 10)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	// In this order: an instant sealer does what it is told, and the last two take away what the others use.
	for _, step := range []struct {
		name string
		call func() ([]byte, error)
	}{
		{"NewKey", func() ([]byte, error) { return s.s.NewKey(ctx, id(1)) }},
		{"Seal", func() ([]byte, error) { return s.s.Seal(ctx, id(1), handle, body(60)) }},
		{"Open", func() ([]byte, error) { return s.s.Open(ctx, id(1), handle, box) }},
		{"NewOPRF", func() ([]byte, error) { return s.s.NewOPRF(ctx, id(1), s.guard(10)) }},
		{"Evaluate", func() ([]byte, error) { return s.s.Evaluate(ctx, id(1), reference, generator()) }},
		{"DestroyKey", func() ([]byte, error) { return nil, s.s.DestroyKey(ctx, id(1), handle) }},
		{"DestroyOPRF", func() ([]byte, error) { return nil, s.s.DestroyOPRF(ctx, id(1), reference) }},
	} {
		got, err := step.call()
		if s.Instant && err == nil {
			continue
		}
		if err == nil && step.name == "DestroyOPRF" && !s.KeepsOPRF {
			continue // there is nothing to do, and nothing to wait for
		}
		wantErr(t, step.name+" after its context ended", err, context.Canceled)
		if got != nil {
			t.Errorf("%s: failed, and gave %d bytes", step.name, len(got))
		}
	}
	if !s.Instant {
		s.mustOpen(t, id(1), handle, box, body(60))
		s.mustEvaluate(t, id(1), reference, generator())
	}
}

func prints(t *testing.T, s *suite) {
	s.mustOPRF(t, id(1), 10)
	s.mustSeal(t, id(1), s.mustKey(t, id(1)), body(60))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q", "%d"} {
		if got := fmt.Sprintf(verb, s.s); got != "[redacted]" {
			t.Errorf("%s prints %d bytes, not [redacted]", verb, len(got))
		}
	}
}
