package tpm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
)

// nameSize is the length of the name of an object or an index, in bytes.
const nameSize = 34

// A counter is the NV counter of one store.
type counter struct {
	handle uint32
	name   [nameSize]byte
}

// counterPublic is what a store's counter is: who owns the chip counts, everybody reads.
func counterPublic(handle uint32, written bool) tpm2.TPMSNVPublic {
	return tpm2.TPMSNVPublic{
		NVIndex: tpm2.TPMHandle(handle), NameAlg: tpm2.TPMAlgSHA256, DataSize: 8,
		Attributes: tpm2.TPMANV{
			NT: tpm2.TPMNTCounter, OwnerWrite: true, OwnerRead: true, AuthRead: true, NoDA: true, Written: written,
		},
	}
}

func newCounter(handle uint32) (counter, error) {
	area := counterPublic(handle, true)
	name, err := tpm2.NVName(&area)
	if err != nil {
		return counter{}, fmt.Errorf("name counter: %w", err)
	}
	return counter{handle, [nameSize]byte(name.Buffer)}, nil
}

func (n counter) named() tpm2.NamedHandle {
	return tpm2.NamedHandle{Handle: tpm2.TPMHandle(n.handle), Name: tpm2.TPM2BName{Buffer: n.name[:]}}
}

// auth uses the index by its own password, which is empty.
func (n counter) auth() tpm2.AuthHandle {
	h := n.named()
	return tpm2.AuthHandle{Handle: h.Handle, Name: h.Name, Auth: tpm2.PasswordAuth(nil)}
}

// indexName returns the name of an NV index as it is now. errNoIndex.
func (k *call) indexName(handle uint32) ([]byte, error) {
	r, err := tpm2.NVReadPublic{NVIndex: tpm2.TPMHandle(handle)}.Execute(k)
	switch {
	case isCode(err, tpm2.TPMRCHandle):
		return nil, fmt.Errorf("NV index %#x: %w", handle, errNoIndex)
	case err != nil:
		return nil, fmt.Errorf("look at NV index %#x: %w", handle, err)
	}
	return r.NVName.Buffer, nil
}

// checkCounter says whether the chip has this very counter. [ErrOtherTPM].
func (k *call) checkCounter(n counter) error {
	name, err := k.indexName(n.handle)
	if errors.Is(err, errNoIndex) || err == nil && !bytes.Equal(name, n.name[:]) {
		return fmt.Errorf("NV index %#x is not the counter of this store: %w", n.handle, ErrOtherTPM)
	}
	return err
}

// defineCounter makes a counter at the first free place of those that stores have. It was
// counted once: before that it has no value. Two stores never share one.
func (k *call) defineCounter(base uint32) (counter, error) {
	for place := range uint32(places) {
		handle := base + place*placeSize
		_, err := k.indexName(handle)
		if err == nil {
			continue
		}
		if !errors.Is(err, errNoIndex) {
			return counter{}, err
		}
		_, err = tpm2.NVDefineSpace{AuthHandle: k.owner(), PublicInfo: tpm2.New2B(counterPublic(handle, false))}.Execute(k)
		if err != nil {
			return counter{}, fmt.Errorf("define counter: %w", noRoom(err))
		}
		n, err := newCounter(handle)
		if err != nil {
			return counter{}, err
		}
		return n, k.first(handle)
	}
	return counter{}, fmt.Errorf("define counter: %d stores are on this TPM: %w", places, ErrFull)
}

// first counts for the first time; the name of the index changes with it.
func (k *call) first(handle uint32) error {
	area := counterPublic(handle, false)
	name, err := tpm2.NVName(&area)
	if err != nil {
		return fmt.Errorf("name counter: %w", err)
	}
	_, err = tpm2.NVIncrement{AuthHandle: k.owner(), NVIndex: tpm2.NamedHandle{Handle: tpm2.TPMHandle(handle), Name: *name}}.Execute(k)
	if err != nil {
		return fmt.Errorf("start counter: %w", err)
	}
	return nil
}

// undefine deletes an NV index. One that is gone already is no error.
func (k *call) undefine(handle uint32) error {
	name, err := k.indexName(handle)
	if errors.Is(err, errNoIndex) {
		return nil
	}
	if err != nil {
		return err
	}
	index := tpm2.NamedHandle{Handle: tpm2.TPMHandle(handle), Name: tpm2.TPM2BName{Buffer: name}}
	if _, err := (tpm2.NVUndefineSpace{AuthHandle: k.owner(), NVIndex: index}).Execute(k); err != nil {
		return fmt.Errorf("delete NV index %#x: %w", handle, err)
	}
	return nil
}

