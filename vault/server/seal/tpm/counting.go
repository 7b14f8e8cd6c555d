package tpm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/google/go-tpm/tpm2"

	"coffer/crypto/aead"
	"coffer/vault/attest"
	"coffer/vault/server/seal"
	"coffer/vault/server/store"
	"coffer/vault/server/store/bolt"
)

// Counting is [Epochs] whose OPRF keys live in the chip, which counts each evaluation: a
// [seal.Counter] of class [seal.ClassTPM]. It is safe for concurrent use.
//
// The order is the chip's: it raises the count, durably, before it authorizes the key.
// A crash in between costs a try and answers nothing.
type Counting struct {
	*Epochs

	mu         sync.Mutex
	challenges map[[16]byte]*challenge
}

// OpenCounting is [OpenEpochs] and [NewCounting].
func OpenCounting(ctx context.Context, chip *Chip, db *bolt.DB, options Options) (*Counting, error) {
	e, err := OpenEpochs(ctx, chip, db, options)
	if err != nil {
		return nil, err
	}
	c, err := NewCounting(ctx, e)
	if err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return c, nil
}

// NewCounting counts on the chip of a store that was just opened, or recovered. Indices
// that a crash has left without a record are deleted. [seal.ErrHardware].
func NewCounting(ctx context.Context, e *Epochs) (*Counting, error) {
	c := &Counting{Epochs: e, challenges: map[[16]byte]*challenge{}}
	if err := c.sweep(ctx); err != nil {
		return nil, fmt.Errorf("look for orphaned indices: %w", err)
	}
	return c, nil
}

// Class returns [seal.ClassTPM].
func (*Counting) Class() string { return seal.ClassTPM }

// Indices returns how many counting indices the store has in the chip.
func (c *Counting) Indices() int { return len(c.entries()) }

// entries returns the indices of the store, without those that are to be forgotten.
func (c *Counting) entries() []indexEntry {
	c.Epochs.mu.RLock()
	defer c.Epochs.mu.RUnlock()
	return slices.DeleteFunc(slices.Clone(c.state.indices), func(e indexEntry) bool { return slices.Contains(c.dropped, e) })
}

// place returns the handle of the store's counter, above which its indices are.
func (c *Counting) place() uint32 {
	c.Epochs.mu.RLock()
	defer c.Epochs.mu.RUnlock()
	return c.state.counter.handle
}

// NewOPRF makes an OPRF key in the chip, and the index that counts its uses. It is unarmed.
// [ErrFull], within [seal.ErrHardware].
func (c *Counting) NewOPRF(ctx context.Context, id seal.ID, guard seal.Guard) ([]byte, error) {
	if err := c.usable(); err != nil {
		return nil, fmt.Errorf("make OPRF key: %w", err)
	}
	r := &reference{
		record: id, guard: attest.Guard(guard),
		seed: [seedSize]byte(aead.Random(seedSize)), auth: [authSize]byte(aead.Random(authSize)),
	}
	if _, err := attest.IndexPublic(r.index(false), r.guard); err != nil {
		return nil, fmt.Errorf("make OPRF key: %w", err)
	}
	err := c.chip.do(ctx, "make OPRF key", func(k *call) error { return c.make(k, r) })
	if err != nil {
		return nil, err
	}
	// From here on the store knows the index. After a crash before this, the next Open
	// finds an index that nobody knows, and deletes it.
	err = c.submit(ctx, &change{apply: func(b *batch) error { return b.addIndex(r) }})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("note index: %w", err), c.remove(ctx, r))
	}
	return r.encode(), nil
}

// addIndex notes an index with the revision that its record has now: as long as the record
// keeps that, no reference to the index can be in it.
func (b *batch) addIndex(r *reference) error {
	_, revision, err := b.fetch(r.record)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	b.next.indices = slices.DeleteFunc(b.next.indices, func(e indexEntry) bool { return e.handle == r.handle })
	b.next.indices = append(b.next.indices, indexEntry{r.handle, r.record, revision})
	return nil
}

// make defines the index and creates the key under its authorization.
func (c *Counting) make(k *call, r *reference) (err error) {
	if r.handle, err = c.freeHandle(k); err != nil {
		return err
	}
	area, err := attest.IndexPublic(r.index(false), r.guard)
	if err != nil {
		return err
	}
	_, err = tpm2.NVDefineSpace{
		AuthHandle: k.owner(), Auth: tpm2.TPM2BAuth{Buffer: r.auth[:]}, PublicInfo: tpm2.New2B(area),
	}.Execute(k)
	if err != nil {
		return fmt.Errorf("define index: %w", noRoom(err))
	}
	if err := k.createKey(r); err != nil {
		return errors.Join(err, k.undefine(r.handle))
	}
	return nil
}

