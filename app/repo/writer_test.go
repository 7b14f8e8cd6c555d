package repo

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"coffer/cloud"
	"coffer/cloud/cloudtest"
	"coffer/crypto"
)

// testTree has files of every way to be cut, and grows with round.
func testTree(round int) []*node {
	database := bytes.Repeat([]byte("row "), 80*DatabaseBlock/4)
	copy(database, "SQLite format 3\x00")
	for i := range 80 {
		binary.BigEndian.PutUint32(database[i*DatabaseBlock+100:], uint32(i+1000*round))
	}
	var small []*node
	for i := range 200 {
		small = append(small, file(fmt.Sprintf("small %03d", i), fmt.Appendf(nil, "text %d of round %d", i, i%(round+1))))
	}
	sparse := file("sparse", []byte("data"))
	sparse.Holes, sparse.Size = []Range{{2, 1 << 16}}, 4+1<<16
	return []*node{folder("home", folder("ann",
		folder("small", small...), file("large", seeded(uint64(round), 3<<20)), file("same", seeded(99, 1<<20)),
		file("database", database), file("empty", nil), sparse, file("bad \xff\n", []byte("x"))))}
}

func TestRoundTrip(t *testing.T) {
	place := cloudtest.NewMemory()
	one, two := testTree(1), testTree(2)
	first := mustBackup(t, place, testSnapshot(1, 1, Name{}), one...)
	if err := WriteReadme(t.Context(), newStore(t, place)); err != nil {
		t.Fatal(err)
	}
	mustWriteHead(t, place)
	before := len(place.Names())
	second := mustBackup(t, place, testSnapshot(1, 2, first.Name), two...)
	r := mustOpen(t, place)
	mustMatch(t, r, first, one...)
	mustMatch(t, r, second, two...)
	mustBeClean(t, place)
	for _, name := range place.Names() {
		if n := len(place.Data(name)); padme(n) != n && !strings.HasPrefix(name, "head-") && name != readmeName {
			t.Errorf("%s has %d bytes, which is no Padmé size", name, n)
		}
	}
	if before == len(place.Names()) {
		t.Fatal("the second backup stored nothing")
	}
}

