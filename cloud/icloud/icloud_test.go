package icloud

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"coffer/cloud"
	"coffer/cloud/cloudtest"
	"coffer/internal/durable"
)

func TestConformance(t *testing.T) {
	cloudtest.Run(t, func(t *testing.T) cloud.Driver { return newPlace(t, nil).Driver })
}

// inMemory lets a test that only repeats what was tested on a disk skip the disk:
// flushing is nearly all of its time.
func inMemory(t *testing.T) {
	t.Helper()
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		t.Setenv("TMPDIR", "/dev/shm")
	}
}

func TestConformanceApart(t *testing.T) {
	inMemory(t)
	cloudtest.Run(t, func(t *testing.T) cloud.Driver {
		f := newFake()
		f.otherDevice = true
		return newPlace(t, f).Driver
	})
}

func TestConformanceUnderFaults(t *testing.T) {
	inMemory(t)
	cloudtest.RunFaulty(t, func(t *testing.T) *cloudtest.Faulty {
		return cloudtest.NewRandom(t, newPlace(t, nil).Driver, 11, 0.2)
	})
}

func TestNew(t *testing.T) {
	base := t.TempDir()
	root, staging := filepath.Join(base, "root"), filepath.Join(base, "staging")
	if err := os.Mkdir(root, 0o700); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(base, "link")
	if err := os.Symlink(root, link); err != nil {
		t.Fatal(err)
	}
	for _, c := range []Config{
		{},
		{Root: root},
		{Root: "root", Staging: staging},
		{Root: root, Staging: "staging"},
		{Root: root, Staging: root},
		{Root: root, Staging: filepath.Join(root, "staging")},
		{Root: root, Staging: filepath.Join(link, "new", "staging")},
		{Root: link, Staging: filepath.Join(root, "staging")},
		{Root: root, Staging: staging, Folder: ".."},
		{Root: root, Staging: staging, Folder: "a/b"},
		{Root: root, Staging: staging, Folder: "/a"},
		{Root: root, Staging: staging, Folder: "."},
		{Root: root, Staging: staging, Folder: ".hidden"},
	} {
		c.Create = true
		_, err := New(c)
		wantIs(t, fmt.Sprintf("new %+v", c), err, cloud.ErrAddress)
	}
	_, err := New(Config{Root: root, Staging: staging})
	wantIs(t, "folder that is missing", err, cloud.ErrNoPlace)
	_, err = New(Config{Root: filepath.Join(base, "off"), Staging: staging, Create: true})
	wantIs(t, "root that is missing", err, cloud.ErrOffline)
	mustWrite(t, filepath.Join(root, "file"), nil)
	_, err = New(Config{Root: root, Staging: staging, Folder: "file", Create: true})
	wantIs(t, "file in the place of the folder", err, cloud.ErrNoPlace)
	for _, folder := range []string{"Bücher", "a b", ""} {
		if _, err := New(Config{Root: root, Staging: staging, Folder: folder, Create: true}); err != nil {
			t.Error(err)
		}
	}
	if _, err := New(Config{Root: root, Staging: staging}); err != nil {
		t.Errorf("the second time: %v", err)
	}
}

