package tpm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"coffer/vault/server/seal"
	"coffer/vault/server/seal/tpm/tpmtest"
	"coffer/vault/server/store"
	"coffer/vault/server/store/bolt"
	"coffer/vault/server/store/storetest"
)

// A world is a chip, a file, and the store on both.
type world struct {
	t    *testing.T
	tpm  *tpmtest.TPM
	chip *Chip
	path string
	db   *bolt.DB
	*Epochs
}

func newWorld(t *testing.T, options Options) *world {
	t.Helper()
	w := &world{t: t, tpm: tpmtest.Start(t), path: filepath.Join(t.TempDir(), "vault.db")}
	w.chip = mustChip(t, w.tpm.Device())
	options.Create = true
	w.mustOpen(options)
	return w
}

func mustChip(t *testing.T, device string) *Chip {
	t.Helper()
	chip, err := OpenChip(t.Context(), ChipConfig{Device: device})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = chip.Close() }) // some tests have killed its TPM
	return chip
}

func (w *world) close() {
	w.t.Helper()
	if w.Epochs != nil {
		must(w.t, w.Epochs.Close())
	}
	if w.db != nil {
		must(w.t, w.db.Close())
	}
	w.Epochs, w.db = nil, nil
}

// open closes the store and opens it again.
func (w *world) open(options Options) error {
	w.t.Helper()
	w.close()
	db, err := bolt.Open(w.path, time.Second)
	must(w.t, err)
	w.db = db
	w.t.Cleanup(func() { _ = db.Close() })
	w.Epochs, err = OpenEpochs(w.t.Context(), w.chip, db, options)
	return err
}

func (w *world) mustOpen(options Options) {
	w.t.Helper()
	must(w.t, w.open(options))
}

// save returns the file as it is now; put puts it, or another one, in its place.
func (w *world) save() []byte {
	w.t.Helper()
	data, err := os.ReadFile(w.path)
	must(w.t, err)
	return data
}

func (w *world) put(data []byte) {
	w.t.Helper()
	w.close()
	must(w.t, os.WriteFile(w.path, data, 0o600))
}

// register keeps a record with this body.
func (w *world) register(id store.ID, body string) {
	w.t.Helper()
	handle, err := w.NewKey(w.t.Context(), id)
	must(w.t, err)
	sealed, err := w.Seal(w.t.Context(), id, handle, []byte(body))
	must(w.t, err)
	must(w.t, w.Create(w.t.Context(), id, joinRow(handle, sealed)))
}

// body reads a record as the vault does.
func (w *world) body(id store.ID) (string, store.Revision, error) {
	row, revision, err := w.Fetch(w.t.Context(), id)
	if err != nil {
		return "", 0, err
	}
	handle, sealed, ok := splitRow(row)
	if !ok {
		return "", 0, errors.New("no handle")
	}
	body, err := w.Epochs.Open(w.t.Context(), id, handle, sealed)
	return string(body), revision, err
}

func (w *world) wantBody(id store.ID, want string) store.Revision {
	w.t.Helper()
	got, revision, err := w.body(id)
	if err != nil || got != want {
		w.t.Fatalf("record %x: %q, %v, want %q", id[:2], got, err, want)
	}
	return revision
}

// replace writes a record under its old handle.
func (w *world) replace(id store.ID, body string) error {
	row, revision, err := w.Fetch(w.t.Context(), id)
	if err != nil {
		return err
	}
	handle, _, _ := splitRow(row)
	sealed, err := w.Seal(w.t.Context(), id, handle, []byte(body))
	if err != nil {
		return err
	}
	return w.Replace(w.t.Context(), id, revision, joinRow(handle, sealed))
}

// destroy does what a vault does: a new key, the row erased, the old key destroyed.
func (w *world) destroy(id store.ID, tombstone string) (old []byte) {
	w.t.Helper()
	ctx := w.t.Context()
	row, revision, err := w.Fetch(ctx, id)
	must(w.t, err)
	old, _, _ = splitRow(row)
	handle, err := w.NewKey(ctx, id)
	must(w.t, err)
	sealed, err := w.Seal(ctx, id, handle, []byte(tombstone))
	must(w.t, err)
	must(w.t, w.Erase(ctx, id, revision, joinRow(handle, sealed)))
	must(w.t, w.DestroyKey(ctx, id, old))
	return old
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
}

