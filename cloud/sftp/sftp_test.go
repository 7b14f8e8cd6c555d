package sftp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"coffer/cloud"
	"coffer/cloud/cloudtest"
)

// content returns n bytes that look random and are the same for one seed.
func content(seed, n int) []byte {
	var key [32]byte
	copy(key[:], fmt.Sprintf("content %d", seed))
	data := make([]byte, n)
	_, _ = rand.NewChaCha8(key).Read(data) // never fails, by contract
	return data
}

func mustPut(t *testing.T, d cloud.Driver, data []byte) string {
	t.Helper()
	name := cloud.Name("pack", data)
	if err := d.Put(t.Context(), name, cloud.Bytes(data)); err != nil {
		t.Fatalf("put: %v", err)
	}
	return name
}

func read(ctx context.Context, d cloud.Driver, name string) ([]byte, error) {
	r, err := d.Get(ctx, name, 0, -1)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func wantData(t *testing.T, d cloud.Driver, name string, want []byte) {
	t.Helper()
	got, err := read(t.Context(), d, name)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("get %s: %d of %d bytes, %v", name, len(got), len(want), err)
	}
}

func wantIs(t *testing.T, what string, err error, classes ...error) {
	t.Helper()
	for _, class := range classes {
		if !errors.Is(err, class) {
			t.Fatalf("%s: %v, want %v", what, err, class)
		}
	}
}

func names(ctx context.Context, d cloud.Driver) ([]string, error) {
	var found []string
	for o, err := range d.List(ctx, "") {
		if err != nil {
			return nil, err
		}
		found = append(found, o.Name)
	}
	return found, nil
}

// files returns the names in a folder of this computer.
func files(t *testing.T, folder string) []string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	found := []string{}
	for _, e := range entries {
		found = append(found, e.Name())
	}
	return found
}

func TestConformanceOpenSSH(t *testing.T) {
	t.Parallel()
	s := startSSHD(t)
	cloudtest.Run(t, func(t *testing.T) cloud.Driver {
		d := mustOpen(t, s.config(t.TempDir()))
		t.Cleanup(func() {
			if w := way(d.way.Load()); w != byLink && w != untried {
				t.Errorf("way %d", w)
			}
			if a := ability(d.flushes.Load()); a == fails {
				t.Error("OpenSSH flushes")
			}
		})
		return d
	})
}

// TestOtherOpenSSH: the program that is not built in, and few channels.
func TestOtherOpenSSH(t *testing.T) {
	t.Parallel()
	const program = "/usr/lib/openssh/sftp-server"
	for name, options := range map[string][]string{
		"Program":    {"Subsystem sftp " + program},
		"OneChannel": {"Subsystem sftp internal-sftp", "MaxSessions 1"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := os.Stat(program); name == "Program" && err != nil {
				t.Skip(program + " (openssh-sftp-server) is not installed")
			}
			s := startSSHD(t, options...)
			made := filepath.Join(t.TempDir(), "made")
			c := s.config(made)
			c.Create = true
			d := mustOpen(t, c)
			exercise(t, d)
			if info, err := os.Stat(made); err != nil || info.Mode().Perm() != 0o700 {
				t.Errorf("%v, %v", info, err)
			}
			if !d.Caps().PutIfAbsent {
				t.Error("OpenSSH has hard links")
			}
		})
	}
}

func TestConformanceInProcess(t *testing.T) {
	cloudtest.Run(t, func(t *testing.T) cloud.Driver {
		s := newServer(t)
		c := s.config()
		c.Path, c.Create = "backups", true
		return s.open(c)
	})
}

