package sealtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sync"
	"testing"

	"coffer/crypto/opaque"
	"coffer/vault/server/seal"
)

// generator returns the generator of P-256, compressed (SEC 2, 2.4.2).
func generator() []byte {
	b, err := hex.DecodeString("036b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296")
	if err != nil {
		panic(err)
	}
	return b
}

// negated returns -point.
func negated(point []byte) []byte {
	p := bytes.Clone(point)
	p[0] ^= 1
	return p
}

// memory returns an evaluation in software, to compare with.
func memory(t *testing.T, key []byte) func(point []byte) []byte {
	t.Helper()
	e, err := opaque.NewEvaluator(key)
	must(t, err)
	return func(point []byte) []byte {
		t.Helper()
		p, err := e.Evaluate(point)
		must(t, err)
		return p
	}
}

func (s *suite) guard(tries int) seal.Guard { return seal.Guard{Tries: tries, Owner: s.Owner} }

// mustOPRF makes an OPRF key and, in hardware that counts, arms it.
func (s *suite) mustOPRF(t *testing.T, id seal.ID, tries int) []byte {
	t.Helper()
	reference := s.mustUnarmed(t, id, tries)
	s.arm(t, id, reference)
	return reference
}

func (s *suite) mustUnarmed(t *testing.T, id seal.ID, tries int) []byte {
	t.Helper()
	reference, err := s.s.NewOPRF(t.Context(), id, s.guard(tries))
	must(t, err)
	if len(reference) == 0 || len(reference) > seal.MaxReference {
		t.Fatalf("a reference of %d bytes", len(reference))
	}
	return reference
}

func (s *suite) mustEvaluate(t *testing.T, id seal.ID, reference, point []byte) []byte {
	t.Helper()
	before, name := bytes.Clone(point), bytes.Clone(reference)
	product, err := s.s.Evaluate(t.Context(), id, reference, point)
	must(t, err)
	must(t, opaque.CheckRegistrationRequest(product)) // a compressed point
	if !bytes.Equal(before, point) || !bytes.Equal(name, reference) {
		t.Fatal("Evaluate changed its arguments")
	}
	return product
}

// product tests with points of all kinds that a product is one: by the key where it can
// be known; and, without it, by k(aB) = a(kB) and k(-B) = -(kB).
func product(t *testing.T, s *suite) {
	reference := s.mustOPRF(t, id(1), 100)
	var software func([]byte) []byte
	if s.OPRFKey != nil {
		software = memory(t, s.OPRFKey(t, s.s, id(1), reference))
	}
	two := append(make([]byte, 31), 2)
	double := memory(t, two)(generator())
	points := [][]byte{generator(), negated(generator()), double, negated(double)}
	for range 6 {
		points = append(points, memory(t, opaque.NewOPRFKey())(generator()))
	}
	for i, point := range points {
		got := s.mustEvaluate(t, id(1), reference, point)
		if software != nil && !bytes.Equal(got, software(point)) {
			t.Fatalf("point %d: not what software makes of it", i)
		}
		if !bytes.Equal(got, s.mustEvaluate(t, id(1), reference, point)) {
			t.Fatalf("point %d: two answers", i)
		}
		if !bytes.Equal(negated(got), s.mustEvaluate(t, id(1), reference, negated(point))) {
			t.Fatalf("point %d: k(-B) is not -(kB)", i)
		}
		a := memory(t, opaque.NewOPRFKey())
		if !bytes.Equal(a(got), s.mustEvaluate(t, id(1), reference, a(point))) {
			t.Fatalf("point %d: k(aB) is not a(kB)", i)
		}
	}
	want := s.mustEvaluate(t, id(1), reference, points[5])
	s.again()
	if !bytes.Equal(want, s.mustEvaluate(t, id(1), reference, points[5])) {
		t.Fatal("another answer after reopening")
	}
}

func oprfKeys(t *testing.T, s *suite) {
	seen := map[string]bool{}
	for i := range 6 {
		record := id(byte(i / 2)) // two of one record as well: its generations
		p := string(s.mustEvaluate(t, record, s.mustOPRF(t, record, 10), generator()))
		if seen[p] {
			t.Fatal("two OPRF keys are one")
		}
		seen[p] = true
	}
}

// evaluator is the sealer's half of package opaque.
type evaluator struct {
	ctx       context.Context
	s         seal.Sealer
	id        seal.ID
	reference []byte
}

func (e evaluator) Evaluate(blinded []byte) ([]byte, error) {
	return e.s.Evaluate(e.ctx, e.id, e.reference, blinded)
}

