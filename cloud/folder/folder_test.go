package folder_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"coffer/cloud"
	"coffer/cloud/cloudtest"
	"coffer/cloud/folder"
)

func mustOpen(t testing.TB, path string) *folder.Driver {
	t.Helper()
	d, err := folder.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// put stores n bytes through d and returns their name.
func put(ctx context.Context, d cloud.Driver, kind string, n int) (string, error) {
	data := bytes.Repeat([]byte{byte(n), 7}, n/2+1)[:n]
	name := cloud.Name(kind, data)
	return name, d.Put(ctx, name, cloud.Bytes(data))
}

func mustPut(t testing.TB, d cloud.Driver, kind string, n int) string {
	t.Helper()
	name, err := put(t.Context(), d, kind, n)
	if err != nil {
		t.Fatal(err)
	}
	return name
}

func readAll(ctx context.Context, d cloud.Driver, name string) ([]byte, error) {
	r, err := d.Get(ctx, name, 0, -1)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(r)
	return data, errors.Join(err, r.Close())
}

func names(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, e := range entries {
		found = append(found, e.Name())
	}
	return found
}

func wantError(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: error %v, want %v", what, err, want)
	}
}

// final requires that a Store passes the error on after one request: nothing
// here is worth a minute of retries.
func final(t *testing.T, d cloud.Driver, want error) {
	t.Helper()
	finalFor(t, d, []byte("anything"), want)
}

func finalFor(t *testing.T, d cloud.Driver, data []byte, want error) {
	t.Helper()
	counted := cloudtest.NewFaulty(d)
	s := cloud.New(counted, cloud.Options{})
	wantError(t, "put", s.Put(t.Context(), cloud.Name("pack", data), data), want)
	if n := counted.Calls(cloudtest.Put); n != 1 {
		t.Errorf("%d requests for an error that waiting does not heal", n)
	}
}

func TestConformance(t *testing.T) {
	cloudtest.Run(t, func(t *testing.T) cloud.Driver { return mustOpen(t, t.TempDir()) })
}

func TestConformanceUnderFaults(t *testing.T) {
	cloudtest.RunFaulty(t, func(t *testing.T) *cloudtest.Faulty {
		return cloudtest.NewRandom(t, mustOpen(t, t.TempDir()), 7, 0.2)
	})
}

func TestOpenNeedsAFolder(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"", filepath.Join(dir, "absent"), filepath.Join(dir, "a", "b"), file, filepath.Join(file, "x")} {
		_, err := folder.Open(path)
		wantError(t, "open "+path, err, cloud.ErrNoPlace)
	}
	for _, path := range []string{"", file, filepath.Join(file, "x")} {
		_, err := folder.Create(path)
		wantError(t, "create "+path, err, cloud.ErrNoPlace)
	}
}

func TestCreateMakesWhatIsMissing(t *testing.T) {
	base := t.TempDir()
	path := filepath.Join(base, "Bücher", "резервная копия", "バックアップ 🗄", "with space ")
	if runtime.GOOS == "windows" {
		path = strings.TrimSpace(path)
	}
	for range 2 { // the second time it is there
		d, err := folder.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		mustPut(t, d, "pack", 1000)
	}
	if got := names(t, path); len(got) != 1 {
		t.Fatalf("folder has %v", got)
	}
	info, err := os.Stat(filepath.Join(base, "Bücher"))
	if err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o700 {
		t.Fatalf("mode %v, error %v", info.Mode(), err)
	}
}

func TestLongPath(t *testing.T) {
	path := t.TempDir()
	for range 5 { // far over the 260 characters of Windows
		path = filepath.Join(path, strings.Repeat("long", 20))
	}
	d, err := folder.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	name := mustPut(t, d, "pack", 1000)
	if _, err := readAll(t.Context(), d, name); err != nil {
		t.Fatal(err)
	}
}

// A relative path must not change its meaning with the working directory.
func TestRelativePath(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	d, err := folder.Create("backups")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	mustPut(t, d, "pack", 10)
	if got := names(t, filepath.Join(dir, "backups")); len(got) != 1 {
		t.Fatalf("folder has %v", got)
	}
}