// TestLesserServers do less than OpenSSH, or other things.
func TestLesserServers(t *testing.T) {
	linked, replacing := true, false
	for name, kind := range map[string]struct {
		change    func(*server)
		exclusive bool
	}{
		"NoExtensions": {func(s *server) { s.without = []string{extHardlink, extFsync, extStatvfs} }, replacing},
		"AllPretended": {func(s *server) { s.pretend = []string{extHardlink, extFsync, extStatvfs, extLimits} }, replacing},
		"ShortReads":   {func(s *server) { s.reply = shortReads }, linked},
		"NoAttributes": {func(s *server) { s.reply = bareNames }, linked},
		"OneChannel":   {func(s *server) { s.channels = 1 }, linked},
		"LinksThatAreNot": {func(s *server) {
			s.request = func(_ byte, ext string) deed {
				if ext == extHardlink {
					return nothingOK
				}
				return serve
			}
		}, replacing},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			kind.change(s)
			c := s.config()
			c.Path, c.Create = "~/backups", true
			d := s.open(c)
			exercise(t, d)
			if got := d.Caps().PutIfAbsent; got != kind.exclusive {
				t.Errorf("exclusive %v, want %v", got, kind.exclusive)
			}
			if left := files(t, filepath.Join(s.root, "backups")); len(left) != 0 {
				t.Errorf("left: %q", left)
			}
		})
	}
}

// exercise is the short form of the conformance suite. It leaves nothing.
func exercise(t *testing.T, d *Driver) {
	t.Helper()
	kept := map[string][]byte{}
	for i, n := range []int{0, 1, leastPiece, leastPiece + 1, 3<<20 + 7} {
		data := content(i, n)
		name := mustPut(t, d, data)
		wantData(t, d, name, data)
		mustPut(t, d, data)
		kept[name] = data
		for _, r := range [][2]int{{0, n / 2}, {n / 3, n - n/3}, {n, 0}} {
			part, err := d.Get(t.Context(), name, int64(r[0]), int64(r[1]))
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(part)
			if err != nil || !bytes.Equal(got, data[r[0]:r[0]+r[1]]) {
				t.Fatalf("range %v of %d: %d bytes, %v", r, n, len(got), err)
			}
			_ = part.Close()
		}
		_, err := d.Get(t.Context(), name, 0, int64(n+1))
		wantIs(t, "past the end", err, cloud.ErrRange)
	}
	contend(t, d)
	if found, err := names(t.Context(), d); err != nil || len(found) != len(kept)+1 {
		t.Fatalf("list: %d of %d, %v", len(found), len(kept)+1, err)
	}
	for _, name := range append([]string{contended()}, slices.Sorted(maps.Keys(kept))...) {
		for range 2 {
			if err := d.Delete(t.Context(), name); err != nil {
				t.Fatal(err)
			}
		}
		_, err := d.Stat(t.Context(), name)
		wantIs(t, "stat of what was deleted", err, cloud.ErrNotFound)
	}
}

func contended() string { return cloud.Name("head", []byte("contended")) }