func mustWriteHead(t testing.TB, d cloud.Driver) Head {
	t.Helper()
	h, err := WriteHead(t.Context(), newStore(t, d), testKeys(t), Head{MadeAt: 1, Computer: "c", OS: "linux"})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// TestUnchangedStoresOnlyASnapshot: what is known is not stored again.
func TestUnchangedStoresOnlyASnapshot(t *testing.T) {
	place := cloudtest.NewMemory()
	first := mustBackup(t, place, testSnapshot(1, 1, Name{}), testTree(1)...)
	before := place.Names()
	second := mustBackup(t, place, testSnapshot(1, 2, first.Name), testTree(1)...)
	if got := len(place.Names()); got != len(before)+1 || place.Data(snapName(second.Name)) == nil {
		t.Errorf("%d objects more, want the snapshot alone", got-len(before))
	}
}

// TestTinyChunksStayWithinLimits: the table of a pack of tiny files is many times larger
// than the files; no reader takes a pack of more than 64 MiB or an index of 32 MiB.
func TestTinyChunksStayWithinLimits(t *testing.T) {
	const chunks = 250_000 // their table has 9 MB
	place := cloudtest.NewMemory()
	w := mustOpen(t, place).NewWriter(t.Context(), nil)
	defer w.Close()
	b := w.NewBundle()
	for i := range uint64(chunks) {
		if _, err := b.Put(binary.BigEndian.AppendUint64(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(t.Context(), testSnapshot(1, 1, Name{})); err != nil {
		t.Fatal(err)
	}
	for _, name := range append(namesOf(t, place, "pack"), namesOf(t, place, "index")...) {
		if n := len(place.Data(name)); n > tableTarget*3/2+segmentTarget*4 {
			t.Errorf("%s has %d bytes", name, n)
		}
	}
	if n := len(namesOf(t, place, "pack")); n < 2 {
		t.Errorf("%d packs", n)
	}
	r := mustOpen(t, place)
	for _, i := range []uint64{0, chunks / 2, chunks - 1} {
		want := binary.BigEndian.AppendUint64(nil, i)
		if got, err := r.Chunk(t.Context(), b.hasher.Sum(want)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("chunk %d: %x, %v", i, got, err)
		}
	}
}

// TestClaimsEndWithTheWriter: a backup that was given up must not make the next one
// believe that its chunks are stored.
func TestClaimsEndWithTheWriter(t *testing.T) {
	place := cloudtest.NewMemory()
	r := mustOpen(t, place)
	w := r.NewWriter(t.Context(), nil)
	if _, err := w.NewBundle().Put([]byte("never flushed")); err != nil {
		t.Fatal(err)
	}
	w.Close()
	s := testSnapshot(1, 1, Name{})
	nodes := []*node{file("f", []byte("never flushed"))}
	if err := backup(t.Context(), r, s, nodes...); err != nil {
		t.Fatal(err)
	}
	mustMatch(t, mustOpen(t, place), s, nodes...)
}

// TestUnflushedDoesNotCommit: a snapshot must not come before what it needs.
func TestUnflushedDoesNotCommit(t *testing.T) {
	place := cloudtest.NewMemory()
	w := mustOpen(t, place).NewWriter(t.Context(), nil)
	defer w.Close()
	if _, err := w.NewBundle().Put([]byte("left in the bundle")); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(t.Context(), testSnapshot(1, 1, Name{})); !errors.Is(err, errUnflushed) {
		t.Errorf("Commit: %v, want %v", err, errUnflushed)
	}
	if err := w.Commit(t.Context(), testSnapshot(1, 1, Name{})); !errors.Is(err, errWriterDone) {
		t.Errorf("Commit again: %v, want %v", err, errWriterDone)
	}
	if n := len(place.Names()); n != 0 {
		t.Errorf("%d objects were stored", n)
	}
}

// TestWriterTellsHowItEnded: after a Commit nothing has failed.
func TestWriterTellsHowItEnded(t *testing.T) {
	w := mustOpen(t, cloudtest.NewMemory()).NewWriter(t.Context(), nil)
	defer w.Close()
	if err := w.Commit(t.Context(), testSnapshot(1, 1, Name{})); err != nil {
		t.Fatal(err)
	}
	select {
	case <-w.Failed():
		t.Error("Failed is closed after a Commit")
	default:
	}
	if err := w.Err(); err != nil {
		t.Errorf("Err: %v", err)
	}
}

// TestCommitRefusesWhatNobodyReads: an unreadable snapshot would be the only record of a
// backup.
func TestCommitRefusesWhatNobodyReads(t *testing.T) {
	for name, change := range map[string]func(*Snapshot){
		"sequence":     func(s *Snapshot) { s.Sequence = 0 },
		"previous":     func(s *Snapshot) { s.Previous = Name{1} },
		"text":         func(s *Snapshot) { s.Computer = "\xff" },
		"long text":    func(s *Snapshot) { s.Tool = strings.Repeat("x", snapText+1) },
		"sources":      func(s *Snapshot) { s.Sources = []string{"/b", "/a"} },
		"nanoseconds":  func(s *Snapshot) { s.Ended.Nsec = 1e9 },
		"negative":     func(s *Snapshot) { s.Files = -1 },
		"devices":      func(s *Snapshot) { s.Seen = []Seen{{Sequence: 1}, {Sequence: 1}} },
		"over 1 MiB":   func(s *Snapshot) { s.Exclude = manyTexts(300) },
		"under 1 MiB?": func(s *Snapshot) { s.Exclude = manyTexts(258) }, // Padmé takes it over
	} {
		place := cloudtest.NewMemory()
		w := mustOpen(t, place).NewWriter(t.Context(), nil)
		s := testSnapshot(1, 1, Name{})
		change(s)
		if err := w.Commit(t.Context(), s); err == nil || len(place.Names()) > 0 {
			t.Errorf("%s: %v, %d objects", name, err, len(place.Names()))
		}
		w.Close()
	}
}

func manyTexts(n int) (all []string) {
	for range n {
		all = append(all, strings.Repeat("x", 4096))
	}
	return all
}

// TestPutFaults makes every write go wrong in turn, in every way. A backup that says done
// is whole; one that failed has left nothing that disturbs, and the next one succeeds.
func TestPutFaults(t *testing.T) {
	puts := countPuts(t)
	if puts < 4 {
		t.Fatalf("a backup makes %d writes, too few to test", puts)
	}
	for _, fault := range []cloudtest.Fault{cloudtest.Fail, cloudtest.FailDone, cloudtest.Hang, cloudtest.HangDone, cloudtest.Flip} {
		for at := 1; at <= puts; at++ {
			t.Run(fmt.Sprint(fault, at), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { putFault(t, fault, at) })
			})
		}
	}
}

func smallPacks(ctx context.Context, r *Repository) *Writer {
	w := r.NewWriter(ctx, nil)
	w.target = 1 << 19
	return w
}

// backupIn stores the tree in packs of half a MiB, so that there are some.
func backupIn(ctx context.Context, r *Repository, s *Snapshot, nodes []*node) error {
	w := smallPacks(ctx, r)
	defer w.Close()
	t := newTreeWriter(w, r.keys)
	var err error
	if s.Root, err = t.folder(nodes); err != nil {
		return err
	}
	if err := t.flush(); err != nil {
		return err
	}
	return w.Commit(ctx, s)
}

func faultTree() []*node {
	return []*node{folder("a", file("large", seeded(1, 1<<20)), file("small", []byte("small"))), file("z", seeded(2, 100))}
}

func countPuts(t *testing.T) int {
	d := cloudtest.NewFaulty(cloudtest.NewMemory())
	if err := backupIn(t.Context(), mustOpen(t, d), testSnapshot(1, 1, Name{}), faultTree()); err != nil {
		t.Fatal(err)
	}
	return d.Calls(cloudtest.Put)
}

func putFault(t *testing.T, fault cloudtest.Fault, at int) {
	memory := cloudtest.NewMemory()
	d := cloudtest.NewFaulty(memory, cloudtest.Shot{Op: cloudtest.Put, At: at, Fault: fault})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s, nodes := testSnapshot(1, 1, Name{}), faultTree()
	err := backupIn(ctx, mustOpen(t, d), s, nodes)
	if !d.AllFired() {
		t.Fatal("the fault did not happen")
	}
	if err == nil {
		mustMatch(t, mustOpen(t, memory), s, nodes...)
	}
	mustWriteHead(t, memory)
	mustBeClean(t, memory)
	next := testSnapshot(2, 1, Name{})
	if err := backupIn(t.Context(), mustOpen(t, memory), next, nodes); err != nil {
		t.Fatal(err)
	}
	mustMatch(t, mustOpen(t, memory), next, nodes...)
	mustBeClean(t, memory)
}

// TestKillPoints cuts a backup off after each write, with that write done or not. What was
// stored is found again: the next backup stores no chunk twice.
func TestKillPoints(t *testing.T) {
	puts := countPuts(t)
	for at := 1; at <= puts; at++ {
		for _, done := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d done %t", at, done), func(t *testing.T) { killPoint(t, at, done) })
		}
	}
}

func killPoint(t *testing.T, at int, done bool) {
	memory := cloudtest.NewMemory()
	ctx, kill := context.WithCancel(t.Context())
	defer kill()
	d := &killer{Memory: memory, at: at, done: done, kill: kill}
	s := testSnapshot(1, 1, Name{})
	if err := backupIn(ctx, mustOpen(t, d), s, faultTree()); err == nil {
		t.Fatal("a backup that was cut off says that it is done")
	}
	mustWriteHead(t, memory)
	mustBeClean(t, memory)
	r := mustOpen(t, memory)
	stored := map[string]bool{}
	for _, p := range r.packs {
		stored[packName(p.name)] = true
	}
	for _, name := range memory.Names() {
		if strings.HasPrefix(name, "pack-") && !stored[name] {
			t.Errorf("%s was stored and not found", name)
		}
	}
	next, nodes := testSnapshot(2, 1, Name{}), faultTree()
	if err := backupIn(t.Context(), r, next, nodes); err != nil {
		t.Fatal(err)
	}
	r = mustOpen(t, memory)
	mustMatch(t, r, next, nodes...)
	for i := range r.chunks.shards {
		if n := len(r.chunks.shards[i].copies); n > 0 {
			t.Errorf("%d chunks were stored twice", n)
		}
	}
	mustBeClean(t, memory)
}

// A killer is a place whose computer dies at the at-th write.
type killer struct {
	*cloudtest.Memory
	at   int
	done bool
	kill context.CancelFunc
	puts counter
}

func (k *killer) Put(ctx context.Context, name string, src cloud.Source) error {
	n := k.puts.next()
	if n > k.at || n == k.at && !k.done {
		k.kill()
		return context.Canceled
	}
	err := k.Memory.Put(ctx, name, src)
	if n == k.at {
		k.kill()
		return context.Canceled
	}
	return err
}

// TestRandomFaults reads and writes through a place that often fails. The Store tries
// again; what comes out is whole.
func TestRandomFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := cloudtest.NewMemory()
		d := cloudtest.NewRandom(t, memory, 7, 0.2)
		store := cloud.New(d, cloud.Options{})
		defer store.Close()
		var previous Name
		for round := 1; round <= 60 && (!d.AllFired() || round < 4); round++ {
			nodes := []*node{folder("a", file("f", seeded(uint64(round), 200<<10)), file("g", fmt.Appendf(nil, "%d", round)))}
			s := testSnapshot(1, uint64(round), previous)
			mustInTheEnd(t, func() error {
				r, err := Open(t.Context(), store, testKeys(t), Options{})
				if err != nil {
					return err
				}
				return backupIn(t.Context(), r, s, nodes)
			})
			previous = s.Name
			mustMatch(t, mustOpen(t, memory), s, nodes...)
			mustInTheEnd(t, func() error {
				_, err := WriteHead(t.Context(), store, testKeys(t), Head{MadeAt: 1})
				return err
			})
			mustBeClean(t, memory)
		}
		if !d.AllFired() {
			t.Errorf("faults that never happened: %v", d.Unfired())
		}
	})
}

