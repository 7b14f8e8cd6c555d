package opaque

import (
	"bytes"
	"errors"
	"fmt"

	"filippo.io/nistec"
)

// UncompressedSize is the length of an uncompressed point (SEC 1, 2.3.3): what tokens
// speak.
const UncompressedSize = 65

// ErrProduct says that what a token computed does not fit its public key: the public key
// is another one's, or the token computes wrongly.
var ErrProduct = errors.New("opaque: the product does not fit the public key")

// NewXOnly returns the Evaluator of an OPRF key in a token that tells only the
// x-coordinate of a product, as CKM_ECDH1_DERIVE of PKCS #11 does. public is the key's
// public point, uncompressed. multiplyX is given an uncompressed point and returns the
// x-coordinate of the key's product with it: 32 bytes, big-endian. Its errors are
// wrapped. [ErrMessage] for a public that is no point.
//
// An x-coordinate leaves two points, Y and -Y, and only one of them is the product kB of
// key and blinded point B. So the token is also asked for the x-coordinate of k(B+G), G
// being the generator: kB is the one of the two whose sum with the public point kG has
// that x-coordinate. Never both: Y+kG and -Y+kG share theirs only when Y or kG is the
// identity, in a group of odd order. An answer that fits neither is [ErrProduct] and
// does not leave: the result of a faulty multiplication can give a key away (Biehl,
// Meyer, Müller, "Differential Fault Attacks on Elliptic Curve Cryptosystems").
func NewXOnly(public []byte, multiplyX func(point []byte) (x []byte, err error)) (Evaluator, error) {
	if len(public) != UncompressedSize {
		return nil, fmt.Errorf("read public point: %w", ErrMessage)
	}
	p, err := nistec.NewP256Point().SetBytes(public)
	if err != nil {
		return nil, fmt.Errorf("read public point: %w", ErrMessage)
	}
	return xOnlyKey{public: p, multiplyX: multiplyX}, nil
}

type xOnlyKey struct {
	redact
	public    *nistec.P256Point
	multiplyX func([]byte) ([]byte, error)
}

func (k xOnlyKey) Evaluate(blinded []byte) ([]byte, error) {
	b, err := parsePoint(blinded)
	if err != nil {
		return nil, err
	}
	x, err := k.multiplyX(b.Bytes())
	if err != nil {
		return nil, fmt.Errorf("multiply: %w", err)
	}
	shifted := nistec.NewP256Point().Add(b, nistec.NewP256Point().SetGenerator())
	var want []byte // nil stands for the identity, which has no coordinates
	if isPoint(shifted) {
		if want, err = k.multiplyX(shifted.Bytes()); err != nil {
			return nil, fmt.Errorf("multiply: %w", err)
		}
		if len(want) != scalarSize {
			return nil, ErrProduct
		}
	}
	return k.choose(x, want)
}

// choose returns that of the two points over x whose sum with the public point has the
// x-coordinate want.
func (k xOnlyKey) choose(x, want []byte) ([]byte, error) {
	for _, sign := range []byte{2, 3} {
		y, err := parsePoint(concat([]byte{sign}, x))
		if err != nil {
			return nil, ErrProduct
		}
		sum := nistec.NewP256Point().Add(y, k.public)
		if isPoint(sum) != (want != nil) {
			continue
		}
		var got []byte
		if want != nil {
			if got, err = sum.BytesX(); err != nil {
				return nil, ErrProduct
			}
		}
		if bytes.Equal(got, want) {
			return y.BytesCompressed(), nil
		}
	}
	return nil, ErrProduct
}

// isPoint reports whether p is not the identity, which is encoded in one byte.
func isPoint(p *nistec.P256Point) bool { return len(p.Bytes()) == UncompressedSize }
