package repo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"coffer/cloud"
	"coffer/cloud/cloudtest"
	"coffer/crypto"
)

// TestWriteHead replaces a head, again and again, and leaves one.
func TestWriteHead(t *testing.T) {
	place := cloudtest.NewMemory()
	store := newStore(t, place)
	if heads, err := ReadHeads(t.Context(), store); len(heads) != 0 || err != nil {
		t.Fatalf("an empty place: %v, %v", heads, err)
	}
	for generation := uint64(1); generation <= 3; generation++ {
		h := *fullHead()
		h.Computer = fmt.Sprint("computer ", generation)
		written, err := WriteHead(t.Context(), store, testKeys(t), h)
		if err != nil {
			t.Fatal(err)
		}
		heads, err := ReadHeads(t.Context(), store)
		if err != nil || len(heads) != 1 {
			t.Fatalf("%d heads, %v", len(heads), err)
		}
		got := heads[0]
		if got.Name != written.Name || got.Generation != generation || got.Computer != h.Computer || *got.Vault != *h.Vault ||
			!bytes.Equal(got.Passphrase.Wrapped, h.Passphrase.Wrapped) || got.Verify(testKeys(t)) != nil {
			t.Errorf("%+v", got)
		}
	}
}

// TestEqualGenerations: two devices replaced the head at once; the smaller name counts.
func TestEqualGenerations(t *testing.T) {
	place := cloudtest.NewMemory()
	for i := range 4 {
		stored := sealHead(testKeys(t), &Head{Generation: 5, Computer: fmt.Sprint(i)})
		place.Set(crypto.ObjectName("head", stored), stored)
	}
	names := namesOf(t, place, "head") // sorted
	heads, err := ReadHeads(t.Context(), newStore(t, place))
	if err != nil || len(heads) != 4 {
		t.Fatalf("%d heads, %v", len(heads), err)
	}
	for i, h := range heads {
		if "head-"+h.Name.String() != names[i] {
			t.Errorf("head %d is %s, want %s", i, h.Name, names[i])
		}
	}
	next := mustWriteHead(t, place)
	if next.Generation != 6 || len(namesOf(t, place, "head")) != 1 {
		t.Errorf("generation %d, %d heads", next.Generation, len(namesOf(t, place, "head")))
	}
}

// TestForgedHeads: a head that somebody without the key made, or changed, does not verify,
// is not followed and not deleted.
func TestForgedHeads(t *testing.T) {
	place := cloudtest.NewMemory()
	good := mustWriteHead(t, place)
	forged := bytes.Clone(good.stored)
	at := bytes.Index(forged, []byte("linux"))
	copy(forged[at:], "LINUX")
	forgedName := crypto.ObjectName("head", forged)
	place.Set(forgedName, forged)
	other := sealHead(mustRoot(t, 9).Derive(), &Head{Generation: 1 << 62})
	otherName := crypto.ObjectName("head", other)
	place.Set(otherName, other)
	heads, err := ReadHeads(t.Context(), newStore(t, place))
	if err != nil || len(heads) != 3 {
		t.Fatalf("%d heads, %v", len(heads), err)
	}
	for _, h := range heads {
		var want error
		switch "head-" + h.Name.String() {
		case forgedName:
			want = ErrForged
		case otherName:
			want = crypto.ErrOtherRepository
		}
		if err := h.Verify(testKeys(t)); !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Errorf("%s: %v, want %v", h.Name, err, want)
		}
	}
	if next := mustWriteHead(t, place); next.Generation != 2 {
		t.Errorf("generation %d, want 2: a forged head must not count", next.Generation)
	}
	if place.Data(forgedName) == nil || place.Data(otherName) == nil {
		t.Error("a head of somebody else was deleted")
	}
}

