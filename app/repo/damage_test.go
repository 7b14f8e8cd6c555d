package repo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"coffer/cloud"
	"coffer/cloud/cloudtest"
	"coffer/crypto"
)

// A damageCase is a place with two snapshots, and what of it needs which object.
type damageCase struct {
	*cloudtest.Memory
	first, second *Snapshot
	needs         map[string][]string // paths by pack, those of files and pages
}

// newDamageCase stores a tree in packs of its own for each file of 600 kB.
func newDamageCase(t *testing.T) *damageCase {
	t.Helper()
	c := &damageCase{Memory: cloudtest.NewMemory()}
	nodes := []*node{folder("home", file("a", seeded(1, 600_000)), file("b", seeded(2, 600_000)), file("small", []byte("small")))}
	c.first = testSnapshot(1, 1, Name{})
	if err := backupIn(t.Context(), mustOpen(t, c), c.first, nodes); err != nil {
		t.Fatal(err)
	}
	c.second = testSnapshot(2, 1, Name{})
	c.second.Seen = []Seen{{c.first.Device, 1, c.first.Name}}
	nodes[0].children = append(nodes[0].children, file("z", seeded(3, 600_000)))
	if err := backupIn(t.Context(), mustOpen(t, c), c.second, nodes); err != nil {
		t.Fatal(err)
	}
	mustWriteHead(t, c)
	if err := WriteReadme(t.Context(), newStore(t, c)); err != nil {
		t.Fatal(err)
	}
	mustBeClean(t, c)
	c.findNeeds(t)
	return c
}

// findNeeds asks the chunks where they are.
func (c *damageCase) findNeeds(t *testing.T) {
	t.Helper()
	r := mustOpen(t, c)
	sets := map[string]map[string]bool{}
	need := func(path string, content Content) {
		for id, err := range r.IDs(t.Context(), content) {
			if err != nil {
				t.Fatal(err)
			}
			at, err := r.Locate(id)
			if err != nil {
				t.Fatal(err)
			}
			if sets[r.object(at.Pack)] == nil {
				sets[r.object(at.Pack)] = map[string]bool{}
			}
			sets[r.object(at.Pack)][path] = true
		}
	}
	for _, s := range []*Snapshot{c.first, c.second} {
		need("/", s.Root)
		tree, err := readTree(t.Context(), r, s.Root)
		if err != nil {
			t.Fatal(err)
		}
		for path, f := range tree {
			need(path, f.Content)
		}
	}
	c.needs = map[string][]string{}
	for pack, paths := range sets {
		for path := range paths {
			c.needs[pack] = append(c.needs[pack], path)
		}
		slices.Sort(c.needs[pack])
	}
	if len(c.needs) < 5 {
		t.Fatalf("the place has %d packs, too few to tell them apart", len(c.needs))
	}
}

// mustName fails unless a check names exactly the objects.
func mustName(t *testing.T, place cloud.Driver, objects ...string) map[string]Damage {
	t.Helper()
	report := mustCheck(t, place)
	var got []string
	found := map[string]Damage{}
	for _, d := range report.Damaged {
		got = append(got, d.Object)
		found[d.Object] = d
		if d.Reason == "" || !slices.IsSorted(d.Paths) {
			t.Errorf("%+v", d)
		}
	}
	slices.Sort(objects)
	if !slices.Equal(got, objects) {
		t.Fatalf("check names %+v, want %q", report.Damaged, objects)
	}
	return found
}

// mustNeed fails unless the damage to a pack names what is lost with it. When a page is
// lost, nobody knows what was in it, so only the folder is named.
func (c *damageCase) mustNeed(t *testing.T, d Damage) {
	t.Helper()
	want := c.needs[d.Object]
	if slices.Contains(want, "/") {
		want = slices.DeleteFunc(slices.Clone(want), func(p string) bool { return p != "/" })
	}
	if !slices.Equal(d.Paths, want) || strings.HasPrefix(d.Object, "pack-") && d.Chunks == 0 {
		t.Errorf("%s: %d chunks, paths %q, want %q", d.Object, d.Chunks, d.Paths, want)
	}
}

// TestFlippedBits flips a bit of each object: in its header, in the middle, at its end and
// anywhere.
func TestFlippedBits(t *testing.T) {
	c := newDamageCase(t)
	for _, name := range c.Names() {
		good := c.Data(name)
		places := []int{0, 6, 7, 8, 20, 40, 70, len(good) / 2, len(good) - 24, len(good) - 1, rand.IntN(len(good))}
		for _, at := range places {
			t.Run(fmt.Sprintf("%.9s at %d", name, at), func(t *testing.T) {
				bad := bytes.Clone(good)
				bad[at] ^= 1 << rand.IntN(8)
				place := c.Clone()
				place.Set(name, bad)
				c.mustNameBroken(t, place, name, true)
			})
		}
	}
}