// contend lets sixteen writers of different bytes at one name.
func contend(t *testing.T, d *Driver) {
	t.Helper()
	var wg sync.WaitGroup
	var won atomic.Int32
	for i := range 16 {
		wg.Go(func() {
			switch err := d.Put(t.Context(), contended(), cloud.Bytes(content(100+i, 100_000))); {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, cloud.ErrExists):
				t.Errorf("writer %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d writers won", won.Load())
	}
}

// shortReads halves the answers to reads, which is allowed.
func shortReads(kind byte, _ string, packet []byte) []byte {
	if kind != kindRead || packet[4] != kindData || len(packet) < 13+2 {
		return packet
	}
	data := packet[13:]
	data = data[:(len(data)+1)/2]
	b := append(bytes.Clone(packet[:9]), 0, 0, 0, byte(0))
	b = append(b, data...)
	b[9], b[10], b[11], b[12] = byte(len(data)>>24), byte(len(data)>>16), byte(len(data)>>8), byte(len(data))
	return sealed(b)
}

// bareNames takes the attributes out of listings.
func bareNames(kind byte, _ string, packet []byte) []byte {
	if kind != kindReaddir || packet[4] != kindName {
		return packet
	}
	entries, err := reply{kind: packet[4], body: packet[9:]}.entries()
	if err != nil {
		panic(err)
	}
	b := append(bytes.Clone(packet[:9]), 0, 0, byte(len(entries)>>8), byte(len(entries)))
	for _, e := range entries {
		b = append(appendText(appendText(b, e.name), ""), 0, 0, 0, 0)
	}
	return sealed(b)
}

// lagging hides what was put from the first listings after it, as a cache in
// front of a server's disk may.
type lagging struct {
	*Driver
	mu    sync.Mutex
	fresh map[string]int // guarded by mu; listings that will not show it
}

func (l *lagging) Caps() cloud.Caps {
	caps := l.Driver.Caps()
	caps.ListAfterPut = false
	return caps
}

func (l *lagging) Put(ctx context.Context, name string, src cloud.Source) error {
	err := l.Driver.Put(ctx, name, src)
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, known := l.fresh[name]; err == nil && !known {
		l.fresh[name] = 3
	}
	return err
}

func (l *lagging) List(ctx context.Context, prefix string) iter.Seq2[cloud.Object, error] {
	return func(yield func(cloud.Object, error) bool) {
		l.mu.Lock()
		hidden := map[string]bool{}
		for name, left := range l.fresh {
			hidden[name] = left > 0
			l.fresh[name] = max(0, left-1)
		}
		l.mu.Unlock()
		for o, err := range l.Driver.List(ctx, prefix) {
			if !hidden[o.Name] && !yield(o, err) {
				return
			}
		}
	}
}

func TestConformanceLagging(t *testing.T) {
	cloudtest.Run(t, func(t *testing.T) cloud.Driver {
		s := newServer(t)
		return &lagging{Driver: s.open(s.config()), fresh: map[string]int{}}
	})
}

func TestFaultyDriver(t *testing.T) {
	cloudtest.RunFaulty(t, func(t *testing.T) *cloudtest.Faulty {
		s := newServer(t)
		return cloudtest.NewRandom(t, s.open(s.config()), 7, 0.2)
	})
}

// TestForeignFilesAreLeftAlone: links, pipes and folders that have the name of an
// object, and all other names.
func TestForeignFilesAreLeftAlone(t *testing.T) {
	s := newServer(t)
	folder := t.TempDir()
	linked := filepath.Join(s.root, "linked")
	if err := os.Symlink(folder, linked); err != nil {
		t.Fatal(err)
	}
	c := s.config()
	c.Path = "linked"
	d := s.open(c)
	kept := mustPut(t, d, content(1, 1000))
	link, inner, dangling := cloud.Name("pack", []byte("l")), cloud.Name("pack", []byte("f")), cloud.Name("snap", []byte("d"))
	for _, err := range []error{
		os.Symlink(filepath.Join(folder, kept), filepath.Join(folder, link)),
		os.Symlink("/nowhere", filepath.Join(folder, dangling)),
		os.Mkdir(filepath.Join(folder, inner), 0o700),
		os.WriteFile(filepath.Join(folder, "photo.jpg"), []byte("x"), 0o600),
		os.WriteFile(filepath.Join(folder, "pack-\xff\xfe"), []byte("x"), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	before := files(t, folder)
	if found, err := names(t.Context(), d); err != nil || len(found) != 1 || found[0] != kept {
		t.Fatalf("list: %v, %v", found, err)
	}
	for _, name := range []string{link, inner, dangling} {
		_, err := d.Get(t.Context(), name, 0, -1)
		wantIs(t, "get", err, cloud.ErrNotFound)
		_, err = d.Stat(t.Context(), name)
		wantIs(t, "stat", err, cloud.ErrNotFound)
		wantIs(t, "put", d.Put(t.Context(), name, cloud.Bytes([]byte("other"))), cloud.ErrExists)
		if err := d.Delete(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	if after := files(t, folder); strings.Join(after, "/") != strings.Join(before, "/") {
		t.Fatalf("before %q, after %q", before, after)
	}
}