func TestFind(t *testing.T) {
	home := t.TempDir()
	_, err := Find(home, func(string) string { return home })
	wantIs(t, "no synced folder", err, cloud.ErrNoSync, cloud.ErrUnsupported)
	path := map[string]string{
		"darwin":  filepath.Join(home, "Library", "Mobile Documents", "com~apple~CloudDocs"),
		"windows": filepath.Join(home, "iCloudDrive"),
	}[runtime.GOOS]
	if path == "" {
		return // nothing more to find on this system
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if got, err := Find(home, func(string) string { return home }); err != nil || got != path {
		t.Errorf("%s, %v", got, err)
	}
}

// TestNothingTemporaryIsSynced: only whole objects appear in the folder.
func TestNothingTemporaryIsSynced(t *testing.T) {
	p := newPlace(t, newFake())
	seen := 0
	p.fake.trouble = func(op, _ string) fate {
		if op == "write" || op == "sync" {
			seen++
			if inside, _ := p.files(t); len(inside) != 0 {
				t.Errorf("during %s the folder has %v", op, inside)
			}
		}
		return fate{}
	}
	name := mustPut(t, p, content(1, 1<<20))
	inside, staging := p.files(t)
	if !slices.Equal(inside, []string{name}) || len(staging) != 0 || seen < 4 {
		t.Errorf("folder %v, staging %v, %d writes", inside, staging, seen)
	}
}

// TestApart: where a rename cannot move, the object is written under a name that
// begins with a dot.
func TestApart(t *testing.T) {
	p := newPlace(t, newFake())
	p.fake.otherDevice = true
	for i := range 3 {
		mustPut(t, p, content(i, 1000))
	}
	inside, staging := p.files(t)
	if len(inside) != 3 || len(staging) != 0 || !p.apart.Load() {
		t.Errorf("folder %v, staging %v", inside, staging)
	}
}

func TestAbsentFileBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t, newFake())
		data := content(1, 3<<20)
		name := mustPut(t, p, data)
		bring := p.fake.evict(p.path(name))

		began := time.Now()
		_, err := read(t.Context(), p, name)
		wantIs(t, "get of an absent file", err, cloud.ErrWaiting, cloud.ErrOffline)
		if took := time.Since(began); took != patience {
			t.Errorf("gave up after %v", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = read(ctx, p, name)
		wantIs(t, "get whose context ends", err, context.DeadlineExceeded)
		if listed(t, p)[name] != int64(len(data)) {
			t.Error("an absent file is not listed with its size")
		}
		if o, err := p.Stat(t.Context(), name); err != nil || o.Size != int64(len(data)) {
			t.Errorf("stat: %+v, %v", o, err)
		}
		if where, err := p.Confirm(t.Context(), name); err != nil || where != cloud.WhereThere {
			t.Errorf("an absent file is %s, %v", where, err)
		}
		if p.fake.reads != 1 {
			t.Errorf("%d workers wait for one file", p.fake.reads)
		}
		wantIs(t, "put of what is absent", p.Put(t.Context(), name, cloud.Bytes(data)), cloud.ErrWaiting)
		bring()
		synctest.Wait()
		wantData(t, p, name, data)
		if len(p.fetches) != 0 {
			t.Errorf("%d downloads are remembered", len(p.fetches))
		}
	})
}

// TestAbsentFileAppearsLate: the Store tries again until it is here.
func TestAbsentFileAppearsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t, newFake())
		data := content(1, 100_000)
		name := mustPut(t, p, data)
		time.AfterFunc(3*time.Minute, p.fake.evict(p.path(name)))
		began := time.Now()
		got, err := cloud.New(p, cloud.Options{}).Get(t.Context(), name)
		if err != nil || !bytes.Equal(got, data) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
		if took := time.Since(began); took < 3*time.Minute || took > 5*time.Minute {
			t.Errorf("it took %v", took)
		}
	})
}

func TestAbsentFilesDoNotHoldUpOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t, newFake())
		here := content(0, 1000)
		other := mustPut(t, p, here)
		var bring []func()
		var done sync.WaitGroup
		for i := range 2 * maxFetches {
			name := mustPut(t, p, content(i+1, 100+i))
			bring = append(bring, p.fake.evict(p.path(name)))
			done.Go(func() {
				_, err := read(t.Context(), p, name)
				if !errors.Is(err, cloud.ErrWaiting) {
					t.Errorf("absent file: %v", err)
				}
			})
		}
		time.Sleep(time.Second)
		if p.fake.reads > maxFetches {
			t.Errorf("%d threads wait", p.fake.reads)
		}
		began := time.Now()
		wantData(t, p, other, here)
		if took := time.Since(began); took != 0 {
			t.Errorf("a file that is here took %v", took)
		}
		done.Wait()
		for _, b := range bring {
			b()
		}
	})
}