// TestWriteHeadFaults: each write and delete fails in turn. The head that counts is the
// old or the new one, never none, and writing again leaves one.
func TestWriteHeadFaults(t *testing.T) {
	for _, shot := range []cloudtest.Shot{
		{Op: cloudtest.Put, At: 1, Fault: cloudtest.Fail},
		{Op: cloudtest.Put, At: 1, Fault: cloudtest.FailDone},
		{Op: cloudtest.Delete, At: 1, Fault: cloudtest.Fail},
		{Op: cloudtest.Delete, At: 1, Fault: cloudtest.FailDone},
	} {
		t.Run(fmt.Sprint(shot.Op, shot.Fault), func(t *testing.T) {
			memory := cloudtest.NewMemory()
			mustWriteHead(t, memory)
			d := cloudtest.NewFaulty(memory, shot)
			h := Head{MadeAt: 1, Computer: "new"}
			written, err := WriteHead(t.Context(), newStore(t, d), testKeys(t), h)
			if err == nil || !d.AllFired() {
				t.Fatalf("the fault did not show: %v", err)
			}
			heads, readErr := ReadHeads(t.Context(), newStore(t, memory))
			if readErr != nil || len(heads) == 0 {
				t.Fatalf("%d heads, %v", len(heads), readErr)
			}
			if shot.Op == cloudtest.Delete && (written.Name != heads[0].Name || heads[0].Computer != "new") {
				t.Error("the new head was stored, and is not the one that came back")
			}
			if shot.Op == cloudtest.Put && written.Generation != 0 {
				t.Error("a head came back that may not be there")
			}
			mustWriteHead(t, memory)
			if n := len(namesOf(t, memory, "head")); n != 1 {
				t.Errorf("%d heads after writing again", n)
			}
		})
	}
}