// A row of a vault, as vault/server writes it.
func joinRow(handle, sealed []byte) []byte {
	b := append([]byte{rowFormat, byte(len(handle) >> 8), byte(len(handle))}, handle...)
	return append(b, sealed...)
}

func splitRow(row []byte) (handle, sealed []byte, ok bool) {
	handle, ok = handleOf(row)
	if !ok {
		return nil, nil, false
	}
	return handle, row[rowHead+handleSize:], true
}

func id(n int) store.ID { return store.ID{byte(n >> 8), byte(n), 0xfe} }

// neighbour returns another record of the same shard.
func neighbour(of store.ID) store.ID {
	for n := 1; ; n++ {
		other := store.ID{0xff, byte(n >> 8), byte(n)}
		if shardOf(other) == shardOf(of) && other != of {
			return other
		}
	}
}

func TestConformanceOfStore(t *testing.T) {
	tpm := tpmtest.Start(t)
	chip := mustChip(t, tpm.Device())
	n := uint32(0)
	storetest.Run(t, func(t *testing.T) (store.Store, func() store.Store) {
		w := &world{t: t, tpm: tpm, chip: chip, path: filepath.Join(t.TempDir(), "vault.db")}
		n++
		options := Options{Create: true, Index: DefaultIndex + n<<16}
		w.mustOpen(options)
		return w, func() store.Store { w.mustOpen(options); return w }
	})
}

func TestRecordsOutliveTheirProcess(t *testing.T) {
	w := newWorld(t, Options{})
	w.register(id(1), "one")
	w.register(id(2), "two")
	must(t, w.replace(id(1), "one, changed"))
	for _, restart := range []bool{false, true} {
		if restart {
			w.tpm.Restart()
			wake(t, w.chip)
		}
		w.mustOpen(Options{})
		w.wantBody(id(1), "one, changed")
		w.wantBody(id(2), "two")
	}
	if got := fmt.Sprintf("%v %+v %s", w.Epochs, w.Epochs, w.Epochs); got != "[redacted] [redacted] [redacted]" {
		t.Errorf("printed as %.60q", got)
	}
}

// Yesterday's file, of any moment, opens neither now nor later, and today's still does.
func TestOldFilesAreRefused(t *testing.T) {
	w := newWorld(t, Options{})
	w.register(id(1), "count 0")
	var files [][]byte
	for n := range 4 {
		files = append(files, w.save())
		must(t, w.replace(id(1), fmt.Sprintf("count %d", n+1)))
	}
	today := w.save()
	for n, file := range files {
		w.put(file)
		if err := w.open(Options{Create: true}); !errors.Is(err, ErrRolledBack) {
			t.Errorf("file %d: %v", n, err)
		}
	}
	w.put(today)
	w.mustOpen(Options{})
	w.wantBody(id(1), "count 4")
	// And the one that was today's a moment ago is old by now: opening is an epoch.
	w.put(today)
	wantErr(t, w.open(Options{}), ErrRolledBack)
}

// rawRow changes a row in the file, behind the back of the store.
func rawRow(t *testing.T, path string, change func(tx *bolt.Tx) error) {
	t.Helper()
	db, err := bolt.Open(path, time.Second)
	must(t, err)
	must(t, db.Update(t.Context(), change))
	must(t, db.Close())
}

// Today's state with yesterday's rows: one put back, one missing, one swapped, one more.
func TestOldRowsInTodaysFile(t *testing.T) {
	forgeries := map[string]func(*bolt.Tx, []byte) error{
		"yesterday's row": func(tx *bolt.Tx, old []byte) error { _, err := tx.Put(id(1), old); return err },
		"another's row": func(tx *bolt.Tx, _ []byte) error {
			row, _, err := tx.Fetch(id(2))
			if err != nil {
				return err
			}
			_, err = tx.Put(id(1), row)
			return err
		},
		"the same row again": func(tx *bolt.Tx, _ []byte) error { // its revision changes
			row, _, err := tx.Fetch(id(1))
			if err != nil {
				return err
			}
			_, err = tx.Put(id(1), row)
			return err
		},
		"a row more": func(tx *bolt.Tx, old []byte) error { _, err := tx.Put(id(3), old); return err },
	}
	for name, forge := range forgeries {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, Options{})
			w.register(id(1), "no tries used")
			old, _, err := w.Fetch(t.Context(), id(1))
			must(t, err)
			w.register(id(2), "another")
			must(t, w.replace(id(1), "9 tries used"))
			w.close()
			rawRow(t, w.path, func(tx *bolt.Tx) error { return forge(tx, old) })
			wantErr(t, w.open(Options{}), ErrTampered)
		})
	}
}

