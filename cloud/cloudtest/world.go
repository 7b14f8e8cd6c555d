package cloudtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"testing"
	"time"

	"coffer/cloud"
)

// A World is an empty place, and what others can do to it behind the back of its
// driver: users, sync clients, other computers. A func that is nil cannot be done
// to this kind of place; the checks that need it say so and are left out.
type World struct {
	Driver cloud.Driver
	// Another opens the same place once more, as another computer or a later run does.
	Another func(t *testing.T) cloud.Driver
	// Drop puts a file there, of any name, over what has the name.
	Drop func(t *testing.T, name string, data []byte)
	// Names is what lies in the place, foreign files too.
	Names func(t *testing.T) []string
	// Shift moves the times of everything in the place, as the service tells them.
	Shift func(t *testing.T, by time.Duration)
}

// RunWorld checks that the driver does the right thing with what it did not put
// there itself: foreign files, damaged ones, a folder that was copied, times of a
// clock that is wrong. Each check opens an empty place.
func RunWorld(t *testing.T, open func(t *testing.T) World) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, w World, open func(t *testing.T) World)
	}{
		{"Another", checkAnother},
		{"Foreign", checkForeign},
		{"Damaged", checkDamaged},
		{"Copied", checkCopied},
		{"Clock", checkClock},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t), open) })
	}
}

// another opens the place once more, or skips the check.
func (w World) another(t *testing.T) cloud.Driver {
	t.Helper()
	if w.Another == nil {
		t.Skip("this kind of place cannot be opened twice here")
	}
	return w.Another(t)
}

// fill puts a few objects of every kind, and returns them.
func fill(t *testing.T, d cloud.Driver, seed uint64) map[string][]byte {
	t.Helper()
	objects := map[string][]byte{"README.txt": []byte("a note")}
	for i, kind := range []string{"head", "pack", "index", "snap"} {
		for j, n := range []int{0, 1, 5000, 300_001} {
			data := content(seed*1000+uint64(10*i+j), n)
			objects[cloud.Name(kind, data)] = data
		}
	}
	putAgain(t, d, objects)
	return objects
}

// putAgain puts objects that may be there already, through a Store: a server that refuses
// a taken name does not always wait for the bytes, and then its answer may look like a
// connection that broke.
func putAgain(t *testing.T, d cloud.Driver, objects map[string][]byte) {
	t.Helper()
	s := cloud.New(d, cloud.Options{})
	for _, name := range slices.Sorted(maps.Keys(objects)) {
		if err := s.Put(t.Context(), name, objects[name]); err != nil {
			t.Fatal(err)
		}
	}
}

// wantObjects requires the place to hold the objects and, as far as it promises
// that, no others.
func wantObjects(t *testing.T, d cloud.Driver, objects map[string][]byte) {
	t.Helper()
	sizes := map[string]int64{}
	for name, data := range objects {
		wantData(t, d, name, data)
		sizes[name] = int64(len(data))
	}
	wantListed(t, d, "", sizes)
}

// tidy lets the driver tidy up, if it does.
func tidy(t *testing.T, d cloud.Driver) {
	t.Helper()
	if m, ok := d.(cloud.Maintainer); ok {
		if _, err := m.Maintain(t.Context()); err != nil {
			t.Fatalf("maintain: %v", err)
		}
	}
}