func opaqueLogin(t *testing.T, s *suite) {
	reference, other := s.mustOPRF(t, id(1), 10), s.mustOPRF(t, id(1), 10)
	cfg := opaque.Config{
		Context: []byte("sealtest"),
		// It must be a function of the input, and need not be slow here.
		KSF: func(input []byte) []byte { h := sha256.Sum256(input); return h[:] },
	}
	server, err := opaque.NewServer(cfg, opaque.GenerateServerKey())
	must(t, err)
	key := func(reference []byte) evaluator { return evaluator{t.Context(), s.s, id(1), reference} }
	client, err := opaque.NewClient(cfg)
	must(t, err)
	request, err := client.RegistrationRequest([]byte("right"))
	must(t, err)
	response, err := server.RegistrationResponse(request, key(reference))
	must(t, err)
	record, export, err := client.FinishRegistration(response)
	must(t, err)
	login := func(password string, reference []byte) ([]byte, error) {
		client, err := opaque.NewClient(cfg)
		must(t, err)
		ke1, err := client.KE1([]byte(password))
		must(t, err)
		ke2, state, err := server.KE2(ke1, record, key(reference))
		must(t, err)
		ke3, _, export, err := client.KE3(ke2)
		if err != nil {
			return nil, err
		}
		_, err = state.Finish(ke3)
		return export, err
	}
	for range 2 {
		got, err := login("right", reference)
		must(t, err)
		if !bytes.Equal(got, export) {
			t.Fatal("another export key")
		}
		_, err = login("wrong", reference)
		wantErr(t, "wrong password", err, opaque.ErrEnvelope)
		_, err = login("right", other)
		wantErr(t, "another OPRF key", err, opaque.ErrEnvelope)
		s.again()
	}
}

func references(t *testing.T, s *suite) {
	reference := s.mustOPRF(t, id(1), 100)
	refuse := func(what string, reference []byte) {
		t.Helper()
		got, err := s.s.Evaluate(t.Context(), id(1), reference, generator())
		// Hardware that counts may count before it looks.
		wantErr(t, "reference "+what, err, seal.ErrReference, seal.ErrUnarmed)
		if got != nil {
			t.Fatalf("reference %s: refused, and evaluated", what)
		}
	}
	refuse("empty", nil)
	refuse("of zeros", make([]byte, len(reference)))
	refuse("that is too long", make([]byte, seal.MaxReference+1))
	for _, x := range mangled(reference) {
		if !s.ReferenceIsKey || len(x.b) != len(reference) {
			refuse(x.what, x.b)
		}
	}
	s.mustEvaluate(t, id(1), s.mustOPRF(t, id(1), 10), generator())
}

func destroyedOPRF(t *testing.T, s *suite) {
	reference, stays := s.mustOPRF(t, id(1), 10), s.mustOPRF(t, id(1), 10)
	s.mustEvaluate(t, id(1), reference, generator())
	must(t, s.s.DestroyOPRF(t.Context(), id(1), reference))
	for range 2 {
		if s.KeepsOPRF {
			_, err := s.s.Evaluate(t.Context(), id(1), reference, generator())
			wantErr(t, "destroyed", err, seal.ErrReference)
		}
		s.mustEvaluate(t, id(1), stays, generator())
		s.again()
		must(t, s.s.DestroyOPRF(t.Context(), id(1), reference))
	}
}

// many runs whole lives of records at once, and one record's that all share.
func many(t *testing.T, s *suite) {
	const n = 32
	shared, handle := s.mustOPRF(t, id(99), 100), s.mustKey(t, id(99))
	box := s.mustSeal(t, id(99), handle, body(60))
	want := s.mustEvaluate(t, id(99), shared, generator())
	errs := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			errs[i] = s.life(t.Context(), id(byte(i)))
			got, err := s.s.Evaluate(t.Context(), id(99), shared, generator())
			if err != nil || !bytes.Equal(got, want) {
				errs[i] = fmt.Errorf("shared evaluation: %x, %w", got, err)
			}
			if got, err := s.s.Open(t.Context(), id(99), handle, box); err != nil || !bytes.Equal(got, body(60)) {
				errs[i] = fmt.Errorf("shared record: %d bytes, %w", len(got), err)
			}
		})
	}
	all.Wait()
	for i, err := range errs {
		if err != nil {
			t.Errorf("%d: %v", i, err)
		}
	}
	s.mustOpen(t, id(99), handle, box, body(60))
}

// life makes, uses and destroys a record.
func (s *suite) life(ctx context.Context, id seal.ID) error {
	handle, err := s.s.NewKey(ctx, id)
	if err != nil {
		return err
	}
	reference, err := s.s.NewOPRF(ctx, id, s.guard(10))
	if err != nil {
		return err
	}
	sealed, err := s.s.Seal(ctx, id, handle, reference)
	if err != nil {
		return err
	}
	if got, err := s.s.Open(ctx, id, handle, sealed); err != nil || !bytes.Equal(got, reference) {
		return fmt.Errorf("opened %d bytes: %w", len(got), err)
	}
	if err := s.s.DestroyOPRF(ctx, id, reference); err != nil {
		return err
	}
	if err := s.s.DestroyKey(ctx, id, handle); err != nil {
		return err
	}
	if _, err := s.s.Open(ctx, id, handle, sealed); err == nil && !s.KeysInHandle {
		return fmt.Errorf("a destroyed record opened")
	}
	return nil
}