// mustNameBroken checks a place in which one object is no longer what it was; there is false
// when it is gone.
func (c *damageCase) mustNameBroken(t *testing.T, place *cloudtest.Memory, name string, there bool) {
	t.Helper()
	want := []string{name}
	if strings.HasPrefix(name, "head-") {
		want = append(want, "head") // the only one
		if !there {
			want = want[1:]
		}
	}
	found := mustName(t, place, want...)
	if strings.HasPrefix(name, "pack-") {
		// Where one bit of one of several segments is wrong, only what needs that segment is
		// named, so damage never names more than the pack's, and something.
		d := found[name]
		for _, p := range d.Paths {
			if !slices.Contains(c.needs[name], p) {
				t.Errorf("%q is named and does not need %s", p, name)
			}
		}
	}
}

// TestFlippedSegment names all that a broken segment takes with it.
func TestFlippedSegment(t *testing.T) {
	c := newDamageCase(t)
	for name := range c.needs {
		bad := c.Data(name)
		bad[crypto.HeaderSize+5] ^= 1
		place := c.Clone()
		place.Set(name, bad)
		c.mustNeed(t, mustName(t, place, name)[name])
	}
}

// TestGoneAndCut removes and cuts each object.
func TestGoneAndCut(t *testing.T) {
	c := newDamageCase(t)
	for _, name := range c.Names() {
		good := c.Data(name)
		for _, n := range []int{0, 1, crypto.HeaderSize - 1, crypto.HeaderSize, len(good) / 2, len(good) - 1} {
			place := c.Clone()
			place.Set(name, append([]byte{}, good[:min(n, len(good)-1)]...))
			c.mustNameBroken(t, place, name, true)
			place.Set(name, append(bytes.Clone(good), 0))
			if name != readmeName {
				c.mustNameBroken(t, place, name, true)
			}
		}
	}
}

// TestMissing removes an object of each kind.
func TestMissing(t *testing.T) {
	c := newDamageCase(t)
	for name := range c.needs {
		place := c.Clone()
		place.Set(name, nil)
		d := mustName(t, place, name)[name]
		c.mustNeed(t, d)
		if d.Reason != "is missing" {
			t.Errorf("%s %s", d.Object, d.Reason)
		}
	}
	for _, name := range namesOf(t, c.Memory, "index") {
		place := c.Clone()
		place.Set(name, nil)
		mustBeClean(t, place) // the packs are found by their footers
	}
	place := c.Clone()
	place.Set(namesOf(t, c.Memory, "head")[0], nil)
	mustName(t, place, "head")
	place = c.Clone()
	place.Set(snapName(c.first.Name), nil)
	mustName(t, place, snapName(c.first.Name)) // the second one knew it
	for _, name := range namesOf(t, c.Memory, "index") {
		place.Set(name, nil)
	}
	for name := range c.needs {
		place = c.Clone()
		for _, index := range namesOf(t, c.Memory, "index") {
			place.Set(index, nil)
		}
		place.Set(name, nil)
		d := mustName(t, place, "")[""] // no object says where it was
		if len(d.Paths) == 0 {
			t.Errorf("without indexes and %s nothing is named", name)
		}
	}
}

// mustNeedBeside is mustNeed for damage to two packs: when the other one holds the only
// tree that leads to the files of this one, nobody can say which they are.
func (c *damageCase) mustNeedBeside(t *testing.T, d Damage, other string) {
	t.Helper()
	if len(d.Paths) == 0 && slices.Contains(c.needs[other], "/") && !slices.Contains(c.needs[d.Object], "/") {
		return
	}
	c.mustNeed(t, d)
}

