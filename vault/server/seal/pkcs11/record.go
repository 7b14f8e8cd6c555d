//go:build cgo

package pkcs11

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	p11 "github.com/miekg/pkcs11"

	"coffer/crypto/aead"
	"coffer/vault/server/seal"
)

const (
	version = 1

	nameSize   = 16
	handleSize = 1 + nameSize
	ivSize     = 12
	tagSize    = 16

	labelRecord = "coffer-vault/1/record-body"
)

// A keyID is the CKA_ID of a record key: its name and its record's.
type keyID [nameSize + len(seal.ID{})]byte

// readHandle returns the CKA_ID of the record key that a handle names. [seal.ErrOpen].
func readHandle(id seal.ID, handle []byte) (keyID, error) {
	if len(handle) != handleSize || handle[0] != version {
		return keyID{}, fmt.Errorf("read handle: %w", seal.ErrOpen)
	}
	return keyID(append(bytes.Clone(handle[1:]), id[:]...)), nil
}

// label binds a body to its use, its record and its key.
func (k keyID) label() []byte { return append([]byte(labelRecord+"\x00"), k[:]...) }

func (t *Token) recordClass() []*p11.Attribute {
	return []*p11.Attribute{
		p11.NewAttribute(p11.CKA_CLASS, p11.CKO_SECRET_KEY),
		p11.NewAttribute(p11.CKA_TOKEN, true),
		p11.NewAttribute(p11.CKA_LABEL, t.opts.Label+" record"),
	}
}

func (t *Token) recordTemplate(key keyID) []*p11.Attribute {
	return append(t.recordClass(), p11.NewAttribute(p11.CKA_ID, key[:]))
}