func TestObjectsArePrivate(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no permission bits")
	}
	dir := t.TempDir()
	name := mustPut(t, mustOpen(t, dir), "head", 100)
	info, err := os.Stat(filepath.Join(dir, name))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, error %v", info.Mode(), err)
	}
}

func TestLeftOversAreRemoved(t *testing.T) {
	dir := t.TempDir()
	old := time.Now().Add(-25 * time.Hour)
	keep := map[string]bool{}
	for name, c := range map[string]struct {
		age  time.Time
		keep bool
	}{
		".coffer-tmp-0123456789abcdef":       {old, false},
		".coffer-tmp-fedcba9876543210":       {time.Now(), true}, // somebody is writing it
		".coffer-tmp-0123456789ABCDEF":       {old, true},        // not ours, all that follow
		".coffer-tmp-0123":                   {old, true},
		"x.coffer-tmp-0123456789abcdef":      {old, true},
		"holiday.jpg":                        {old, true},
		"pack-" + strings.Repeat("0", 40):    {old, true},
		".coffer-tmp-0123456789abcdef.owned": {old, true},
	} {
		path := filepath.Join(dir, name)
		if runtime.GOOS == "windows" && strings.HasSuffix(name, "ABCDEF") {
			continue // one name with the first
		}
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, c.age, c.age); err != nil {
			t.Fatal(err)
		}
		if c.keep {
			keep[name] = true
		}
	}
	mustOpen(t, dir)
	got := names(t, dir)
	for _, name := range got {
		if !keep[name] {
			t.Errorf("%s was not removed", name)
		}
	}
	if len(got) != len(keep) {
		t.Errorf("%d files are left of %d to keep", len(got), len(keep))
	}
}

