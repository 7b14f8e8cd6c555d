//go:build cgo

package pkcs11

import (
	"context"
	"encoding/asn1"
	"errors"
	"fmt"

	p11 "github.com/miekg/pkcs11"

	"coffer/crypto/opaque"
	"coffer/vault/server/seal"
)

const coordinateSize = 32

// p256 is the OBJECT IDENTIFIER of the curve, in DER (RFC 5480, section 2.1.1.1).
func p256() []byte { return []byte{0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07} }

// NewOPRF makes a key pair in the token and returns it wrapped. Nothing of it stays in the
// token. A token does not count: guard is not looked at. [seal.ErrHardware].
func (t *Token) NewOPRF(ctx context.Context, _ seal.ID, _ seal.Guard) ([]byte, error) {
	var reference []byte
	err := t.do(ctx, "make OPRF key", func(s *session) (err error) {
		reference, err = s.newOPRF()
		return err
	})
	if err != nil {
		return nil, err
	}
	return reference, nil
}

func (s *session) newOPRF() (reference []byte, err error) {
	public, private, err := s.token.ctx.GenerateKeyPair(s.h, mechanism(p11.CKM_EC_KEY_PAIR_GEN, nil),
		[]*p11.Attribute{
			p11.NewAttribute(p11.CKA_EC_PARAMS, p256()),
			p11.NewAttribute(p11.CKA_TOKEN, false),
		},
		[]*p11.Attribute{
			p11.NewAttribute(p11.CKA_TOKEN, false),
			p11.NewAttribute(p11.CKA_PRIVATE, true),
			p11.NewAttribute(p11.CKA_SENSITIVE, true),
			p11.NewAttribute(p11.CKA_EXTRACTABLE, true), // by the wrapping key alone; this object dies below
			p11.NewAttribute(p11.CKA_DERIVE, true),
			p11.NewAttribute(p11.CKA_SIGN, false),
		})
	if err != nil {
		return nil, fmt.Errorf("make key pair: %w", err)
	}
	defer s.destroy(&err, public, private)
	point, err := s.publicPoint(public)
	if err != nil {
		return nil, err
	}
	wrapped, err := s.token.ctx.WrapKey(s.h, mechanism(p11.CKM_AES_KEY_WRAP_PAD, nil), s.wrapper, private)
	if err != nil {
		return nil, fmt.Errorf("wrap: %w", err)
	}
	reference = append(append([]byte{version}, point...), wrapped...)
	if _, err := readReference(reference); err != nil {
		return nil, fmt.Errorf("made %d bytes that are no reference", len(reference))
	}
	return reference, nil
}

// publicPoint returns the point of a public key, uncompressed.
func (s *session) publicPoint(public p11.ObjectHandle) ([]byte, error) {
	got, err := s.token.ctx.GetAttributeValue(s.h, public, []*p11.Attribute{p11.NewAttribute(p11.CKA_EC_POINT, nil)})
	if err != nil {
		return nil, fmt.Errorf("read public point: %w", err)
	}
	if len(got) != 1 {
		return nil, fmt.Errorf("read public point: %d attributes", len(got))
	}
	value := got[0].Value
	// PKCS #11, 2.3.3: the point in a DER OCTET STRING; some tokens give the point alone.
	if len(value) == opaque.UncompressedSize {
		return value, nil
	}
	var point []byte
	rest, err := asn1.Unmarshal(value, &point)
	if err != nil || len(rest) > 0 || len(point) != opaque.UncompressedSize {
		return nil, fmt.Errorf("read public point: %d bytes that are none", len(value))
	}
	return point, nil
}

// A reference, read.
type reference struct{ public, wrapped []byte }

// readReference returns [seal.ErrReference] for what is none.
func readReference(b []byte) (reference, error) {
	const head = 1 + opaque.UncompressedSize
	// RFC 5649, section 4.1: the wrapped key has whole blocks of 8 bytes, at least two.
	if len(b) < head+16 || len(b) > seal.MaxReference || (len(b)-head)%8 != 0 || b[0] != version {
		return reference{}, fmt.Errorf("read reference: %w", seal.ErrReference)
	}
	return reference{public: b[1:head], wrapped: b[head:]}, nil
}

// Evaluate multiplies in the token. [seal.ErrReference] for a reference that is not this
// token's and vault's; [opaque.ErrMessage] for a blinded that is no point; [seal.ErrHardware].
func (t *Token) Evaluate(ctx context.Context, _ seal.ID, b, blinded []byte) ([]byte, error) {
	r, err := readReference(b)
	if err != nil {
		return nil, err
	}
	if err := opaque.CheckRegistrationRequest(blinded); err != nil {
		return nil, fmt.Errorf("evaluate: %w", err)
	}
	var product []byte
	err = t.do(ctx, "evaluate", func(s *session) (err error) {
		product, err = s.evaluate(r, blinded)
		return err
	})
	if err != nil {
		return nil, err
	}
	return product, nil
}

