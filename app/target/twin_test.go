package target

import (
	"strings"
	"testing"

	"coffer/app/source"
)

// A foldedDisk is a folder where case does not matter, nor how an accent is
// written: name on disk -> inode.
type foldedDisk map[string]uint64

func fold(name string) string {
	return strings.ReplaceAll(strings.ToLower(name), "e\u0301", "\u00e9")
}

func (f foldedDisk) lstat(name string) (source.Info, error) {
	for have, inode := range f {
		if fold(have) == fold(name) {
			return source.Info{Name: name, Inode: inode}, nil
		}
	}
	return source.Info{}, source.ErrVanished
}

func (f foldedDisk) names() (names []string, err error) {
	for name := range f {
		names = append(names, name)
	}
	return names, nil
}

func TestTwin(t *testing.T) {
	disk := foldedDisk{"Makefile": 1, "caf\u00e9": 2, "123": 3, "other": 4}
	for name, want := range map[string]string{
		"Makefile": "", "makefile": "Makefile", "MAKEFILE": "Makefile",
		"caf\u00e9": "", "cafe\u0301": "caf\u00e9", "CAF\u00c9": "caf\u00e9", "123": "", "other": "",
	} {
		if got, err := twinOf(name, disk.lstat, disk.names); err != nil || got != want {
			t.Errorf("twinOf(%q) = %q, %v; want %q", name, got, err, want)
		}
	}
}

// TestNoTwin: where case matters, a name that differs in case is another file.
func TestNoTwin(t *testing.T) {
	dir := t.TempDir()
	tg, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer tg.Close()
	d, err := tg.MkdirAll(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	meta := Meta{Mode: 0o600, UID: source.NoID, GID: source.NoID}
	if _, err := d.WriteSmall("README", []byte("a"), meta, Replace); err != nil {
		t.Fatal(err)
	}
	out, err := d.WriteSmall("readme", []byte("b"), meta, Replace)
	if err != nil {
		t.Fatal(err)
	}
	if caseMatters := out.Twin == ""; caseMatters != (out.Name == "readme") {
		t.Errorf("%+v", out)
	}
	info, err := d.Lstat("README")
	if err != nil || info.Size != 1 {
		t.Errorf("%+v, %v", info, err)
	}
	have, err := d.OpenExisting("README")
	if err != nil {
		t.Fatal(err)
	}
	defer have.Close()
	var buf [1]byte
	if _, err := have.ReadAt(buf[:], 0); err != nil || buf[0] != 'a' {
		t.Errorf("README was overwritten: %q, %v", buf, err)
	}
}