// mustInTheEnd does what a person does: tries again. One object that arrives changed
// several times in a row is more than the Store bears.
func mustInTheEnd(t *testing.T, do func() error) {
	t.Helper()
	for range 5 {
		err := do()
		if err == nil {
			return
		}
		if !errors.Is(err, cloud.ErrChecksum) {
			t.Fatal(err)
		}
	}
	t.Fatal("five times in a row")
}

// TestSecondLook makes each answer wrong in turn, once: what was changed on the way is
// not taken for damage, by reading or by checking, with an index and without.
func TestSecondLook(t *testing.T) {
	memory := cloudtest.NewMemory()
	nodes := faultTree()
	s := mustBackup(t, memory, testSnapshot(1, 1, Name{}), nodes...)
	mustWriteHead(t, memory)
	bare := memory.Clone()
	bare.Set(namesOf(t, memory, "index")[0], nil)
	for _, place := range []*cloudtest.Memory{memory, bare} {
		for _, fault := range []cloudtest.Fault{cloudtest.Flip, cloudtest.Truncate} {
			for at := 1; ; at++ {
				d := cloudtest.NewFaulty(place, cloudtest.Shot{Op: cloudtest.Get, At: at, Fault: fault})
				fired := false
				synctest.Test(t, func(t *testing.T) { fired = secondLook(t, d, s, nodes) })
				if !fired {
					if at < 8 {
						t.Fatalf("only %d reads", at)
					}
					break
				}
			}
		}
	}
}