// TestSwapped exchanges the bytes of two objects of a kind, and puts one under another
// name.
func TestSwapped(t *testing.T) {
	c := newDamageCase(t)
	for _, kind := range []string{"pack", "index", "snap"} {
		names := namesOf(t, c.Memory, kind)
		for i, a := range names {
			b := names[(i+1)%len(names)]
			place := c.Clone()
			place.Set(a, c.Data(b))
			place.Set(b, c.Data(a))
			found := mustName(t, place, a, b)
			if kind != "pack" {
				continue
			}
			c.mustNeedBeside(t, found[a], b)
			c.mustNeedBeside(t, found[b], a)
		}
		a := names[0]
		other := kind + "-" + strings.Repeat("0", 40)
		place := c.Clone()
		place.Set(other, c.Data(a))
		place.Set(a, nil)
		switch kind {
		case "pack": // read by its footer: nothing is lost, and yet it is not as it should be
			if d := mustName(t, place, a, other)[a]; len(d.Paths) > 0 {
				t.Errorf("paths %q are named, which can be had from %s", d.Paths, other)
			}
		case "index":
			mustName(t, place, other)
		case "snap":
			found := mustCheck(t, place).Damaged
			if len(found) == 0 || found[0].Object != other {
				t.Errorf("a renamed snapshot: %v", found)
			}
		}
	}
}

// TestSwappedTwins exchanges packs of equal form: only the ids of chunks tell them apart.
func TestSwappedTwins(t *testing.T) {
	c := newDamageCase(t)
	bySize := map[int][]string{}
	for _, name := range namesOf(t, c.Memory, "pack") {
		bySize[len(c.Data(name))] = append(bySize[len(c.Data(name))], name)
	}
	tested := false
	for _, twins := range bySize {
		if len(twins) < 2 {
			continue
		}
		tested = true
		place := c.Clone()
		place.Set(twins[0], c.Data(twins[1]))
		place.Set(twins[1], c.Data(twins[0]))
		found := mustName(t, place, twins[0], twins[1])
		c.mustNeed(t, found[twins[0]])
		c.mustNeed(t, found[twins[1]])
	}
	if !tested {
		t.Fatal("no two packs have the same size")
	}
}

// TestStrangers puts beside what does not belong there.
func TestStrangers(t *testing.T) {
	c := newDamageCase(t)
	other := mustRoot(t, 0x80).Derive()
	place := c.Clone()
	store := newStore(t, place)
	stranger, err := Open(t.Context(), store, other, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := backupIn(t.Context(), stranger, testSnapshot(7, 1, Name{}), faultTree()); err != nil {
		t.Fatal(err)
	}
	if _, err := WriteHead(t.Context(), store, other, Head{MadeAt: 1}); err != nil {
		t.Fatal(err)
	}
	place.Set("holiday.jpg", []byte("not ours"))
	mustBeClean(t, place)
	if report := mustCheck(t, place); report.Foreign < 4 {
		t.Errorf("%d objects of another repository, want all kinds", report.Foreign)
	}
	r := mustOpen(t, place)
	mustMatchTree(t, r, c.second)
	if ids, err := IDs(t.Context(), store); err != nil || len(ids) != 2 {
		t.Errorf("ids %v, %v", ids, err)
	}
}

func mustMatchTree(t *testing.T, r *Repository, s *Snapshot) {
	t.Helper()
	if _, err := readTree(t.Context(), r, s.Root); err != nil {
		t.Error(err)
	}
}

// TestNewerBeside: what a newer Coffer wrote is named, and all else opens.
func TestNewerBeside(t *testing.T) {
	c := newDamageCase(t)
	place := c.Clone()
	var want []string
	for _, kind := range []string{"pack", "index", "snap", "head"} {
		newer := c.Data(namesOf(t, c.Memory, kind)[0])
		newer[6] = 2
		name := crypto.ObjectName(kind, newer)
		place.Set(name, newer)
		want = append(want, name)
	}
	for _, d := range mustName(t, place, want...) {
		if !strings.Contains(d.Reason, "newer") {
			t.Errorf("%s %s", d.Object, d.Reason)
		}
	}
	r := mustOpen(t, place)
	mustMatchTree(t, r, c.second)
	if snapshots := mustSnapshots(t, r); len(snapshots) != 2 {
		t.Errorf("%d snapshots, want 2", len(snapshots))
	}
	if heads, err := ReadHeads(t.Context(), newStore(t, place)); err != nil || len(heads) != 1 {
		t.Errorf("%d heads, %v", len(heads), err)
	}
	alone := cloudtest.NewMemory()
	for _, name := range want {
		alone.Set(name, place.Data(name))
	}
	if _, err := Open(t.Context(), newStore(t, alone), testKeys(t), Options{}); !errors.Is(err, crypto.ErrNewerFormat) {
		t.Errorf("a repository of a newer format alone: %v", err)
	}
	if _, err := ReadHeads(t.Context(), newStore(t, alone)); !errors.Is(err, crypto.ErrNewerFormat) {
		t.Errorf("heads of a newer format alone: %v", err)
	}
}

// TestReplay puts old objects back: an old head does not count, an old index harms nobody.
func TestReplay(t *testing.T) {
	c := newDamageCase(t)
	place := c.Clone()
	old := namesOf(t, c.Memory, "head")[0]
	next := mustWriteHead(t, place)
	if place.Data(old) != nil {
		t.Fatal("the old head is still there")
	}
	place.Set(old, c.Data(old))
	heads, err := ReadHeads(t.Context(), newStore(t, place))
	if err != nil || len(heads) != 2 || heads[0].Name != next.Name || heads[0].Generation != 2 {
		t.Errorf("heads %+v, %v", heads, err)
	}
	r := mustOpen(t, c)
	packs := namesOf(t, c.Memory, "pack")
	var all []storedPack
	for _, p := range packs {
		name, _ := parseName("pack", p)
		footer, err := r.readFooter(t.Context(), name, int64(len(c.Data(p))))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, footer)
	}
	again := sealIndex(testKeys(t), all)
	place.Set(crypto.ObjectName("index", again), again)
	mustBeClean(t, place)
}

