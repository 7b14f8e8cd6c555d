package tpm

import (
	"bytes"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"coffer/vault/server/seal"
	"coffer/vault/server/seal/tpm/tpmtest"
	"coffer/vault/server/store/bolt"
)

func mustRecoveryKey(t *testing.T) (private, public []byte) {
	t.Helper()
	private, public, err := NewRecoveryKey()
	must(t, err)
	return private, public
}

// recoverWith closes the store and recovers it.
func (w *world) recoverWith(private []byte, options Options) error {
	w.t.Helper()
	w.close()
	db, err := bolt.Open(w.path, time.Second)
	must(w.t, err)
	w.db = db
	w.t.Cleanup(func() { _ = db.Close() })
	w.Epochs, err = RecoverEpoch(w.t.Context(), w.chip, db, private, options)
	return err
}

// An old copy, and its recovery key: it goes on, in another incarnation; the newer file is
// dead from then on.
func TestRecoverAnOldCopy(t *testing.T) {
	private, public := mustRecoveryKey(t)
	w := newWorld(t, Options{Recovery: public})
	w.register(id(1), "one")
	old := w.save()
	must(t, w.replace(id(1), "one, newer"))
	newer := w.save()
	if w.Incarnation() != 0 {
		t.Errorf("incarnation %d", w.Incarnation())
	}
	w.put(old)
	wantErr(t, w.open(Options{}), ErrRolledBack)
	nextPrivate, nextPublic := mustRecoveryKey(t)
	must(t, w.recoverWith(private, Options{Recovery: nextPublic}))
	w.wantBody(id(1), "one")
	must(t, w.replace(id(1), "one, again"))
	w.mustOpen(Options{})
	w.wantBody(id(1), "one, again")
	if w.Incarnation() != 1 {
		t.Errorf("incarnation %d", w.Incarnation())
	}
	today := w.save()
	w.put(newer)
	wantErr(t, w.open(Options{}), ErrRolledBack)
	// The used key is worthless for what was written since; the next one works.
	w.put(today)
	wantErr(t, w.recoverWith(private, Options{}), ErrRecovery)
	must(t, w.recoverWith(nextPrivate, Options{}))
	if w.Incarnation() != 2 {
		t.Errorf("incarnation %d", w.Incarnation())
	}
}

// The chip burns, or the disk moves: the store goes on under another chip, also when that
// chip has a store of the same place already.
func TestRecoverOnAnotherChip(t *testing.T) {
	private, public := mustRecoveryKey(t)
	w := newWorld(t, Options{Recovery: public})
	w.register(id(1), "one")
	first := w.chip
	o := newOwner(t, 3)
	c := &counted{world: w}
	c.count()
	ref := c.newOPRF(id(1), o)
	must(t, w.replace(id(1), "one, with a reference"))
	before := w.save()
	w.close()

	w.chip = mustChip(t, tpmtest.Start(t).Device())
	resident := &world{t: t, chip: w.chip, path: filepath.Join(t.TempDir(), "resident.db")}
	resident.mustOpen(Options{Create: true})
	resident.register(id(1), "resident")
	must(t, w.recoverWith(private, Options{}))
	w.wantBody(id(1), "one, with a reference")
	must(t, w.replace(id(1), "one, moved"))
	w.mustOpen(Options{})
	w.wantBody(id(1), "one, moved")
	must(t, resident.replace(id(1), "resident, not disturbed"))
	resident.mustOpen(Options{})
	resident.wantBody(id(1), "resident, not disturbed")

	// OPRF keys of the first chip are not on this one.
	c.count()
	_, err := c.evaluate(id(1), ref)
	wantErr(t, err, seal.ErrReference)
	if c.Indices() != 0 {
		t.Errorf("%d indices", c.Indices())
	}
	moved := w.save()
	// The first chip has not moved: what it knew it still opens. The incarnation tells the
	// two apart.
	w.chip = first
	w.put(moved)
	wantErr(t, w.open(Options{}), ErrOtherTPM)
	w.put(before)
	w.mustOpen(Options{})
	if w.Incarnation() != 0 {
		t.Errorf("incarnation %d", w.Incarnation())
	}
}

func TestRecoveryKeysThatAreNone(t *testing.T) {
	private, public := mustRecoveryKey(t)
	other, _ := mustRecoveryKey(t)
	w := newWorld(t, Options{Recovery: public})
	w.register(id(1), "one")
	for _, key := range [][]byte{other, nil, private[:31], append(bytes.Clone(private), 0), make([]byte, 32), public} {
		wantErr(t, w.recoverWith(key, Options{}), ErrRecovery)
	}
	w.mustOpen(Options{})
	if w.Incarnation() != 0 {
		t.Errorf("incarnation %d", w.Incarnation())
	}
	// Rows changed behind the back are not taken over either.
	w.close()
	rawRow(t, w.path, func(tx *bolt.Tx) error { _, err := tx.Put(id(1), []byte("forged")); return err })
	wantErr(t, w.recoverWith(private, Options{}), ErrTampered)

	none := newWorld(t, Options{})
	wantErr(t, none.recoverWith(private, Options{}), ErrRecovery)
	_, err := OpenEpochs(t.Context(), none.chip, none.db, Options{Recovery: public[:31]})
	wantErr(t, err, ErrRecovery)
	none.Epochs = nil
}

// Every byte of a sealed state is bound: none can be changed, neither for the chip nor for
// the recovery key.
func TestEveryByteOfTheStateIsBound(t *testing.T) {
	private, public := mustRecoveryKey(t)
	w := newWorld(t, Options{Recovery: public})
	w.close()
	original := w.save()
	var note []byte
	rawRow(t, w.path, func(tx *bolt.Tx) error { note = tx.Note(stateNote); return nil })
	h, box, err := decodeHead(note)
	must(t, err)
	key, err := openRecovery(private, h)
	must(t, err)
	headSize := len(note) - len(box)
	for n := range note {
		if n > headSize+200 && n < len(note)-50 { // the box is aead's affair, and long
			continue
		}
		changed := bytes.Clone(note)
		changed[n] ^= 1
		h, box, err := decodeHead(changed)
		if err == nil {
			_, err = openState(h, box, key)
		}
		if !errors.Is(err, ErrTampered) {
			t.Errorf("byte %d: %v", n, err)
		}
	}
	// With the chip: some of each field.
	for n := 0; n < headSize; n += 7 {
		w.put(original)
		rawRow(t, w.path, func(tx *bolt.Tx) error {
			changed := bytes.Clone(note)
			changed[n] ^= 1
			return tx.SetNote(stateNote, changed)
		})
		if err := w.open(Options{}); err == nil {
			t.Fatalf("byte %d: opened", n)
		}
	}
	w.put(original)
	w.mustOpen(Options{})
}