func (k *call) createKey(r *reference) error {
	parent, err := k.parent()
	if err != nil {
		return err
	}
	template, err := attest.KeyPublic(r.index(true), r.guard, tpm2.TPMSECCPoint{})
	if err != nil {
		return err
	}
	created, err := tpm2.Create{ParentHandle: parent.auth(), InPublic: tpm2.New2B(template)}.Execute(k)
	if err != nil {
		return fmt.Errorf("create key: %w", err)
	}
	r.private, r.public = created.OutPrivate.Buffer, created.OutPublic.Bytes()
	return nil
}

// freeHandle returns a handle within the store's own that no index has.
func (c *Counting) freeHandle(k *call) (uint32, error) {
	base := c.place()
	used, err := k.indicesFrom(base, base+placeSize)
	if err != nil {
		return 0, err
	}
	for handle := base + 1; handle < base+placeSize; handle++ {
		if !slices.Contains(used, handle) {
			return handle, nil
		}
	}
	return 0, ErrFull
}

// indicesFrom lists the NV indices from first up to and without end.
func (k *call) indicesFrom(first, end uint32) (handles []uint32, err error) {
	const page = 64
	for first < end {
		r, err := tpm2.GetCapability{Capability: tpm2.TPMCapHandles, Property: first, PropertyCount: page}.Execute(k)
		if err != nil {
			return nil, fmt.Errorf("list NV indices: %w", err)
		}
		list, err := r.CapabilityData.Data.Handles()
		if err != nil {
			return nil, fmt.Errorf("list NV indices: %w", err)
		}
		for _, h := range list.Handle {
			if uint32(h) >= end {
				return handles, nil
			}
			handles = append(handles, uint32(h))
			first = uint32(h) + 1
		}
		if len(list.Handle) == 0 || !r.MoreData {
			return handles, nil
		}
	}
	return handles, nil
}

// armedName returns the name of an armed index. [seal.ErrUnarmed] when it was never armed,
// [seal.ErrReference] when the chip has no such index any more.
func (k *call) armedName(r *reference) (tpm2.TPM2BName, error) {
	index, err := k.present(r)
	if err != nil {
		return tpm2.TPM2BName{}, err
	}
	if !index.Written {
		return tpm2.TPM2BName{}, seal.ErrUnarmed
	}
	return attest.IndexName(index, r.guard)
}

// present returns the index of a reference as the chip has it. A tag is in each name: an
// index that has got the handle since is not taken for it. [seal.ErrReference].
func (k *call) present(r *reference) (attest.Index, error) {
	now, err := k.indexName(r.handle)
	if errors.Is(err, errNoIndex) {
		return attest.Index{}, fmt.Errorf("%w: %w", seal.ErrReference, err)
	}
	if err != nil {
		return attest.Index{}, err
	}
	for _, written := range []bool{false, true} {
		name, err := attest.IndexName(r.index(written), r.guard)
		if err != nil {
			return attest.Index{}, err
		}
		if bytes.Equal(name.Buffer, now) {
			return r.index(written), nil
		}
	}
	return attest.Index{}, fmt.Errorf("NV index %#x is another one: %w", r.handle, seal.ErrReference)
}

// Evaluate has the chip count one use and multiply. [seal.ErrUnarmed] when no try is left,
// [seal.ErrReference].
func (c *Counting) Evaluate(ctx context.Context, id seal.ID, ref, blinded []byte) (out []byte, err error) {
	r, err := c.reference(id, ref)
	if err != nil {
		return nil, err
	}
	point, err := attest.Point(blinded)
	if err != nil {
		return nil, fmt.Errorf("evaluate: %w", err)
	}
	err = c.chip.do(ctx, "evaluate", func(k *call) error {
		name, err := k.armedName(r)
		if err != nil {
			return err
		}
		return k.loadKey(r, func(key *object) error {
			out, err = k.evaluate(r, name, key, point)
			return err
		})
	})
	return out, err
}

func (c *Counting) reference(id seal.ID, ref []byte) (*reference, error) {
	if err := c.usable(); err != nil {
		return nil, err
	}
	return decodeReference(id, ref)
}