// NewKey makes a record key in the token and returns its name. When the token fails, one
// may stay in it that nothing names. [seal.ErrHardware].
func (t *Token) NewKey(ctx context.Context, id seal.ID) ([]byte, error) {
	handle := append([]byte{version}, aead.Random(nameSize)...)
	key, err := readHandle(id, handle)
	if err != nil {
		return nil, err
	}
	tries := 0
	err = t.doWrite(ctx, "make record key", func(s *session) error {
		// The first try may have been lost after it was done: never two of a name.
		if tries++; tries > 1 {
			if err := s.destroyAll(t.recordTemplate(key)); err != nil {
				return err
			}
		}
		object, err := t.ctx.GenerateKey(s.h, mechanism(p11.CKM_AES_KEY_GEN, nil), append(t.recordTemplate(key),
			p11.NewAttribute(p11.CKA_KEY_TYPE, p11.CKK_AES),
			p11.NewAttribute(p11.CKA_VALUE_LEN, aead.KeySize),
			p11.NewAttribute(p11.CKA_PRIVATE, true),
			p11.NewAttribute(p11.CKA_SENSITIVE, true),
			p11.NewAttribute(p11.CKA_EXTRACTABLE, false),
			p11.NewAttribute(p11.CKA_MODIFIABLE, false),
			p11.NewAttribute(p11.CKA_ENCRYPT, true),
			p11.NewAttribute(p11.CKA_DECRYPT, true),
			p11.NewAttribute(p11.CKA_WRAP, false),
			p11.NewAttribute(p11.CKA_UNWRAP, false),
		))
		if err != nil {
			return err
		}
		s.remember(key, object)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return handle, nil
}

// Seal seals body under the record key that handle names. [seal.ErrOpen] when there is
// none, [seal.ErrHardware].
func (t *Token) Seal(ctx context.Context, id seal.ID, handle, body []byte) ([]byte, error) {
	key, err := readHandle(id, handle)
	if err != nil {
		return nil, err
	}
	var sealed []byte
	err = t.do(ctx, "seal record", func(s *session) error {
		return s.withKey(key, func(object p11.ObjectHandle) (err error) {
			sealed, err = s.encrypt(object, key.label(), body)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return sealed, nil
}

// Open opens what Seal sealed. [seal.ErrOpen], [seal.ErrHardware].
func (t *Token) Open(ctx context.Context, id seal.ID, handle, sealed []byte) ([]byte, error) {
	key, err := readHandle(id, handle)
	if err != nil {
		return nil, err
	}
	if len(sealed) < 1+ivSize+tagSize || sealed[0] != version {
		return nil, fmt.Errorf("read sealed record: %w", seal.ErrOpen)
	}
	var body []byte
	err = t.do(ctx, "open record", func(s *session) error {
		return s.withKey(key, func(object p11.ObjectHandle) (err error) {
			body, err = s.decrypt(object, key.label(), sealed)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return body, nil
}

// DestroyKey destroys the object of a record key, and sees that it is gone. An absent one
// is no error. [seal.ErrOpen] for a handle that is none, [seal.ErrHardware].
func (t *Token) DestroyKey(ctx context.Context, id seal.ID, handle []byte) error {
	key, err := readHandle(id, handle)
	if err != nil {
		return err
	}
	return t.doWrite(ctx, "destroy record key", func(s *session) error {
		s.forget(key)
		return s.destroyAll(t.recordTemplate(key))
	})
}

// Keys lists the record keys in the token, of all vaults with this label. A key that no row
// of the store names is left from a crash: between the making of a key and the writing of
// its row, or, and that one matters, between the writing of a destroyed record's new row and
// the destruction of its old key. Who destroys such keys must be sure that nobody is about
// to write their rows. [seal.ErrHardware].
func (t *Token) Keys(ctx context.Context) ([]Key, error) {
	var keys []Key
	err := t.do(ctx, "list record keys", func(s *session) error {
		objects, err := s.find(t.recordClass(), 0)
		if err != nil {
			return err
		}
		keys = make([]Key, 0, len(objects))
		for _, object := range objects {
			got, err := t.ctx.GetAttributeValue(s.h, object, []*p11.Attribute{p11.NewAttribute(p11.CKA_ID, nil)})
			if is(err, p11.CKR_OBJECT_HANDLE_INVALID) { // destroyed a moment ago
				continue
			}
			if err != nil {
				return fmt.Errorf("read name of record key: %w", err)
			}
			if len(got) != 1 || len(got[0].Value) != len(keyID{}) {
				return errors.New("read name of record key: it is none")
			}
			name, id := got[0].Value[:nameSize], got[0].Value[nameSize:]
			keys = append(keys, Key{ID: seal.ID(id), Handle: append([]byte{version}, name...)})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return keys, nil
}

// withKey runs use with a record key. The number of an object may be old, when another
// process shares the token: what fails with a number from memory is tried with a fresh one.
func (s *session) withKey(key keyID, use func(p11.ObjectHandle) error) error {
	if object, ok := s.remembered(key); ok {
		err := use(object)
		if err == nil || lost(err) {
			return err
		}
		s.forget(key)
	}
	objects, err := s.find(s.token.recordTemplate(key), 1)
	if err != nil {
		return err
	}
	if len(objects) == 0 {
		return fmt.Errorf("find record key: %w", seal.ErrOpen)
	}
	if err := use(objects[0]); err != nil {
		return err
	}
	s.remember(key, objects[0])
	return nil
}

func (s *session) encrypt(key p11.ObjectHandle, label, body []byte) ([]byte, error) {
	gcm := p11.NewGCMParams(aead.Random(ivSize), label, 8*tagSize)
	defer gcm.Free()
	if err := s.token.ctx.EncryptInit(s.h, mechanism(p11.CKM_AES_GCM, gcm), key); err != nil {
		return nil, fmt.Errorf("begin to encrypt: %w", err)
	}
	box, err := s.token.ctx.Encrypt(s.h, body)
	if err != nil {
		return nil, fmt.Errorf("encrypt: %w", err)
	}
	iv := gcm.IV() // some tokens take one of their own
	if len(iv) != ivSize || len(box) != len(body)+tagSize {
		return nil, fmt.Errorf("encrypt: an IV of %d bytes, a box of %d for %d", len(iv), len(box), len(body))
	}
	return append(append([]byte{version}, iv...), box...), nil
}

func (s *session) decrypt(key p11.ObjectHandle, label, sealed []byte) ([]byte, error) {
	gcm := p11.NewGCMParams(sealed[1:1+ivSize], label, 8*tagSize)
	defer gcm.Free()
	if err := s.token.ctx.DecryptInit(s.h, mechanism(p11.CKM_AES_GCM, gcm), key); err != nil {
		return nil, fmt.Errorf("begin to decrypt: %w", err)
	}
	body, err := s.token.ctx.Decrypt(s.h, sealed[1+ivSize:])
	switch {
	case err == nil:
		return body, nil
	case is(err, p11.CKR_ENCRYPTED_DATA_INVALID, p11.CKR_ENCRYPTED_DATA_LEN_RANGE, p11.CKR_SIGNATURE_INVALID, ckrAEADDecryptFailed):
		return nil, fmt.Errorf("decrypt: %w", seal.ErrOpen)
	case is(err, p11.CKR_GENERAL_ERROR, p11.CKR_FUNCTION_FAILED, p11.CKR_DEVICE_ERROR) && s.works(key):
		// Older modules have no word for a wrong tag. A token that can still do both with
		// this key has not failed: the body is wrong.
		return nil, fmt.Errorf("decrypt: %w", seal.ErrOpen)
	}
	return nil, fmt.Errorf("decrypt: %w", err)
}

// ckrAEADDecryptFailed is CKR_AEAD_DECRYPT_FAILED of PKCS #11 3.0, section 5.1.6.
const ckrAEADDecryptFailed = 0x42

// works reports whether the token encrypts and decrypts with a key.
func (s *session) works(key p11.ObjectHandle) bool {
	label, probe := []byte("coffer-vault/1/probe"), []byte("probe")
	sealed, err := s.encrypt(key, label, probe)
	if err != nil {
		return false
	}
	gcm := p11.NewGCMParams(sealed[1:1+ivSize], label, 8*tagSize)
	defer gcm.Free()
	if err := s.token.ctx.DecryptInit(s.h, mechanism(p11.CKM_AES_GCM, gcm), key); err != nil {
		return false
	}
	got, err := s.token.ctx.Decrypt(s.h, sealed[1+ivSize:])
	return err == nil && bytes.Equal(got, probe)
}