// TestAnyCopyWillDo: a chunk in two packs is lost only with both.
func TestAnyCopyWillDo(t *testing.T) {
	place := cloudtest.NewMemory()
	nodes := []*node{file("f", seeded(1, 100_000))}
	a, b := mustOpen(t, place), mustOpen(t, place) // two devices at once
	one, two := testSnapshot(1, 1, Name{}), testSnapshot(2, 1, Name{})
	for r, s := range map[*Repository]*Snapshot{a: one, b: two} {
		if err := backup(t.Context(), r, s, nodes...); err != nil {
			t.Fatal(err)
		}
	}
	mustWriteHead(t, place)
	mustBeClean(t, place)
	packs := namesOf(t, place, "pack")
	if len(packs) != 4 {
		t.Fatalf("%d packs, want 2 of each device", len(packs))
	}
	for _, name := range packs {
		bad := place.Clone()
		data := bad.Data(name)
		data[crypto.HeaderSize] ^= 1
		bad.Set(name, data)
		mustMatch(t, mustOpen(t, bad), one, nodes...)
		if d := mustName(t, bad, name)[name]; d.Chunks != 0 || len(d.Paths) != 0 {
			t.Errorf("%+v, and yet all of it is in another pack", d)
		}
	}
}

// TestManyPathsNeedOnePack: more paths than are named do not become another damage, and
// a page that lies at two paths names both.
func TestManyPathsNeedOnePack(t *testing.T) {
	place := cloudtest.NewMemory()
	data := seeded(1, 700_000)
	var files []*node
	for i := range maxPaths + 50 {
		files = append(files, file(fmt.Sprintf("copy %04d", i), data))
	}
	twin := func(name string) *node { return folder(name, file("f", seeded(2, 700_000)), file("x", data)) }
	s := testSnapshot(1, 1, Name{})
	if err := backupIn(t.Context(), mustOpen(t, place), s, []*node{folder("many", files...), twin("one"), twin("two")}); err != nil {
		t.Fatal(err)
	}
	mustWriteHead(t, place)
	r := mustOpen(t, place)
	hasher := testKeys(t).NewChunkHasher()
	pack := func(data []byte) string {
		at, err := r.Locate(hasher.Sum(data[:r.firstCut(data)]))
		if err != nil {
			t.Fatal(err)
		}
		return r.object(at.Pack)
	}
	first, second := pack(data), pack(seeded(2, 700_000))
	if first == second {
		t.Fatal("both files are in one pack")
	}
	place.Set(first, nil)
	place.Set(second, nil)
	found := mustName(t, place, first, second)
	if n := len(found[first].Paths); n != maxPaths {
		t.Errorf("%d paths, want %d", n, maxPaths)
	}
	if got := found[second].Paths; !slices.Equal(got, []string{"/one/f", "/two/f"}) {
		t.Errorf("paths %q", got)
	}
}

func (r *Repository) firstCut(data []byte) int { return NewChunker(r.keys).Cut(data) }