func secondLook(t *testing.T, d *cloudtest.Faulty, s *Snapshot, nodes []*node) (fired bool) {
	store := cloud.New(d, cloud.Options{})
	defer store.Close()
	r, err := Open(t.Context(), store, testKeys(t), Options{})
	if err != nil || len(r.Problems()) > 0 {
		t.Fatalf("%v, %v", err, r.Problems())
	}
	mustMatch(t, r, s, nodes...)
	if report, err := Check(t.Context(), store, testKeys(t), CheckOptions{Percent: 100}); err != nil || len(report.Damaged) > 0 {
		t.Errorf("check: %+v, %v", report, err)
	}
	return d.AllFired()
}

// TestMemoryIsBounded: a destination that takes nothing holds the backup back.
func TestMemoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := cloudtest.NewFaulty(cloudtest.NewMemory(), cloudtest.Shot{Op: cloudtest.Put, Fault: cloudtest.Hang})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		w := smallPacks(ctx, mustOpen(t, d))
		defer w.Close()
		var put counter
		ended := make(chan error, 1)
		go func() {
			b := w.NewBundle()
			for {
				chunk := seeded(uint64(put.next()), 256<<10)
				if _, err := b.Put(chunk); err != nil {
					ended <- err
					return
				}
			}
		}()
		synctest.Wait()
		if n, most := put.value(), (cap(w.free)+1)*3+1; n < 2 || n > most {
			t.Errorf("%d chunks of 256 KiB were taken, want at most %d", n, most)
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Put: %v", err)
		}
	})
}