// The same under a store that is open: each row is compared when it is read or written.
func TestRowsChangedUnderAnOpenStore(t *testing.T) {
	w := newWorld(t, Options{})
	w.register(id(1), "one")
	w.register(id(2), "two")
	_, revision, err := w.Fetch(t.Context(), id(1))
	must(t, err)
	must(t, w.db.Update(t.Context(), func(tx *bolt.Tx) error {
		_, err := tx.Put(id(1), []byte("forged"))
		if err == nil {
			_, err = tx.Put(id(3), []byte("forged"))
		}
		return err
	}))
	for _, n := range []int{1, 3} {
		if _, _, err := w.Fetch(t.Context(), id(n)); !errors.Is(err, ErrTampered) {
			t.Errorf("row %d: %v", n, err)
		}
	}
	wantErr(t, w.Replace(t.Context(), id(1), revision, []byte("x")), ErrTampered)
	wantErr(t, w.Create(t.Context(), id(3), []byte("x")), ErrTampered)
	w.wantBody(id(2), "two") // the others go on
	must(t, w.replace(id(2), "two, changed"))
}

func TestOtherTPM(t *testing.T) {
	w := newWorld(t, Options{})
	w.register(id(1), "one")
	file := w.save()
	first := w.chip
	w.close()
	w.chip = mustChip(t, tpmtest.Start(t).Device())
	wantErr(t, w.open(Options{Create: true}), ErrOtherTPM)
	// A counter of the same place on the other chip is none of ours.
	w.path = filepath.Join(t.TempDir(), "other.db")
	w.mustOpen(Options{Create: true})
	for n := range 10 { // whether it is behind or ahead
		w.put(file)
		wantErr(t, w.open(Options{}), ErrOtherTPM)
		w.path = filepath.Join(t.TempDir(), fmt.Sprint("other", n))
		w.mustOpen(Options{Create: true, Index: DefaultIndex + 0x10000})
		must(t, w.chip.do(t.Context(), "count", func(k *call) error {
			n, err := newCounter(DefaultIndex)
			if err != nil {
				return err
			}
			at, err := k.value(n)
			if err != nil {
				return err
			}
			return k.count(n, at+1)
		}))
	}
	w.put(file)
	w.chip = first
	w.mustOpen(Options{})
	w.wantBody(id(1), "one")
	// The counter is deleted.
	handle := w.Epochs.state.counter.handle
	w.close()
	must(t, w.chip.do(t.Context(), "delete", func(k *call) error { return k.undefine(handle) }))
	wantErr(t, w.open(Options{}), ErrOtherTPM)
	// And defined again: it goes on above where it was.
	must(t, w.chip.do(t.Context(), "define", func(k *call) error { _, err := k.defineCounter(DefaultIndex); return err }))
	wantErr(t, w.open(Options{}), ErrRolledBack)
}

func TestNoStore(t *testing.T) {
	w := newWorld(t, Options{})
	w.register(id(1), "one")
	w.close()
	w.path = filepath.Join(t.TempDir(), "other.db")
	wantErr(t, w.open(Options{}), ErrNoStore)
	// Rows whose state was taken away are not a new store.
	w.close()
	rawRow(t, w.path, func(tx *bolt.Tx) error { _, err := tx.Put(id(1), []byte("row")); return err })
	wantErr(t, w.open(Options{Create: true}), ErrTampered)
}

// Two stores on one chip have a counter each.
func TestTwoStoresOnOneChip(t *testing.T) {
	w := newWorld(t, Options{})
	other := &world{t: t, tpm: w.tpm, chip: w.chip, path: filepath.Join(t.TempDir(), "other.db")}
	other.mustOpen(Options{Create: true})
	for n := range 3 {
		w.register(id(n), "one")
		other.register(id(n), "other")
	}
	w.mustOpen(Options{})
	other.mustOpen(Options{})
	w.wantBody(id(2), "one")
	other.wantBody(id(2), "other")
	if w.Epochs.state.counter == other.Epochs.state.counter {
		t.Error("one counter for two stores")
	}
}