func (s *session) evaluate(r reference, blinded []byte) (product []byte, err error) {
	var private p11.ObjectHandle
	key, err := opaque.NewXOnly(r.public, func(point []byte) ([]byte, error) { return s.multiplyX(private, point) })
	if err != nil {
		return nil, fmt.Errorf("read reference: %w", seal.ErrReference)
	}
	private, err = s.unwrap(r.wrapped)
	if err != nil {
		return nil, err
	}
	defer s.destroy(&err, private)
	product, err = key.Evaluate(blinded)
	if errors.Is(err, opaque.ErrProduct) {
		return nil, fmt.Errorf("%w: %w", seal.ErrReference, err)
	}
	return product, err
}

// unwrap brings an OPRF key into the token's memory. [seal.ErrReference] when this
// wrapping key has not wrapped it.
func (s *session) unwrap(wrapped []byte) (p11.ObjectHandle, error) {
	private, err := s.token.ctx.UnwrapKey(s.h, mechanism(p11.CKM_AES_KEY_WRAP_PAD, nil), s.wrapper, wrapped, unwrapTemplate())
	switch {
	case err == nil:
		return private, nil
	case is(err, p11.CKR_WRAPPED_KEY_INVALID, p11.CKR_WRAPPED_KEY_LEN_RANGE, p11.CKR_ENCRYPTED_DATA_INVALID,
		p11.CKR_ENCRYPTED_DATA_LEN_RANGE, p11.CKR_DATA_INVALID):
		return 0, fmt.Errorf("unwrap: %w", seal.ErrReference)
	case is(err, p11.CKR_GENERAL_ERROR, p11.CKR_FUNCTION_FAILED) && s.wraps():
		// Older modules have no word for a wrong check value. A token that can still wrap
		// and unwrap has not failed: the reference is wrong.
		return 0, fmt.Errorf("unwrap: %w", seal.ErrReference)
	}
	return 0, fmt.Errorf("unwrap: %w", err)
}

// wraps reports whether the token makes, wraps and unwraps a key.
func (s *session) wraps() bool {
	fresh, err := s.newOPRF()
	if err != nil {
		return false
	}
	r, err := readReference(fresh)
	if err != nil {
		return false
	}
	private, err := s.token.ctx.UnwrapKey(s.h, mechanism(p11.CKM_AES_KEY_WRAP_PAD, nil), s.wrapper, r.wrapped, unwrapTemplate())
	if err != nil {
		return false
	}
	s.destroy(&err, private)
	return err == nil
}

// multiplyX returns the x-coordinate of the product of a key in the token and a point:
// the shared secret of ECDH without a key derivation is that (SEC 1, 3.3.1).
func (s *session) multiplyX(private p11.ObjectHandle, point []byte) (x []byte, err error) {
	derive := p11.NewECDH1DeriveParams(p11.CKD_NULL, nil, point)
	secret, err := s.token.ctx.DeriveKey(s.h, mechanism(p11.CKM_ECDH1_DERIVE, derive), private, []*p11.Attribute{
		p11.NewAttribute(p11.CKA_CLASS, p11.CKO_SECRET_KEY),
		p11.NewAttribute(p11.CKA_KEY_TYPE, p11.CKK_GENERIC_SECRET),
		p11.NewAttribute(p11.CKA_TOKEN, false),
		p11.NewAttribute(p11.CKA_SENSITIVE, false), // to be read: it is half of the answer to the client
		p11.NewAttribute(p11.CKA_EXTRACTABLE, true),
		p11.NewAttribute(p11.CKA_VALUE_LEN, coordinateSize),
	})
	if err != nil {
		return nil, fmt.Errorf("derive: %w", err)
	}
	defer s.destroy(&err, secret)
	got, err := s.token.ctx.GetAttributeValue(s.h, secret, []*p11.Attribute{p11.NewAttribute(p11.CKA_VALUE, nil)})
	if err != nil {
		return nil, fmt.Errorf("read derived: %w", err)
	}
	if len(got) != 1 || len(got[0].Value) > coordinateSize {
		return nil, errors.New("read derived: not a coordinate")
	}
	// Some tokens leave out leading zeros. What is wrong here does not fit the public key.
	return append(make([]byte, coordinateSize-len(got[0].Value)), got[0].Value...), nil
}

// destroy destroys objects of a session; what it cannot destroy is an error of the whole:
// a token that keeps OPRF keys in its memory is not to be used on.
func (s *session) destroy(err *error, objects ...p11.ObjectHandle) {
	for _, object := range objects {
		if e := s.token.ctx.DestroyObject(s.h, object); e != nil && *err == nil {
			*err = fmt.Errorf("drop key: %w", e)
		}
	}
}

// DestroyOPRF has nothing to do: the token keeps no OPRF key, and the reference goes with
// the record that it lies in.
func (*Token) DestroyOPRF(context.Context, seal.ID, []byte) error { return nil }