// checkAnother: two drivers of one place see each other's work, whoever tidies.
func checkAnother(t *testing.T, w World, _ func(*testing.T) World) {
	other := w.another(t)
	objects := fill(t, w.Driver, 1)
	tidy(t, other)
	wantObjects(t, other, objects)
	maps.Copy(objects, fill(t, other, 2))
	tidy(t, w.Driver)
	putAgain(t, w.Driver, objects)
	for _, name := range slices.Sorted(maps.Keys(objects))[:10] {
		if err := other.Delete(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		delete(objects, name)
		_, err := get(t.Context(), w.onlooker(t), name, 0, -1)
		wantError(t, "get of what another deleted", err, cloud.ErrNotFound)
	}
	wantObjects(t, w.onlooker(t), objects)
	wantObjects(t, w.another(t), objects)
}

// onlooker is a driver that sees what others have done by now: the first, or where
// listings are late, a new one.
func (w World) onlooker(t *testing.T) cloud.Driver {
	t.Helper()
	if w.Driver.Caps().ListAfterPut {
		return w.Driver
	}
	return w.another(t)
}

// foreign are names of files that people and programs leave in a folder. None of
// them is an object's.
func foreign(name string) []string {
	return []string{
		"notes.txt", "desktop.ini", ".DS_Store", "Thumbs.db", "readme.txt",
		name + ".part", name + " (1)", name + " (conflicted copy)", "Copy of " + name, "." + name + ".icloud", "~" + name,
		"PACK" + name[4:], name[:len(name)-1], name + "0", "snapshot" + name[4:], "urlaub äöü 日記 %20 & + = #1.txt",
	}
}

// checkForeign: foreign files are not listed, not read, not deleted, not in the way.
func checkForeign(t *testing.T, w World, _ func(*testing.T) World) {
	if w.Drop == nil {
		t.Skip("nobody else can put files into this kind of place")
	}
	objects := fill(t, w.Driver, 1)
	name := cloud.Name("pack", objects["README.txt"])
	names := foreign(name)
	for _, foreign := range names {
		w.Drop(t, foreign, []byte("not Coffer's"))
	}
	tidy(t, w.Driver)
	wantObjects(t, w.Driver, objects)
	wantAbsentHere(t, w.Driver, name)
	other := w.another(t)
	tidy(t, other)
	wantObjects(t, other, objects)
	for name := range objects {
		if err := other.Delete(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	tidy(t, other)
	wantObjects(t, w.another(t), nil)
	if w.Names == nil {
		return
	}
	left := w.Names(t)
	for _, foreign := range names {
		if !slices.Contains(left, foreign) {
			t.Errorf("the foreign file %q is gone", foreign)
		}
	}
}

// wantAbsentHere is wantAbsent in a place that holds other objects.
func wantAbsentHere(t *testing.T, d cloud.Driver, name string) {
	t.Helper()
	_, err := get(t.Context(), d, name, 0, -1)
	wantError(t, "get of an absent object", err, cloud.ErrNotFound)
}

// checkDamaged: bytes that are not those of the name are never given out by a
// Store, never taken for a successful put, and can be removed and put again.
func checkDamaged(t *testing.T, w World, _ func(*testing.T) World) {
	if w.Drop == nil {
		t.Skip("nobody else can put files into this kind of place")
	}
	for i, spoil := range []func([]byte) []byte{
		func(b []byte) []byte { return b[:len(b)/2] },
		func(b []byte) []byte { return b[:0] },
		func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
		func(b []byte) []byte { return append(b, 0) },
	} {
		data := content(uint64(i), 40_000)
		name := cloud.Name("pack", data)
		w.Drop(t, name, spoil(bytes.Clone(data)))
		d := w.another(t)
		s := cloud.New(d, cloud.Options{Budget: -1})
		_, err := s.Get(t.Context(), name)
		wantError(t, "get of a damaged object", err, cloud.ErrChecksum)
		// A service that does not know what was put behind its back may take it for absent.
		// That heals it; success over bytes that stay wrong is what must not be.
		switch err := s.Put(t.Context(), name, data); {
		case err == nil:
			wantData(t, d, name, data)
		case !errors.Is(err, cloud.ErrExists) && !errors.Is(err, cloud.ErrChecksum):
			t.Fatalf("put over a damaged object: %v", err)
		}
		if err := s.Delete(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		if err := s.Put(t.Context(), name, data); err != nil {
			t.Fatalf("put after the damaged one was removed: %v", err)
		}
		wantData(t, d, name, data)
	}
}

// checkCopied: the files of one place, copied by somebody else into another, are a
// place like any other. What is copied is what the driver lists, as by a program
// that knows files only.
func checkCopied(t *testing.T, w World, open func(*testing.T) World) {
	to := open(t)
	if to.Drop == nil {
		t.Skip("nobody else can put files into this kind of place")
	}
	objects := fill(t, w.Driver, 1)
	from := w.another(t)
	wantObjects(t, from, objects)
	for name := range objects {
		data, err := get(t.Context(), from, name, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		to.Drop(t, name, data)
	}
	d := to.another(t)
	tidy(t, d)
	wantObjects(t, d, objects)
	putAgain(t, d, objects)
	maps.Copy(objects, fill(t, d, 2)) // the backup goes on there
	wantObjects(t, to.another(t), objects)
}

// checkClock: the times that a place tells of its files are of no importance; the
// clock of a service, or this computer's, is an hour off, or decades.
func checkClock(t *testing.T, w World, _ func(*testing.T) World) {
	if w.Shift == nil {
		t.Skip("nobody can change the times of files in this kind of place")
	}
	objects := fill(t, w.Driver, 1)
	for i, by := range []time.Duration{time.Hour, -2 * time.Hour, -30 * 24 * time.Hour, 400 * 24 * time.Hour, -40 * 365 * 24 * time.Hour} {
		w.Shift(t, by)
		d := w.another(t)
		tidy(t, d)
		wantObjects(t, d, objects)
		putAgain(t, d, objects)
		for name := range objects {
			if name != "README.txt" {
				wantError(t, "put of other bytes", d.Put(t.Context(), name, cloud.Bytes([]byte("other"))), cloud.ErrExists)
			}
		}
		maps.Copy(objects, fill(t, d, uint64(2+i)))
		wantObjects(t, w.onlooker(t), objects)
	}
}

// A Load is what a place that holds many objects costs.
type Load struct {
	Objects int
	List    time.Duration // one listing of all of them through a Store
	Heap    uint64        // bytes that live at the end of the listing
}

// Within what a listing of many objects has to stay, on any computer: it is for
// finding what grows with the square of the number, and the object that is read to
// be listed, not for measuring.
const (
	mostTime = 100 * time.Microsecond // for each object of a listing; a tenth is usual
	mostHeap = 500                    // bytes for each object of a listing
)

// RunMany checks a place that already holds n small objects ("index-" and content
// "object I" for I from 0): listing takes time and memory in proportion, and finding
// one does not depend on how many there are. It returns what it measured.
func RunMany(t *testing.T, d cloud.Driver, n int) Load {
	t.Helper()
	ctx := t.Context()
	s := cloud.New(d, cloud.Options{})
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	found := make([]cloud.Object, 0, n)
	for object, err := range s.List(ctx, "index-") {
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, object)
	}
	load := Load{Objects: len(found), List: time.Since(start)}
	runtime.ReadMemStats(&after) // before a collection: what is garbage by now was needed too
	load.Heap = after.HeapAlloc - min(before.HeapAlloc, after.HeapAlloc)
	if len(found) != n {
		t.Fatalf("list has %d objects, want %d", len(found), n)
	}
	if slow := max(5*time.Second, time.Duration(n)*mostTime); load.List > slow {
		t.Errorf("a listing of %d objects took %v, more than %v", n, load.List, slow)
	}
	if most := 16<<20 + uint64(n)*mostHeap; load.Heap > most {
		t.Errorf("a listing of %d objects took %d bytes, more than %d", n, load.Heap, most)
	}
	wantFew(ctx, t, s, n)
	return load
}

// Numbered is the content of the object of that number for [RunMany].
func Numbered(i int) []byte { return fmt.Appendf(nil, "object %d", i) }

// wantFew looks at some of many objects.
func wantFew(ctx context.Context, t *testing.T, s *cloud.Store, n int) {
	t.Helper()
	for i := 0; i < n; i += max(1, n/50) {
		want := Numbered(i)
		name := cloud.Name("index", want)
		if got, err := s.Get(ctx, name); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("get %d of %d: %q, %v", i, n, got, err)
		}
		if object, err := s.Stat(ctx, name); err != nil || object.Size != int64(len(want)) {
			t.Fatalf("stat %d of %d: %+v, %v", i, n, object, err)
		}
		if err := s.Delete(ctx, name); err != nil {
			t.Fatal(err)
		}
		_, err := s.Get(ctx, name)
		wantError(t, "get of a deleted object", err, cloud.ErrNotFound)
		if err := s.Put(ctx, name, want); err != nil {
			t.Fatal(err)
		}
	}
}