// TestAbsentFileVanishes: another device deletes it while it comes.
func TestAbsentFileVanishes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t, newFake())
		name := mustPut(t, p, content(1, 1000))
		bring := p.fake.evict(p.path(name))
		p.fake.set(func() { p.fake.lost[p.path(name)] = errno(syscall.ETIMEDOUT) })
		time.AfterFunc(time.Second, bring)
		_, err := read(t.Context(), p, name)
		wantIs(t, "get of what cannot be brought", err, cloud.ErrWaiting)

		name = mustPut(t, p, content(2, 1000))
		bring = p.fake.evict(p.path(name))
		time.AfterFunc(time.Second, func() {
			_ = os.Remove(p.path(name))
			bring()
		})
		_, err = read(t.Context(), p, name)
		wantIs(t, "get of what vanishes", err, cloud.ErrNotFound)
	})
}

// TestEvictedWhileRead: the file was here when it was opened.
func TestEvictedWhileRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t, newFake())
		data := content(1, 3<<20)
		name := mustPut(t, p, data)
		r, err := p.Get(t.Context(), name, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(r, make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
		bring := p.fake.evict(p.path(name))
		_, err = io.ReadAll(r)
		wantIs(t, "read of what was taken away", err, cloud.ErrWaiting)
		bring()
		r.Close()
		wantData(t, p, name, data)
	})
}