// loadKey runs fn with the key of a reference. [seal.ErrReference] for one of another chip.
func (k *call) loadKey(r *reference, fn func(*object) error) error {
	err := k.load(r.private, r.public, fn)
	if errors.Is(err, errForeign) {
		return fmt.Errorf("%w: %w", seal.ErrReference, err)
	}
	return err
}

func (k *call) evaluate(r *reference, index tpm2.TPM2BName, key *object, point tpm2.TPMSECCPoint) (out []byte, err error) {
	err = k.session(func(s tpm2.Session) error {
		if err := k.useTry(r, index, s); err != nil {
			return err
		}
		// The try is spent. Commit point: whatever happens now, it stays so.
		z, err := tpm2.ECDHZGen{
			KeyHandle: tpm2.AuthHandle{Handle: key.handle, Name: key.name, Auth: s}, InPoint: tpm2.New2B(point),
		}.Execute(k)
		if err != nil {
			return fmt.Errorf("multiply: %w", err)
		}
		product, err := z.OutPoint.Contents()
		if err != nil {
			return fmt.Errorf("read product: %w", err)
		}
		compressed, err := attest.Compress(product)
		out = compressed[:]
		return err
	})
	return out, err
}

// useTry satisfies a key's policy with the authorization of its index: the chip counts.
func (k *call) useTry(r *reference, index tpm2.TPM2BName, s tpm2.Session) error {
	_, err := tpm2.PolicySecret{
		AuthHandle:    tpm2.AuthHandle{Handle: tpm2.TPMHandle(r.handle), Name: index, Auth: tpm2.PasswordAuth(r.auth[:])},
		PolicySession: s.Handle(), NonceTPM: s.NonceTPM(),
	}.Execute(k)
	switch {
	case isCode(err, tpm2.TPMRCAuthUnavailable):
		return fmt.Errorf("no try is left: %w: %w", seal.ErrUnarmed, err)
	case isCode(err, tpm2.TPMRCBadAuth, tpm2.TPMRCAuthFail): // deleted and defined again by somebody else
		return fmt.Errorf("use index: %w: %w", seal.ErrReference, err)
	case err != nil:
		return fmt.Errorf("use index: %w", err)
	}
	return nil
}

// Left returns how many evaluations the chip allows now. [seal.ErrReference].
func (c *Counting) Left(ctx context.Context, id seal.ID, ref []byte) (left int, err error) {
	r, err := c.reference(id, ref)
	if err != nil {
		return 0, err
	}
	err = c.chip.do(ctx, "read counter", func(k *call) error {
		name, err := k.armedName(r)
		if errors.Is(err, seal.ErrUnarmed) {
			return nil
		}
		if err != nil {
			return err
		}
		// Not by the authorization of the index: that would cost a try.
		read, err := tpm2.NVRead{
			AuthHandle: k.owner(), NVIndex: tpm2.NamedHandle{Handle: tpm2.TPMHandle(r.handle), Name: name}, Size: attest.PinSize,
		}.Execute(k)
		if err != nil {
			return fmt.Errorf("read index: %w", err)
		}
		left, err = attest.Left(read.Data.Buffer, r.guard)
		return err
	})
	return left, err
}

// DestroyOPRF deletes the index. Its name has a tag in it and never comes again, and
// without it the chip never uses the key again, in no copy. It may be repeated.
func (c *Counting) DestroyOPRF(ctx context.Context, id seal.ID, ref []byte) error {
	r, err := c.reference(id, ref)
	if errors.Is(err, seal.ErrReference) {
		return nil // what is no reference of ours has no key here
	}
	if err != nil {
		return err
	}
	return c.remove(ctx, r)
}

func (c *Counting) remove(ctx context.Context, r *reference) error {
	err := c.chip.do(ctx, "destroy OPRF key", func(k *call) error {
		if _, err := k.present(r); errors.Is(err, seal.ErrReference) {
			return nil // gone; or another record has the handle by now
		} else if err != nil {
			return err
		}
		return k.undefine(r.handle)
	})
	if err == nil {
		c.dropEntry(func(e indexEntry) bool { return e.handle == r.handle && e.record == r.record })
	}
	return err
}

// dropEntry has the next epoch forget indices. Until then a note of an index that is gone
// harms nothing: the next Open drops it.
func (c *Counting) dropEntry(gone func(indexEntry) bool) {
	c.Epochs.mu.Lock()
	defer c.Epochs.mu.Unlock()
	for _, e := range c.state.indices {
		if gone(e) {
			c.dropped = append(c.dropped, e)
		}
	}
}

var _ seal.Counter = (*Counting)(nil)