// TestHostileTree: folders that hold the folder below twice have 2^60 paths in 60 pages. A
// check ends, with and without trouble at the bottom.
func TestHostileTree(t *testing.T) {
	for _, broken := range []bool{false, true} {
		place := cloudtest.NewMemory()
		w := mustOpen(t, place).NewWriter(t.Context(), nil)
		b := w.NewTreeBundle()
		bottom := file("f", []byte("x"))
		bottom.Content.IDs = []crypto.ChunkID{testID(1)} // in no pack
		if !broken {
			bottom = file("f", nil)
		}
		content := mustFolder(t, b, bottom)
		for range 60 {
			x, y := folder("x"), folder("y")
			x.Content, y.Content = content, content
			content = mustFolder(t, b, x, y)
		}
		if err := b.Flush(); err != nil {
			t.Fatal(err)
		}
		s := testSnapshot(1, 1, Name{})
		s.Root = content
		if err := w.Commit(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		w.Close()
		mustWriteHead(t, place)
		if broken {
			if d := mustName(t, place, "")[""]; len(d.Paths) == 0 {
				t.Error("no path is named")
			}
			continue
		}
		mustBeClean(t, place)
	}
}

func mustFolder(t *testing.T, b *Bundle, nodes ...*node) Content {
	t.Helper()
	f := b.NewFolder()
	for _, n := range nodes {
		if err := f.Add(&n.Entry); err != nil {
			t.Fatal(err)
		}
	}
	c, err := f.End()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestHostileLists: a list that names itself-like lists unfolds to more ids than there is
// time for; whoever waits can stop.
func TestHostileLists(t *testing.T) {
	place := cloudtest.NewMemory()
	r := mustOpen(t, place)
	w := r.NewWriter(t.Context(), nil)
	defer w.Close()
	b := w.NewTreeBundle()
	id := testID(1)
	for range maxDepth {
		list := bytes.Repeat(id[:], 1000)
		var err error
		if id, err = b.Put(list); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(t.Context(), testSnapshot(1, 1, Name{})); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	var last error
	for _, err := range r.IDs(ctx, Content{[]crypto.ChunkID{id}, maxDepth}) {
		if n++; n == 5000 {
			cancel()
		}
		last = err
	}
	if !errors.Is(last, context.Canceled) || n > 10_000 {
		t.Errorf("%d ids, then %v", n, last)
	}
}

// TestCheckProgress counts up to all there is, one call at a time, and a share of packs is
// the share that was asked for.
func TestCheckProgress(t *testing.T) {
	c := newDamageCase(t)
	for _, percent := range []int{0, 1, 50, 100, 1000} {
		var mu sync.Mutex
		var last CheckProgress
		waits := 0
		report, err := Check(t.Context(), newStore(t, c), testKeys(t), CheckOptions{
			Percent: percent,
			Wait: func(context.Context) error {
				mu.Lock()
				defer mu.Unlock()
				waits++
				return nil
			},
			Progress: func(p CheckProgress) {
				if p.Objects <= last.Objects || p.TotalObjects != int64(len(c.Names())) {
					t.Errorf("progress %+v after %+v", p, last)
				}
				last = p
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		packs := len(namesOf(t, c.Memory, "pack"))
		others := len(c.Names()) - packs
		want := others + (packs*min(percent, 100)+99)/100
		if waits != want || last.Objects != last.TotalObjects || last.Bytes != last.TotalBytes || report.BytesRead != last.Bytes {
			t.Errorf("%d %%: %d objects, want %d; %+v", percent, waits, want, last)
		}
	}
	stop := errors.New("stop")
	_, err := Check(t.Context(), newStore(t, c), testKeys(t), CheckOptions{Wait: func(context.Context) error { return stop }})
	if !errors.Is(err, stop) {
		t.Errorf("a check that was stopped: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), -time.Second)
	defer cancel()
	if _, err := Check(ctx, newStore(t, c), testKeys(t), CheckOptions{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a check after its time: %v", err)
	}
}

// TestBadSector: one object that cannot be read is named, and does not end a check. A
// place that cannot be reached ends it.
func TestBadSector(t *testing.T) {
	c := newDamageCase(t)
	sector := errors.New("input/output error")
	for _, name := range c.Names() {
		d := &badSector{Memory: c.Clone(), name: name, err: sector}
		want := []string{name}
		if strings.HasPrefix(name, "head-") {
			want = append(want, "head")
		}
		found := mustName(t, d, want...)
		if strings.HasPrefix(name, "pack-") {
			c.mustNeed(t, found[name])
		}
	}
	d := &badSector{Memory: c.Clone(), name: namesOf(t, c.Memory, "pack")[0], err: cloud.ErrNoPlace}
	if _, err := Check(t.Context(), newStore(t, d), testKeys(t), CheckOptions{Percent: 100}); !errors.Is(err, cloud.ErrNoPlace) {
		t.Errorf("the place is gone: %v", err)
	}
}

// A badSector is a place in which one object cannot be read.
type badSector struct {
	*cloudtest.Memory
	name string
	err  error
}

func (b *badSector) Get(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
	if name == b.name {
		return nil, b.err
	}
	return b.Memory.Get(ctx, name, off, n)
}