// TestStubs: what macOS before 14 leaves.
func TestStubs(t *testing.T) {
	p := newPlace(t, newFake())
	data := content(1, 1000)
	name := cloud.Name("pack", data)
	stub := p.path(stubName(name))
	mustWrite(t, stub, makeStub(name, 1000))
	if got := listed(t, p); len(got) != 1 || got[name] != 1000 {
		t.Errorf("listed: %v", got)
	}
	if o, err := p.Stat(t.Context(), name); err != nil || o.Size != 1000 {
		t.Errorf("stat: %+v, %v", o, err)
	}
	if where, err := p.Confirm(t.Context(), name); err != nil || where != cloud.WhereThere {
		t.Errorf("%s, %v", where, err)
	}
	_, err := read(t.Context(), p, name)
	wantIs(t, "get of a stub", err, cloud.ErrWaiting)
	wantIs(t, "put over a stub", p.Put(t.Context(), name, cloud.Bytes(data)), cloud.ErrWaiting)
	wantIs(t, "put of another size over a stub", p.Put(t.Context(), name, cloud.Bytes(data[1:])), cloud.ErrExists)

	mustWrite(t, p.path(name), data) // the download is done, the stub not yet gone
	wantData(t, p, name, data)
	if err := p.Delete(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	if inside, _ := p.files(t); len(inside) != 0 {
		t.Errorf("after the delete: %v", inside)
	}
	mustWrite(t, stub, makeStub("pack-of-somebody", 1000))
	mustWrite(t, p.path(".pack-x.icloud"), makeStub("pack-x", 1))
	if got := listed(t, p); len(got) != 0 {
		t.Errorf("foreign stubs are listed: %v", got)
	}
	_, err = read(t.Context(), p, name)
	wantIs(t, "get of a foreign stub", err, cloud.ErrNotFound)
}

// TestConflictedCopies are not ours, and stay.
func TestConflictedCopies(t *testing.T) {
	p := newPlace(t, newFake())
	data := content(1, 1000)
	name := mustPut(t, p, data)
	copies := []string{name + " 2", name + " (conflicted copy)", name + " (Ann's Mac's conflicted copy 2026-01-02)", name + ".tmp"}
	for _, c := range copies {
		mustWrite(t, p.path(c), data)
	}
	if got := listed(t, p); len(got) != 1 {
		t.Errorf("listed: %v", got)
	}
	if _, err := p.Maintain(t.Context()); err != nil {
		t.Fatal(err)
	}
	// The sync client takes the object itself for the copy.
	mustMove(t, p.path(name), p.path(name+" 3"))
	_, err := read(t.Context(), p, name)
	wantIs(t, "get of what was renamed", err, cloud.ErrNotFound)
	mustPut(t, p, data)
	wantData(t, p, name, data)
	if inside, _ := p.files(t); len(inside) != len(copies)+2 {
		t.Errorf("folder: %v", inside)
	}
}

// TestDeletedFilesComeBack: the sync client had not heard yet.
func TestDeletedFilesComeBack(t *testing.T) {
	p := newPlace(t, newFake())
	data := content(1, 1000)
	name := mustPut(t, p, data)
	for range 3 {
		if err := p.Delete(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		mustWrite(t, p.path(name), data)
		wantData(t, p, name, data)
	}
}

// TestForeignFiles: links and folders with an object's name are not followed.
func TestForeignFiles(t *testing.T) {
	p := newPlace(t, nil)
	data := content(1, 1000)
	secret := filepath.Join(t.TempDir(), "secret")
	mustWrite(t, secret, data)
	link, dir := cloud.Name("pack", data), cloud.Name("snap", data)
	if err := os.Symlink(secret, p.path(link)); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(p.path(dir), 0o700); err != nil {
		t.Fatal(err)
	}
	if got := listed(t, p); len(got) != 0 {
		t.Errorf("listed: %v", got)
	}
	for _, name := range []string{link, dir} {
		_, err := read(t.Context(), p, name)
		wantIs(t, "get of what is no file", err, cloud.ErrNotFound)
		wantIs(t, "put over it", p.Put(t.Context(), name, cloud.Bytes(data)), cloud.ErrExists)
		if err := p.Delete(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	if inside, _ := p.files(t); len(inside) != 2 {
		t.Errorf("foreign files are gone: %v", inside)
	}
}

// TestSwitchedOff: the folder, or all of iCloud Drive, goes and comes back.
func TestSwitchedOff(t *testing.T) {
	p := newPlace(t, newFake())
	data := content(1, 1000)
	name := mustPut(t, p, data)
	for _, path := range []string{p.folder, p.root} {
		mustMove(t, path, path+" (Archive)")
		_, err := read(t.Context(), p, name)
		offline(t, "get", err)
		offline(t, "put", p.Put(t.Context(), cloud.Name("pack", data[1:]), cloud.Bytes(data[1:])))
		offline(t, "delete", p.Delete(t.Context(), name))
		_, err = p.Stat(t.Context(), name)
		offline(t, "stat", err)
		_, err = p.Confirm(t.Context(), name)
		offline(t, "confirm", err)
		for _, e := range p.List(t.Context(), "") {
			err = e
		}
		offline(t, "list", err)
		if _, staging := p.files2(t); len(staging) != 0 {
			t.Errorf("left in the staging: %v", staging)
		}
		mustMove(t, path+" (Archive)", path)
		wantData(t, p, name, data)
	}
}

// files2 is files without the folder, which may be gone.
func (p *place) files2(t *testing.T) (folder, staging []string) { return nil, names(t, p.staging) }

// offline requires an error that a Store passes on at once.
func offline(t *testing.T, what string, err error) {
	t.Helper()
	wantIs(t, what, err, cloud.ErrOffline)
	if errors.Is(err, cloud.ErrWaiting) || errors.Is(err, cloud.ErrNotFound) {
		t.Errorf("%s: %v", what, err)
	}
}

func TestClasses(t *testing.T) {
	p := newPlace(t, newFake())
	data := content(1, 300_000)
	name := cloud.Name("pack", data)
	for _, c := range []struct {
		op   string
		err  syscall.Errno
		want error
	}{
		{"write", syscall.ENOSPC, cloud.ErrFull},
		{"write", syscall.EDQUOT, cloud.ErrFull},
		{"sync", syscall.ENOSPC, cloud.ErrFull},
		{"create", syscall.EROFS, cloud.ErrReadOnly},
		{"rename", syscall.EACCES, cloud.ErrDenied},
		{"rename", syscall.ENOSPC, cloud.ErrFull},
		{"stat", syscall.EPERM, cloud.ErrDenied},
		{"stat", syscall.ETIMEDOUT, cloud.ErrWaiting},
		{"rename", syscall.ENXIO, cloud.ErrOffline},
	} {
		p.fake.set(func() {
			p.fake.trouble = func(op, _ string) fate {
				if op == c.op {
					return fate{err: errno(c.err)}
				}
				return fate{}
			}
		})
		wantIs(t, c.op+" with "+c.err.Error(), p.Put(t.Context(), name, cloud.Bytes(data)), c.want)
		p.fake.set(func() { p.fake.trouble = nil })
		inside, staging := p.files(t)
		if len(inside)+len(staging) != 0 {
			t.Errorf("%s with %v leaves %v, %v", c.op, c.err, inside, staging)
		}
	}
	mustPut(t, p, data) // and then it works, and so does deleting on a full disk
	p.fake.set(func() {
		p.fake.trouble = func(op, _ string) fate {
			if op == "create" || op == "write" {
				return fate{err: errno(syscall.ENOSPC)}
			}
			return fate{}
		}
	})
	wantIs(t, "put on a full disk", p.Put(t.Context(), cloud.Name("pack", data[1:]), cloud.Bytes(data[1:])), cloud.ErrFull)
	if err := p.Delete(t.Context(), name); err != nil {
		t.Errorf("delete on a full disk: %v", err)
	}
}

// TestCrashes: the process dies at each step, of both ways to publish. What is
// left is nothing or the whole object; the next Put succeeds, and what lies
// around goes a day later.
func TestCrashes(t *testing.T) {
	inMemory(t)
	for _, apart := range []bool{false, true} {
		died := 0
		for step := range 100 {
			p := newPlace(t, newFake())
			p.fake.otherDevice = apart
			data := content(step, 600_000)
			name, at, dead := cloud.Name("pack", data), 0, false
			p.fake.trouble = func(op, _ string) fate {
				if at++; at > step {
					dead = true
					return fate{err: errors.New("the process is dead"), done: at == step+1 && (op == "rename" || op == "flush")}
				}
				return fate{}
			}
			err := p.Put(t.Context(), name, cloud.Bytes(data))
			if !dead {
				if err != nil {
					t.Fatal(err)
				}
				break
			}
			died++
			p.fake.trouble = nil
			p.reopen(t)
			if got, err := read(t.Context(), p, name); err != nil && !errors.Is(err, cloud.ErrNotFound) || err == nil && !bytes.Equal(got, data) {
				t.Fatalf("step %d: %d bytes, %v", step, len(got), err)
			}
			for listed := range listed(t, p) {
				if listed != name {
					t.Errorf("step %d: %s is listed", step, listed)
				}
			}
			mustPut(t, p, data)
			wantData(t, p, name, data)
			wantTidy(t, p, name)
		}
		if died < 7 {
			t.Errorf("apart %v: only %d steps", apart, died)
		}
	}
}

// wantTidy lets a day pass, and requires that only the objects are left.
func wantTidy(t *testing.T, p *place, objects ...string) {
	t.Helper()
	if n, err := p.Maintain(t.Context()); err != nil || n != 0 {
		t.Errorf("young files: %d went, %v", n, err)
	}
	yesterday, left := time.Now().Add(-leftOverAge-time.Hour), 0
	for _, dir := range []string{p.folder, p.staging} {
		for _, name := range names(t, dir) {
			if !durable.IsTemp(name) {
				continue
			}
			left++
			if err := os.Chtimes(filepath.Join(dir, name), yesterday, yesterday); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n, err := p.Maintain(t.Context()); err != nil || n != left {
		t.Errorf("of %d left-overs %d went, %v", left, n, err)
	}
	inside, staging := p.files(t)
	slices.Sort(objects)
	if !slices.Equal(inside, objects) || len(staging) != 0 {
		t.Errorf("left: %v, %v; want %v", inside, staging, objects)
	}
}

// TestWithoutExclusiveRename: whole objects, and one winner within this process.
func TestWithoutExclusiveRename(t *testing.T) {
	p := newPlace(t, newFake())
	p.fake.noExclusive = true
	data := content(1, 1000)
	name := mustPut(t, p, data)
	mustPut(t, p, data)
	wantIs(t, "put of other bytes", p.Put(t.Context(), name, cloud.Bytes(content(2, 1000))), cloud.ErrExists)
	contended := cloud.Name("head", nil)
	results := make(chan error)
	for i := range 16 {
		go func() { results <- p.Put(t.Context(), contended, cloud.Bytes(content(i, 50_000))) }()
	}
	won := 0
	for range 16 {
		if err := <-results; err == nil {
			won++
		} else if !errors.Is(err, cloud.ErrExists) {
			t.Error(err)
		}
	}
	if inside, staging := p.files(t); won != 1 || len(inside) != 2 || len(staging) != 0 {
		t.Errorf("%d writers won; folder %v, staging %v", won, inside, staging)
	}
}

func TestConfirm(t *testing.T) {
	p := newPlace(t, newFake())
	name := mustPut(t, p, content(1, 100))
	if where, err := p.Confirm(t.Context(), name); err != nil || where != cloud.WhereHere {
		t.Errorf("%s, %v", where, err)
	}
	p.fake.uploaded[p.path(name)] = true
	if where, err := p.Confirm(t.Context(), name); err != nil || where != cloud.WhereThere {
		t.Errorf("%s, %v", where, err)
	}
	_, err := p.Confirm(t.Context(), cloud.Name("pack", nil))
	wantIs(t, "confirm of nothing", err, cloud.ErrNotFound)
	if !p.Caps().RemoteConfirm {
		t.Error("this system confirms")
	}
	if runtime.GOOS != "windows" {
		p := newPlace(t, nil)
		where, err := p.Confirm(t.Context(), mustPut(t, p, content(1, 100)))
		if err != nil || where != cloud.WhereUnknown || p.Caps().RemoteConfirm {
			t.Errorf("here nobody can say, and %s, %v", where, err)
		}
	}
}

// TestRandomFaults: hundreds of faults of every kind, under a Store; in the end
// everything that was put is there, whole, and nothing unfinished.
func TestRandomFaults(t *testing.T) {
	inMemory(t)
	const seed = 20260102
	t.Logf("seed %d", seed)
	for _, apart := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, seed))
			faults, kinds := 0, map[string]int{}
			p := newPlace(t, newFake())
			p.fake.otherDevice = apart
			p.fake.trouble = func(op, _ string) fate {
				p.fake.mu.Lock()
				defer p.fake.mu.Unlock()
				if random.Float64() > 0.06 {
					return fate{}
				}
				faults++
				kinds[op]++
				due := fate{err: errno([]syscall.Errno{syscall.EBUSY, syscall.EINTR, syscall.ETIMEDOUT}[random.IntN(3)])}
				switch random.IntN(5) {
				case 0:
					due.done = true
				case 1:
					due = fate{wait: 10 * time.Second}
				case 2:
					due = fate{wait: patience + 30*time.Second}
				}
				return due
			}
			kept := live(t, p, random, func() bool { return faults >= 300 })
			p.fake.set(func() { p.fake.trouble = nil })
			time.Sleep(time.Hour) // workers that were left behind end
			for name, data := range kept {
				wantData(t, p, name, data)
			}
			// A rename that hung may give an object back that was deleted meanwhile,
			// as any place may.
			var want []string
			for name := range listed(t, p) {
				want = append(want, name)
				got, err := read(t.Context(), p, name)
				if err != nil || cloud.Name("pack", got) != name {
					t.Errorf("%s: %d bytes, %v", name, len(got), err)
				}
			}
			if len(want) < len(kept) {
				t.Errorf("%d objects are listed, %d were kept", len(want), len(kept))
			}
			wantTidy(t, p, want...)
			t.Logf("%d faults: %v", faults, kinds)
			for _, op := range []string{"stat", "list", "open", "create", "rename", "flush", "remove", "read", "write", "sync"} {
				if kinds[op] == 0 {
					t.Errorf("no fault met %s", op)
				}
			}
		})
	}
}

// live uses a Store until there were enough faults, and returns what it holds.
func live(t *testing.T, p *place, random *rand.Rand, enough func() bool) map[string][]byte {
	t.Helper()
	s := cloud.New(p, cloud.Options{Budget: time.Hour})
	kept := map[string][]byte{}
	for i := 0; !enough(); i++ {
		data := content(i, 300_000)
		name := cloud.Name("pack", data)
		if err := s.Put(t.Context(), name, data); err != nil {
			t.Fatalf("put %d: %v", i, err)
		}
		kept[name] = data
		got, err := s.Get(t.Context(), name)
		if err != nil || !bytes.Equal(got, data) {
			t.Fatalf("get %d: %d bytes, %v", i, len(got), err)
		}
		p.fake.mu.Lock()
		drop := random.IntN(2) == 0
		p.fake.mu.Unlock()
		if drop {
			if err := s.Delete(t.Context(), name); err != nil {
				t.Fatalf("delete %d: %v", i, err)
			}
			delete(kept, name)
		}
		for _, err := range s.List(t.Context(), "") {
			if err != nil {
				t.Fatalf("list %d: %v", i, err)
			}
		}
	}
	return kept
}

// TestLeftBehind: a worker that comes too late leaves nothing open and nothing
// lying around.
func TestLeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		closed := make(chan int, 1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := attempt(ctx, func() (int, error) {
			time.Sleep(time.Minute)
			return 7, nil
		}, func(n int) { closed <- n })
		wantIs(t, "attempt", err, context.DeadlineExceeded)
		if n := <-closed; n != 7 {
			t.Errorf("late: %d", n)
		}
		p := newPlace(t, newFake())
		p.fake.trouble = func(op, _ string) fate {
			if op == "create" {
				return fate{wait: 2 * patience}
			}
			return fate{}
		}
		data := content(1, 1000)
		wantIs(t, "put", p.Put(t.Context(), cloud.Name("pack", data), cloud.Bytes(data)), cloud.ErrWaiting)
		time.Sleep(2 * patience)
		synctest.Wait()
		p.fake.set(func() { p.fake.trouble = nil })
		if inside, staging := p.files(t); len(inside)+len(staging) != 0 {
			t.Errorf("left: %v, %v", inside, staging)
		}
	})
}