// Two programs on two copies of one file: at most one goes on.
func TestTwoProgramsOnTwoCopies(t *testing.T) {
	w := newWorld(t, Options{})
	w.register(id(1), "one")
	twin := &world{t: t, tpm: w.tpm, chip: w.chip, path: filepath.Join(t.TempDir(), "copy.db")}
	twin.put(w.save())
	twin.mustOpen(Options{})
	err := w.replace(id(1), "charged by the first")
	if err == nil {
		t.Fatal("the first program counts, and the second has gone on from it")
	}
	select {
	case <-w.Gone():
	default:
		t.Error("the first program goes on")
	}
	wantErr(t, w.Create(t.Context(), id(2), []byte("x")), store.ErrClosed)
	_, _, err = w.Fetch(t.Context(), id(1))
	wantErr(t, err, store.ErrClosed)
	must(t, twin.replace(id(1), "charged by the second"))
	wantErr(t, w.open(Options{}), ErrRolledBack)
}

// Whoever waits while the chip is busy goes together.
func TestWritersShareEpochs(t *testing.T) {
	w := newWorld(t, Options{})
	const writers, rounds = 32, 4
	var wg sync.WaitGroup
	before := w.Epoch()
	for n := range writers {
		wg.Go(func() {
			for r := range rounds {
				if err := w.Create(t.Context(), id(n*rounds+r), []byte("row")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	epochs := w.Epoch() - before
	t.Logf("%d writes in %d epochs", writers*rounds, epochs)
	if epochs > writers*rounds/2 {
		t.Errorf("%d epochs", epochs)
	}
	w.mustOpen(Options{})
	n := 0
	must(t, w.List(t.Context(), func(id store.ID) error { _, _, err := w.Fetch(t.Context(), id); n++; return err }))
	if n != writers*rounds {
		t.Errorf("%d rows", n)
	}
}

func TestWritersObeyTheirContext(t *testing.T) {
	w := newWorld(t, Options{})
	w.turn <- struct{}{} // an epoch that takes its time
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- w.Create(ctx, id(1), []byte("x")) }()
	cancel()
	wantErr(t, <-done, context.Canceled)
	<-w.turn
	must(t, w.Create(t.Context(), id(2), []byte("y")))
	_, _, err := w.Fetch(t.Context(), id(1))
	wantErr(t, err, store.ErrNotFound)
}

// A thousand records: registered, destroyed here and there, opened again.
func TestAThousandRecords(t *testing.T) {
	w := newWorld(t, Options{})
	const records = 1000
	var wg sync.WaitGroup
	for g := range 50 {
		wg.Go(func() {
			for n := g; n < records; n += 50 {
				w.register(id(n), fmt.Sprint("record ", n))
			}
		})
	}
	wg.Wait()
	for n := 0; n < records; n += 100 {
		w.destroy(id(n), "tombstone")
	}
	w.mustOpen(Options{})
	for n := range records {
		want := fmt.Sprint("record ", n)
		if n%100 == 0 {
			want = "tombstone"
		}
		w.wantBody(id(n), want)
	}
}

// What was destroyed opens with no copy of the file that was ever saved, on the same chip,
// and with the handle that was in memory neither. The neighbours of its shard live on.
func TestDestroyedForEver(t *testing.T) {
	w := newWorld(t, Options{})
	other := neighbour(id(1))
	files := [][]byte{w.save()}
	w.register(id(1), "the body that is destroyed")
	w.register(other, "neighbour")
	files = append(files, w.save())
	must(t, w.replace(id(1), "the body that is destroyed, newer"))
	files = append(files, w.save())
	row, _, err := w.Fetch(t.Context(), id(1))
	must(t, err)
	old, sealed, _ := splitRow(row)
	w.destroy(id(1), "tombstone")
	_, err = w.Epochs.Open(t.Context(), id(1), old, sealed)
	wantErr(t, err, seal.ErrOpen)
	w.wantBody(id(1), "tombstone")
	w.wantBody(other, "neighbour")
	w.mustOpen(Options{})
	_, err = w.Epochs.Open(t.Context(), id(1), old, sealed)
	wantErr(t, err, seal.ErrOpen)
	w.wantBody(other, "neighbour")
	if bytes.Contains(w.save(), old) || bytes.Contains(w.save(), sealed) {
		t.Error("the file still has what was erased")
	}
	for n, file := range files {
		w.put(file)
		if err := w.open(Options{}); !errors.Is(err, ErrRolledBack) {
			t.Errorf("file %d: %v", n, err)
		}
	}
}

// Handles stay what they are when a neighbour is destroyed: a request that began before
// goes on after it.
func TestHandlesOutliveTheRotationOfTheirShard(t *testing.T) {
	w := newWorld(t, Options{})
	ctx := t.Context()
	other := neighbour(id(1))
	w.register(id(1), "one")
	w.register(other, "neighbour")
	row, revision, err := w.Fetch(ctx, other)
	must(t, err)
	handle, sealed, _ := splitRow(row)
	fresh, err := w.NewKey(ctx, id(1))
	must(t, err)
	old := w.Epochs.state.shards[shardOf(other)]
	w.destroy(id(1), "tombstone")
	if w.Epochs.state.shards[shardOf(other)] == old {
		t.Fatal("the shard has its old key")
	}
	body, err := w.Epochs.Open(ctx, other, handle, sealed)
	if err != nil || string(body) != "neighbour" {
		t.Fatalf("%q, %v", body, err)
	}
	must(t, w.Replace(ctx, other, revision, row))
	_, err = w.Seal(ctx, id(1), fresh, []byte("x")) // made before, and not stored
	must(t, err)
	w.mustOpen(Options{})
	w.wantBody(other, "neighbour")
	// The handle that was not stored after all is gone: the record has another one.
	_, err = w.Seal(ctx, id(1), fresh, []byte("x"))
	wantErr(t, err, seal.ErrOpen)
	// A row whose record key nobody has could never be read again.
	wantErr(t, w.Create(ctx, store.ID{8}, joinRow(bytes.Repeat([]byte{1}, handleSize), nil)), store.ErrRow)
}

// Record keys of former days, put back into today's file, open nothing.
func TestOldRecordKeysInTodaysFile(t *testing.T) {
	w := newWorld(t, Options{})
	ctx := t.Context()
	w.register(id(1), "one")
	row, _, err := w.Fetch(ctx, id(1))
	must(t, err)
	handle, sealed, _ := splitRow(row)
	var note []byte
	must(t, w.db.View(ctx, func(tx *bolt.Tx) error { note = tx.Note(keyName(id(1), handle)); return nil }))
	w.destroy(id(1), "tombstone")
	w.close()
	rawRow(t, w.path, func(tx *bolt.Tx) error { return tx.SetNote(keyName(id(1), handle), note) })
	w.mustOpen(Options{})
	_, err = w.Epochs.Open(ctx, id(1), handle, sealed)
	wantErr(t, err, seal.ErrOpen)
	w.wantBody(id(1), "tombstone")
	// One that was put back under the open store stops what would give it a new key.
	must(t, w.db.Update(ctx, func(tx *bolt.Tx) error { return tx.SetNote(keyName(id(1), handle), note) }))
	fresh, err := w.NewKey(ctx, id(1))
	must(t, err)
	wantErr(t, w.DestroyKey(ctx, id(1), fresh), ErrTampered)
	_, err = w.Epochs.Open(ctx, id(1), handle, sealed)
	wantErr(t, err, seal.ErrOpen)
}

func TestDestroyKeyWithoutErase(t *testing.T) {
	w := newWorld(t, Options{})
	ctx := t.Context()
	handle, err := w.NewKey(ctx, id(1))
	must(t, err)
	sealed, err := w.Seal(ctx, id(1), handle, []byte("body"))
	must(t, err)
	must(t, w.Create(ctx, id(1), joinRow(handle, sealed)))
	for range 2 {
		must(t, w.DestroyKey(ctx, id(1), handle))
		_, err = w.Epochs.Open(ctx, id(1), handle, sealed)
		wantErr(t, err, seal.ErrOpen)
	}
	w.mustOpen(Options{})
	_, err = w.Epochs.Open(ctx, id(1), handle, sealed)
	wantErr(t, err, seal.ErrOpen)
}