// TestHugeFolder: a small change in a folder of 100,000 entries stores few pages.
func TestHugeFolder(t *testing.T) {
	n := 100_000
	if testing.Short() {
		n = 20_000
	}
	place := cloudtest.NewMemory()
	first := storeHuge(t, place, testSnapshot(1, 1, Name{}), n, -1)
	r := mustOpen(t, place)
	before := map[crypto.ChunkID]bool{}
	pages := 0
	for id, err := range r.IDs(t.Context(), first.Root) {
		if err != nil {
			t.Fatal(err)
		}
		before[id] = true
		pages++
	}
	second := storeHuge(t, place, testSnapshot(1, 2, first.Name), n, n/2)
	r = mustOpen(t, place)
	fresh, again := 0, 0
	for id, err := range r.IDs(t.Context(), second.Root) {
		if err != nil {
			t.Fatal(err)
		}
		if again++; !before[id] {
			fresh++
		}
	}
	if fresh != 1 || again != pages {
		t.Errorf("%d of %d pages are new, want 1", fresh, again)
	}
	last, entries := "", 0
	for e, err := range r.Folder(t.Context(), second.Root) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Name <= last {
			t.Fatalf("%q comes after %q", e.Name, last)
		}
		last = e.Name
		entries++
	}
	if entries != n {
		t.Errorf("%d entries, want %d", entries, n)
	}
}

func storeHuge(t *testing.T, place cloud.Driver, s *Snapshot, n, changed int) *Snapshot {
	t.Helper()
	w := mustOpen(t, place).NewWriter(t.Context(), nil)
	defer w.Close()
	b := w.NewTreeBundle()
	f := b.NewFolder()
	for i := range n {
		e := file(fmt.Sprintf("picture %06d.jpg", i), nil)
		if i == changed {
			e.ModTime.Sec++
		}
		if err := f.Add(&e.Entry); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	if s.Root, err = f.End(); err != nil {
		t.Fatal(err)
	}
	if err := b.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestContentLists goes down to depth 2 and finds all ids again, in order.
func TestContentLists(t *testing.T) {
	place := cloudtest.NewMemory()
	r := mustOpen(t, place)
	w := r.NewWriter(t.Context(), nil)
	defer w.Close()
	b := w.NewTreeBundle()
	h := r.keys.NewChunkHasher()
	for _, c := range []struct{ n, depth int }{{0, 0}, {1, 0}, {64, 0}, {65, 1}, {5000, 1}, {100_000, 2}} {
		ids := make([]crypto.ChunkID, c.n)
		for i := range ids {
			ids[i] = h.Sum(binary.BigEndian.AppendUint64(nil, uint64(i)))
		}
		content, err := b.PutContent(ids)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Flush(); err != nil {
			t.Fatal(err)
		}
		if content.Depth != c.depth || len(content.IDs) > listInPlace {
			t.Errorf("%d ids: depth %d with %d ids, want depth %d", c.n, content.Depth, len(content.IDs), c.depth)
		}
		s := testSnapshot(1, 1, Name{})
		s.Root = content
		if known, err := r.Known(t.Context(), content); err != nil || known && c.n > 0 {
			t.Errorf("%d ids of chunks that nobody has: known %t, %v", c.n, known, err)
		}
		if c.depth > 0 {
			continue
		}
		mustYield(t, r, content, ids)
	}
}

// TestDeepList reads lists of lists back.
func TestDeepList(t *testing.T) {
	place := cloudtest.NewMemory()
	w := mustOpen(t, place).NewWriter(t.Context(), nil)
	defer w.Close()
	b := w.NewTreeBundle()
	h := testKeys(t).NewChunkHasher()
	ids := make([]crypto.ChunkID, 60_000)
	for i := range ids {
		ids[i] = h.Sum(binary.BigEndian.AppendUint64(nil, uint64(i)))
	}
	content, err := b.PutContent(ids)
	if err != nil || content.Depth < 2 {
		t.Fatalf("depth %d, %v", content.Depth, err)
	}
	if err := b.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(t.Context(), testSnapshot(1, 1, Name{})); err != nil {
		t.Fatal(err)
	}
	mustYield(t, mustOpen(t, place), content, ids)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range mustOpen(t, place).IDs(ctx, content) {
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("after the end of its context: %v", err)
		}
	}
}

func mustYield(t *testing.T, r *Repository, c Content, want []crypto.ChunkID) {
	t.Helper()
	i := 0
	for id, err := range r.IDs(t.Context(), c) {
		if err != nil || i >= len(want) || id != want[i] {
			t.Fatalf("id %d: %v, %v", i, id, err)
		}
		i++
	}
	if i != len(want) {
		t.Errorf("%d ids, want %d", i, len(want))
	}
}