func TestStubParser(t *testing.T) {
	good := makeStub("pack-x", 1<<40)
	if name, size, err := parseStub(good); err != nil || name != "pack-x" || size != 1<<40 {
		t.Fatalf("%q, %d, %v", name, size, err)
	}
	for cut := range good {
		if _, _, err := parseStub(good[:cut]); err == nil {
			t.Errorf("the first %d bytes are a stub", cut)
		}
		if _, _, err := parseStub(good[cut+1:]); err == nil {
			t.Errorf("without the first %d bytes it is a stub", cut+1)
		}
	}
	// What can change without harm is the name, the size, and what is not looked
	// at; never does it become another kind of thing.
	for i := range good {
		for bit := range 8 {
			changed := bytes.Clone(good)
			changed[i] ^= 1 << bit
			name, size, err := parseStub(changed)
			if err == nil && (size < 0 || len(name) > 255) {
				t.Errorf("byte %d: %q, %d", i, name, size)
			}
		}
	}
	if _, _, err := parseStub(append(good, make([]byte, maxStub)...)); err == nil {
		t.Error("a long one is a stub")
	}
	long := strings.Repeat("n", 200)
	if name, _, err := parseStub(makeStub(long, 0)); err != nil || name != long {
		t.Errorf("%q, %v", name, err)
	}
}

func FuzzStub(f *testing.F) {
	f.Add(makeStub("pack-x", 12))
	f.Add(makeStub(strings.Repeat("n", 100), 1<<50))
	f.Add([]byte(plistMagic))
	f.Fuzz(func(t *testing.T, data []byte) {
		name, size, err := parseStub(data)
		if err == nil && (name == "" || size < 0 || len(name) > 255) {
			t.Errorf("%q, %d", name, size)
		}
	})
}
