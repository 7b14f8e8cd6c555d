//go:build cgo

package pkcs11

import (
	"encoding/binary"
	"reflect"
	"runtime"
	"strconv"

	p11 "github.com/miekg/pkcs11"

	"coffer/crypto/aead"
)

// wrappingTemplate is that of the wrapping key. Nothing of it can be changed later.
func wrappingTemplate(name string) []*p11.Attribute {
	return append(wrappingName(name),
		p11.NewAttribute(p11.CKA_KEY_TYPE, p11.CKK_AES),
		p11.NewAttribute(p11.CKA_VALUE_LEN, aead.KeySize),
		p11.NewAttribute(p11.CKA_PRIVATE, true),
		p11.NewAttribute(p11.CKA_SENSITIVE, true),
		p11.NewAttribute(p11.CKA_EXTRACTABLE, false),
		p11.NewAttribute(p11.CKA_MODIFIABLE, false),
		p11.NewAttribute(p11.CKA_WRAP, true),
		p11.NewAttribute(p11.CKA_UNWRAP, true),
		// A key that wraps and decrypts gives away in the open what it wrapped (Clulow, "On the
		// Security of PKCS #11").
		p11.NewAttribute(p11.CKA_ENCRYPT, false),
		p11.NewAttribute(p11.CKA_DECRYPT, false),
	)
}

func wrappingName(name string) []*p11.Attribute {
	return []*p11.Attribute{
		p11.NewAttribute(p11.CKA_CLASS, p11.CKO_SECRET_KEY),
		p11.NewAttribute(p11.CKA_TOKEN, true),
		p11.NewAttribute(p11.CKA_LABEL, name),
	}
}

// makeWrappingKey makes the wrapping key with CKA_UNWRAP_TEMPLATE: what it unwraps stays
// in the token, also for who has the PIN. Where a token does not know that attribute the
// key is made without, and [Token.Status] tells.
func (s *session) makeWrappingKey(name string) (p11.ObjectHandle, error) {
	var pin runtime.Pinner
	defer pin.Unpin()
	stays := p11.NewAttribute(p11.CKA_UNWRAP_TEMPLATE, nested(&pin,
		p11.NewAttribute(p11.CKA_SENSITIVE, true),
		p11.NewAttribute(p11.CKA_EXTRACTABLE, false),
	))
	template := wrappingTemplate(name)
	key, err := s.token.ctx.GenerateKey(s.h, mechanism(p11.CKM_AES_KEY_GEN, nil), append(template, stays))
	if is(err, p11.CKR_ATTRIBUTE_TYPE_INVALID, p11.CKR_ATTRIBUTE_VALUE_INVALID, p11.CKR_TEMPLATE_INCONSISTENT) {
		key, err = s.token.ctx.GenerateKey(s.h, mechanism(p11.CKM_AES_KEY_GEN, nil), template)
	}
	return key, err
}

// nested encodes attributes as the value of an attribute, which is an array of CK_ATTRIBUTE
// in memory: type, pointer to the value, length. There is no padding anywhere: CK_ULONG is
// as long as a pointer, and on Windows, where it is shorter, structures are packed (PKCS #11,
// 2.1). The pointers are good until pin is unpinned.
func nested(pin *runtime.Pinner, attributes ...*p11.Attribute) []byte {
	ulong := func(n uint) []byte { return p11.NewAttribute(0, n).Value }
	var b []byte
	for _, a := range attributes {
		pin.Pin(&a.Value[0])
		b = append(b, ulong(a.Type)...)
		if at := uint64(reflect.ValueOf(a.Value).Pointer()); strconv.IntSize == 64 {
			b = binary.NativeEndian.AppendUint64(b, at)
		} else {
			b = binary.NativeEndian.AppendUint32(b, uint32(at))
		}
		b = append(b, ulong(uint(len(a.Value)))...)
	}
	return b
}

// unwrapTemplate is that of an OPRF key for one evaluation: it stays.
func unwrapTemplate() []*p11.Attribute { return unwrapAs(true) }

func unwrapAs(stays bool) []*p11.Attribute {
	return []*p11.Attribute{
		p11.NewAttribute(p11.CKA_CLASS, p11.CKO_PRIVATE_KEY),
		p11.NewAttribute(p11.CKA_KEY_TYPE, p11.CKK_EC),
		p11.NewAttribute(p11.CKA_TOKEN, false),
		p11.NewAttribute(p11.CKA_PRIVATE, true),
		p11.NewAttribute(p11.CKA_SENSITIVE, stays),
		p11.NewAttribute(p11.CKA_EXTRACTABLE, !stays),
		p11.NewAttribute(p11.CKA_DERIVE, true),
		p11.NewAttribute(p11.CKA_SIGN, false),
	}
}

// oprfKeysStay tries with a fresh OPRF key to get it out of the token with what this
// vault has: PIN and wrapping key.
func (s *session) oprfKeysStay() (stay bool, err error) {
	b, err := s.newOPRF()
	if err != nil {
		return false, err
	}
	r, err := readReference(b)
	if err != nil {
		return false, err
	}
	key, err := s.token.ctx.UnwrapKey(s.h, mechanism(p11.CKM_AES_KEY_WRAP_PAD, nil), s.wrapper, r.wrapped, unwrapAs(false))
	if lost(err) {
		return false, err
	}
	if err != nil {
		return true, nil
	}
	defer s.destroy(&err, key)
	_, err = s.token.ctx.GetAttributeValue(s.h, key, []*p11.Attribute{p11.NewAttribute(p11.CKA_VALUE, nil)})
	if lost(err) {
		return false, err
	}
	return err != nil, nil
}