func TestForeignFilesAreIgnored(t *testing.T) {
	dir := t.TempDir()
	d := mustOpen(t, dir)
	kept := mustPut(t, d, "pack", 100)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	link := "pack-" + strings.Repeat("1", 40)
	inside := "pack-" + strings.Repeat("2", 40)
	sub := "pack-" + strings.Repeat("3", 40)
	for name, make := range map[string]func(path string) error{
		"notes.txt":                           func(p string) error { return os.WriteFile(p, nil, 0o600) },
		"pack-12 (conflicted copy)":           func(p string) error { return os.WriteFile(p, nil, 0o600) },
		"PACK-" + strings.Repeat("a", 40):     func(p string) error { return os.WriteFile(p, nil, 0o600) },
		kept + ".part":                        func(p string) error { return os.WriteFile(p, nil, 0o600) },
		link:                                  func(p string) error { return os.Symlink(secret, p) },
		inside:                                func(p string) error { return os.Symlink(kept, p) },
		sub:                                   func(p string) error { return os.Mkdir(p, 0o700) },
		"snap-" + strings.Repeat("0", 39):     func(p string) error { return os.WriteFile(p, nil, 0o600) },
		"snapshot-" + strings.Repeat("0", 40): func(p string) error { return os.WriteFile(p, nil, 0o600) },
	} {
		if err := make(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for object, err := range d.List(t.Context(), "") {
		if err != nil || object.Name != kept {
			t.Errorf("list has %+v, %v", object, err)
		}
	}
	for _, name := range []string{link, inside, sub} {
		_, err := readAll(t.Context(), d, name)
		wantError(t, "get", err, cloud.ErrNotFound)
		_, err = d.Stat(t.Context(), name)
		wantError(t, "stat", err, cloud.ErrNotFound)
		wantError(t, "put", d.Put(t.Context(), name, cloud.Bytes([]byte("secret"))), cloud.ErrExists)
		if err := d.Delete(t.Context(), name); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(filepath.Join(dir, name)); err != nil {
			t.Errorf("a foreign file was deleted: %v", err)
		}
	}
}

// A copied folder opens as one that was written.
func TestCopiedFolder(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	name := mustPut(t, mustOpen(t, from), "head", 500)
	if err := os.CopyFS(filepath.Join(to, "copy"), os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	s := cloud.New(mustOpen(t, filepath.Join(to, "copy")), cloud.Options{})
	if data, err := s.Get(t.Context(), name); err != nil || len(data) != 500 {
		t.Fatalf("%d bytes, %v", len(data), err)
	}
}

func TestFolderGoesAway(t *testing.T) {
	base := t.TempDir()
	path, elsewhere := filepath.Join(base, "disk"), filepath.Join(base, "pulled")
	d, err := folder.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	name := mustPut(t, d, "head", 100)
	if err := os.Rename(path, elsewhere); err != nil {
		t.Fatal(err)
	}
	everything(t, d, name, cloud.ErrOffline)
	final(t, d, cloud.ErrOffline)

	// An empty folder at its path is what a mount point looks like.
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	everything(t, d, name, cloud.ErrOffline)
	if got := names(t, path); len(got) != 0 {
		t.Fatalf("something was written into the wrong folder: %v", got)
	}

	// Plugged in again, it is another folder to the system, and ours by what
	// is in it.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(path, os.DirFS(elsewhere)); err != nil {
		t.Fatal(err)
	}
	if _, err := readAll(t.Context(), d, name); err != nil {
		t.Fatal(err)
	}
	mustPut(t, d, "pack", 200)
}

// everything requires that each request fails in the same way.
func everything(t *testing.T, d *folder.Driver, name string, want error) {
	t.Helper()
	ctx := t.Context()
	_, err := put(ctx, d, "pack", 77)
	wantError(t, "put", err, want)
	_, err = readAll(ctx, d, name)
	wantError(t, "get", err, want)
	_, err = d.Stat(ctx, name)
	wantError(t, "stat", err, want)
	wantError(t, "delete", d.Delete(ctx, name), want)
	_, err = d.Capacity(ctx)
	wantError(t, "capacity", err, want)
	err = nil
	for _, e := range d.List(ctx, "") {
		err = e
	}
	wantError(t, "list", err, want)
}

func TestDamagedObject(t *testing.T) {
	dir := t.TempDir()
	d := mustOpen(t, dir)
	s := cloud.New(d, cloud.Options{})
	for i, damage := range []func([]byte) []byte{
		func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
		func(b []byte) []byte { return b[:len(b)-1] },
		func(b []byte) []byte { return append(b, 0) },
		func([]byte) []byte { return nil },
	} {
		name := mustPut(t, d, "pack", 1000+i)
		path := filepath.Join(dir, name)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, damage(bytes.Clone(data)), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err = s.Get(t.Context(), name)
		wantError(t, fmt.Sprintf("get with damage %d", i), err, cloud.ErrChecksum)
		wantError(t, "put over damage", s.Put(t.Context(), name, data), cloud.ErrExists)
		// What heals it:
		if err := s.Delete(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		if err := s.Put(t.Context(), name, data); err != nil {
			t.Fatal(err)
		}
	}
}

// A file that is shortened while it is read must not look like its whole.
func TestShortenedWhileRead(t *testing.T) {
	dir := t.TempDir()
	d := mustOpen(t, dir)
	name := mustPut(t, d, "pack", 1<<20)
	r, err := d.Get(t.Context(), name, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := os.Truncate(filepath.Join(dir, name), 1000); err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(io.Discard, r)
	wantError(t, "read", err, io.ErrUnexpectedEOF)
}

func BenchmarkPut16MiB(b *testing.B) {
	d := mustOpen(b, b.TempDir())
	data := make([]byte, 16<<20)
	b.SetBytes(int64(len(data)))
	for i := 0; b.Loop(); i++ {
		copy(data, fmt.Sprint(i))
		name := cloud.Name("pack", data)
		if err := d.Put(b.Context(), name, cloud.Bytes(data)); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := d.Delete(b.Context(), name); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

func BenchmarkPut1KiB(b *testing.B) {
	d := mustOpen(b, b.TempDir())
	data := make([]byte, 1<<10)
	for i := 0; b.Loop(); i++ {
		copy(data, fmt.Sprint(i))
		if err := d.Put(b.Context(), cloud.Name("index", data), cloud.Bytes(data)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReadAt(b *testing.B) {
	d := mustOpen(b, b.TempDir())
	name := mustPut(b, d, "pack", 16<<20)
	s := cloud.New(d, cloud.Options{})
	for _, n := range []int{4 << 10, 1 << 20, 16 << 20} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			p := make([]byte, n)
			b.SetBytes(int64(n))
			for b.Loop() {
				if err := s.ReadAt(b.Context(), name, p, int64(16<<20-n)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