// TestWriteHeadRefusesWhatNobodyReads: such a head would replace one that works.
func TestWriteHeadRefusesWhatNobodyReads(t *testing.T) {
	place := cloudtest.NewMemory()
	before := mustWriteHead(t, place)
	for name, h := range map[string]Head{
		"text":    {Computer: "\xff"},
		"long":    {OS: strings.Repeat("x", snapText+1)},
		"date":    {MadeAt: -1},
		"vault":   {Vault: &VaultSlot{Tries: 1<<16 + 1}},
		"wrapped": {Passphrase: &PassphraseSlot{}},
	} {
		if _, err := WriteHead(t.Context(), newStore(t, place), testKeys(t), h); !errors.Is(err, errFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if names := namesOf(t, place, "head"); len(names) != 1 || names[0] != "head-"+before.Name.String() {
		t.Errorf("heads %v", names)
	}
}

// TestHeadReplacedMeanwhile: between a list and a read another device replaces the head.
// There is a head all the time, and it is found.
func TestHeadReplacedMeanwhile(t *testing.T) {
	memory := cloudtest.NewMemory()
	mustWriteHead(t, memory)
	d := &replacing{Memory: memory}
	d.replace = func() { mustWriteHead(t, memory) }
	heads, err := ReadHeads(t.Context(), newStore(t, d))
	if err != nil || len(heads) != 1 || heads[0].Generation != 2 {
		t.Errorf("heads %+v, %v", heads, err)
	}
}

// A replacing place changes once, before the first read.
type replacing struct {
	*cloudtest.Memory
	replace func()
}

func (r *replacing) Get(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
	if f := r.replace; f != nil {
		r.replace = nil
		f()
	}
	return r.Memory.Get(ctx, name, off, n)
}

// TestDamagedHeads: what does not parse is passed over.
func TestDamagedHeads(t *testing.T) {
	place := cloudtest.NewMemory()
	good := mustWriteHead(t, place)
	for _, data := range [][]byte{{}, []byte("junk"), make([]byte, maxHead+1), good.stored[:100], append(bytes.Clone(good.stored), 0)} {
		place.Set(crypto.ObjectName("head", data), data)
	}
	place.Set("head-"+strings.Repeat("0", 40), good.stored)
	heads, err := ReadHeads(t.Context(), newStore(t, place))
	if err != nil || len(heads) != 1 || heads[0].Name != good.Name {
		t.Errorf("heads %+v, %v", heads, err)
	}
}

// TestWithoutHeads: the key alone opens, and the place tells whose it is.
func TestWithoutHeads(t *testing.T) {
	place := cloudtest.NewMemory()
	store := newStore(t, place)
	if packs, some, err := HasObjects(t.Context(), store); packs != 0 || some || err != nil {
		t.Errorf("an empty place: %d, %t, %v", packs, some, err)
	}
	nodes := []*node{file("f", []byte("x"))}
	s := mustBackup(t, place, testSnapshot(1, 1, Name{}), nodes...)
	if packs, some, err := HasObjects(t.Context(), store); packs != 2 || !some || err != nil {
		t.Errorf("after a backup: %d, %t, %v", packs, some, err)
	}
	for _, kind := range []string{"", "snap", "index"} { // less and less is left
		if kind != "" {
			for _, name := range namesOf(t, place, kind) {
				place.Set(name, nil)
			}
		}
		ids, err := IDs(t.Context(), newStore(t, place))
		if err != nil || len(ids) != 1 || ids[0] != testKeys(t).Repository() {
			t.Errorf("without %s: %v, %v", kind, ids, err)
		}
		mustMatch(t, mustOpen(t, place), s, nodes...)
	}
	if r := mustOpen(t, cloudtest.NewMemory()); !r.Empty() || r.ID() != testKeys(t).Repository() {
		t.Error("an empty place is not empty")
	}
	if r := mustOpen(t, place); r.Empty() || r.StoredBytes() == 0 {
		t.Error("a place with packs is empty")
	}
}

// TestMissingSnapshot: a name that is nowhere is missing, not damaged.
func TestMissingSnapshot(t *testing.T) {
	r := mustOpen(t, cloudtest.NewMemory())
	if _, err := r.Snapshot(t.Context(), Name{1}); !errors.Is(err, ErrMissing) {
		t.Errorf("%v", err)
	}
	var chunk *ChunkError
	if _, err := r.Chunk(t.Context(), testID(1)); !errors.As(err, &chunk) || !errors.Is(err, ErrMissing) {
		t.Errorf("%v", err)
	}
}

// TestOfflineIsNotDamage: a place that cannot be reached says nothing about its objects.
func TestOfflineIsNotDamage(t *testing.T) {
	memory := cloudtest.NewMemory()
	s := mustBackup(t, memory, testSnapshot(1, 1, Name{}), file("f", seeded(1, 100_000)))
	for _, op := range []cloudtest.Op{cloudtest.Get, cloudtest.List} {
		d := cloudtest.NewFaulty(memory, cloudtest.Shot{Op: op, Fault: cloudtest.Fail, Err: cloud.Final(cloud.ErrOffline)})
		_, err := Open(t.Context(), newStore(t, d), testKeys(t), Options{})
		if !errors.Is(err, cloud.ErrOffline) || errors.Is(err, ErrDamaged) {
			t.Errorf("Open: %v", err)
		}
	}
	d := cloudtest.NewFaulty(memory)
	r := mustOpen(t, d)
	d = cloudtest.NewFaulty(memory, cloudtest.Shot{Op: cloudtest.Get, Fault: cloudtest.Fail, Err: cloud.Final(cloud.ErrOffline)})
	r.store = newStore(t, d)
	if _, err := readTree(t.Context(), r, s.Root); !errors.Is(err, cloud.ErrOffline) || errors.Is(err, ErrDamaged) {
		t.Errorf("read: %v", err)
	}
}

// TestGuard: heads with and without one come back as they were, and one of zeros, which is
// another spelling of none, is refused.
func TestGuard(t *testing.T) {
	for _, h := range []*Head{fullHead(), serverHead()} {
		back, err := parseHead(sealHead(testKeys(t), h))
		if err != nil || *back.Vault != *h.Vault {
			t.Errorf("%+v, %v", back, err)
		}
	}
	h := serverHead()
	spelled := bytes.Replace(sealHead(testKeys(t), h), h.Vault.Guard[:], make([]byte, 33), 1)
	if _, err := parseHead(spelled); !errors.Is(err, errFormat) {
		t.Errorf("a guard of zeros: %v", err)
	}
}
