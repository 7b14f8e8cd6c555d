package opaque

import (
	"bytes"
	"errors"
	"fmt"

	"filippo.io/nistec"
)

// ErrKey says that a server has not evaluated with the key that it should have.
var ErrKey = errors.New("opaque: evaluated with another key")

// A Probe finds out whether a registration was evaluated with one certain OPRF key, of which
// the client knows the public point from somebody whom it believes more than the server:
// the TPM that made the key. Without it, a server that lies at the registration could
// answer with a key of its own, and later guess without asking the TPM.
//
// The client asks twice: with the blinded element B of its registration and, once it has
// the answer E, with C = cB + rG, where c and r are fresh, secret scalars and G is the
// generator. The answer F to that is right only if F = cE + rK, with K the public point:
// all of it is one key's, since then kC = c(kB) + r(kG). To pass with an E that is not kB, a
// server would have to know c(E - kB), and so c; but each c, with an r of its own, gives the
// same C. So it passes by chance alone, once in the order of the group (2^256).
// This is batch verification with random exponents (Bellare, Garay, Rabin, "Fast batch
// verification for modular exponentiation and digital signatures", 1998); it takes no proof
// of the server, which a TPM could not make, but a second evaluation.
//
// A Probe is good for one check and prints as "[redacted]".
type Probe struct {
	redact
	c, r []byte
}

// NewProbe returns a Probe, and what to ask with: [RegistrationRequestSize] bytes, which are
// as random as a request is. request is that of the registration. It must have been
// answered before the second one is sent. [ErrMessage].
func NewProbe(request []byte) (*Probe, []byte, error) {
	p := &Probe{c: newScalar(), r: newScalar()}
	second, err := p.combine(request, nistec.NewP256Point().SetGenerator().BytesCompressed())
	if err != nil {
		return nil, nil, fmt.Errorf("make probe: %w", err)
	}
	return p, second, nil
}

// Check takes both answers, and the public point that the key should have, compressed.
// [ErrKey] when they are of another key, [ErrMessage] for what is no point, [ErrOrder] when
// it was called before.
func (p *Probe) Check(first, second, public []byte) error {
	if p.c == nil {
		return ErrOrder
	}
	defer func() {
		clear(p.c)
		clear(p.r)
		p.c, p.r = nil, nil
	}()
	if err := checkPoints(first, second, public); err != nil {
		return fmt.Errorf("check evaluations: %w", err)
	}
	want, err := p.combine(first, public)
	if err != nil {
		return fmt.Errorf("check evaluations: %w", err)
	}
	if !bytes.Equal(want, second) {
		return fmt.Errorf("check evaluations: %w", ErrKey)
	}
	return nil
}

// combine returns c times a plus r times b, compressed.
func (p *Probe) combine(a, b []byte) ([]byte, error) {
	ca, err := multiplyPoint(p.c, a)
	if err != nil {
		return nil, err
	}
	rb, err := multiplyPoint(p.r, b)
	if err != nil {
		return nil, err
	}
	sum := nistec.NewP256Point().Add(ca, rb)
	if !isPoint(sum) {
		return nil, ErrMessage // by chance alone, which nobody has met
	}
	return sum.BytesCompressed(), nil
}
