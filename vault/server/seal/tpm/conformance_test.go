package tpm

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"

	"coffer/vault/server/seal"
	"coffer/vault/server/seal/sealtest"
	"coffer/vault/server/seal/tpm/tpmtest"
	"coffer/vault/server/store"
)

func TestConformanceOfEpochs(t *testing.T) {
	tpm := tpmtest.Start(t)
	chip := mustChip(t, tpm.Device())
	n := uint32(0)
	opts := sealtest.Options{
		ReferenceIsKey: true,
		OPRFKey:        func(_ *testing.T, _ seal.Sealer, _ seal.ID, reference []byte) []byte { return reference },
	}
	sealtest.Run(t, opts, func(t *testing.T) (seal.Sealer, func() seal.Sealer) {
		w := &world{t: t, tpm: tpm, chip: chip, path: filepath.Join(t.TempDir(), "vault.db")}
		n++
		w.mustOpen(Options{Create: true, Index: DefaultIndex + n<<16})
		t.Cleanup(w.close)
		return w.Epochs, func() seal.Sealer { w.mustOpen(Options{}); return w.Epochs }
	})
}

// kept does what a vault does with a new reference: it writes the record that it lies in.
// An index without a record is an orphan, which the next Open deletes.
type kept struct {
	*Counting
	tries *sync.Map // challenge -> tries of its guard, which a client knows by himself
}

func (k kept) Challenge(ctx context.Context, id seal.ID, ref []byte) ([16]byte, []byte, error) {
	session, challenge, err := k.Counting.Challenge(ctx, id, ref)
	if r, refErr := decodeReference(id, ref); refErr == nil {
		k.tries.Store(string(challenge), r.guard.Tries)
	}
	return session, challenge, err
}

func (k kept) NewOPRF(ctx context.Context, id seal.ID, guard seal.Guard) ([]byte, error) {
	ref, err := k.Counting.NewOPRF(ctx, id, guard)
	if err != nil {
		return nil, err
	}
	for {
		_, revision, err := k.Fetch(ctx, id)
		if errors.Is(err, store.ErrNotFound) {
			err = k.Create(ctx, id, []byte("a record"))
		} else if err == nil {
			err = k.Replace(ctx, id, revision, []byte("a record"))
		}
		if !errors.Is(err, store.ErrExists) && !errors.Is(err, store.ErrChanged) {
			return ref, err
		}
	}
}

func TestConformanceOfCounting(t *testing.T) {
	tpm := tpmtest.Start(t)
	chip := mustChip(t, tpm.Device())
	n := uint32(0)
	o := newOwner(t, 1)
	var tries sync.Map
	opts := sealtest.Options{
		KeepsOPRF: true, Owner: o.guard.Owner,
		Sign: func(t *testing.T, challenge []byte) [64]byte {
			n, ok := tries.Load(string(challenge))
			if !ok {
				t.Fatal("a challenge that nobody made")
			}
			signature, _ := o.sign(t, challenge, seal.Guard{Tries: n.(int), Owner: o.guard.Owner})
			return signature
		},
	}
	sealtest.Run(t, opts, func(t *testing.T) (seal.Sealer, func() seal.Sealer) {
		w := &world{t: t, tpm: tpm, chip: chip, path: filepath.Join(t.TempDir(), "vault.db")}
		n++
		w.mustOpen(Options{Create: true, Index: DefaultIndex + n<<16})
		t.Cleanup(w.close)
		c := &counted{world: w}
		open := func() seal.Sealer { c.count(); return kept{c.Counting, &tries} }
		return open(), func() seal.Sealer { w.mustOpen(Options{}); return open() }
	})
}