func noRoom(err error) error {
	if isCode(err, tpm2.TPMRCNVSpace) {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return err
}

// value reads a counter.
func (k *call) value(n counter) (uint64, error) {
	r, err := tpm2.NVRead{AuthHandle: n.auth(), NVIndex: n.named(), Size: 8}.Execute(k)
	if err != nil {
		return 0, fmt.Errorf("read counter: %w", err)
	}
	if len(r.Data.Buffer) != 8 {
		return 0, errors.New("read counter: another length")
	}
	return binary.BigEndian.Uint64(r.Data.Buffer), nil
}

// count raises a counter until it is want. It looks after each step, and a value that
// somebody else has raised is an error: who cannot say that the value is of his own making
// cannot say that his state is the only one that was sealed to it.
func (k *call) count(n counter, want uint64) error {
	at, err := k.value(n)
	if err != nil {
		return err
	}
	for at < want {
		if _, err := (tpm2.NVIncrement{AuthHandle: k.owner(), NVIndex: n.named()}).Execute(k); err != nil {
			return fmt.Errorf("raise counter: %w", err)
		}
		now, err := k.value(n)
		if err != nil {
			return err
		}
		if now != at+1 {
			return fmt.Errorf("counter went from %d to %d: somebody else counts: %w", at, now, ErrTampered)
		}
		at = now
	}
	if at != want {
		return fmt.Errorf("counter is %d, not %d: somebody else has counted: %w", at, want, ErrTampered)
	}
	return nil
}

// A sealedKey is an epoch key as the chip has sealed it to one value of a counter.
type sealedKey struct{ private, public []byte }

func isValue(n counter, value uint64) tpm2.PolicyNV {
	return tpm2.PolicyNV{
		AuthHandle: n.auth(), NVIndex: n.named(), Operation: tpm2.TPMEOEq,
		OperandB: tpm2.TPM2BOperand{Buffer: binary.BigEndian.AppendUint64(nil, value)},
	}
}

func policyOf(n counter, value uint64) ([]byte, error) {
	policy, err := tpm2.NewPolicyCalculator(tpm2.TPMAlgSHA256)
	if err != nil {
		return nil, fmt.Errorf("compute policy: %w", err)
	}
	if err := isValue(n, value).Update(policy); err != nil {
		return nil, fmt.Errorf("compute policy: %w", err)
	}
	return policy.Hash().Digest, nil
}

// sealTo has the chip seal key to "the counter is value".
func (k *call) sealTo(n counter, value uint64, key []byte) (sealedKey, error) {
	policy, err := policyOf(n, value)
	if err != nil {
		return sealedKey{}, err
	}
	parent, err := k.parent()
	if err != nil {
		return sealedKey{}, err
	}
	veil, err := k.veil(false)
	if err != nil {
		return sealedKey{}, err
	}
	r, err := tpm2.Create{
		ParentHandle: parent.auth(),
		InSensitive: tpm2.TPM2BSensitiveCreate{Sensitive: &tpm2.TPMSSensitiveCreate{
			Data: tpm2.NewTPMUSensitiveCreate(&tpm2.TPM2BSensitiveData{Buffer: key}),
		}},
		InPublic: tpm2.New2B(tpm2.TPMTPublic{
			Type: tpm2.TPMAlgKeyedHash, NameAlg: tpm2.TPMAlgSHA256, AuthPolicy: tpm2.TPM2BDigest{Buffer: policy},
			ObjectAttributes: tpm2.TPMAObject{FixedTPM: true, FixedParent: true, NoDA: true, AdminWithPolicy: true},
		}),
	}.Execute(k, veil)
	if err != nil {
		return sealedKey{}, fmt.Errorf("seal epoch key: %w", err)
	}
	return sealedKey{r.OutPrivate.Buffer, r.OutPublic.Bytes()}, nil
}

// unseal opens what sealTo has sealed. settle runs when the chip has taken the object for
// its own and for one of this value, and before it must open: it may count up to value. A
// file that anybody has written must not move the counter.
func (k *call) unseal(n counter, value uint64, sealed sealedKey, settle func() error) (key []byte, err error) {
	policy, err := policyOf(n, value)
	if err != nil {
		return nil, err
	}
	area, err := tpm2.Unmarshal[tpm2.TPMTPublic](sealed.public)
	if err != nil || !bytes.Equal(area.AuthPolicy.Buffer, policy) {
		return nil, fmt.Errorf("epoch key is not sealed to %d: %w", value, ErrTampered)
	}
	err = k.load(sealed.private, sealed.public, func(o *object) error {
		if err := settle(); err != nil {
			return err
		}
		key, err = k.unsealLoaded(o, isValue(n, value))
		return err
	})
	if errors.Is(err, errForeign) {
		return nil, fmt.Errorf("epoch key is not of this TPM: %w: %w", ErrOtherTPM, err)
	}
	return key, err
}

func (k *call) unsealLoaded(o *object, condition tpm2.PolicyNV) (key []byte, err error) {
	err = k.session(func(s tpm2.Session) error {
		condition.PolicySession = s.Handle()
		if _, err := condition.Execute(k); err != nil {
			return fmt.Errorf("compare counter: %w", err)
		}
		veil, err := k.veil(true)
		if err != nil {
			return err
		}
		r, err := tpm2.Unseal{ItemHandle: tpm2.AuthHandle{Handle: o.handle, Name: o.name, Auth: s}}.Execute(k, veil)
		if err != nil {
			return fmt.Errorf("unseal epoch key: %w", err)
		}
		key = r.OutData.Buffer
		return nil
	})
	return key, err
}
