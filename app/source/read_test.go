package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"testing"
)

// badDisk is a file whose disk has bad ranges.
type badDisk struct {
	data []byte
	bad  []Extent
	err  error
}

func (d badDisk) ReadAt(buf []byte, off int64) (int, error) {
	n, eof := bytes.NewReader(d.data).ReadAt(buf, off)
	for _, e := range d.bad {
		if e.Off < off+int64(n) && off < e.Off+e.Len {
			return max(0, int(e.Off-off)), &Error{Op: "read", Kind: d.err, Err: errors.New("disk")}
		}
	}
	return n, eof
}

func TestReadTolerant(t *testing.T) {
	data := make([]byte, 50_001)
	for i := range data {
		data[i] = byte(i%251) + 1
	}
	for name, c := range map[string]struct {
		off  int64
		len  int
		bad  []Extent
		want []Extent
		n    int
		eof  bool
	}{
		"good":            {0, 50_000, nil, nil, 50_000, false},
		"to the end":      {40_000, 20_000, nil, nil, 10_001, true},
		"one byte":        {0, 50_000, []Extent{{5000, 1}}, []Extent{{4096, 4096}}, 50_000, false},
		"over two blocks": {0, 50_000, []Extent{{8190, 4}}, []Extent{{4096, 8192}}, 50_000, false},
		"two places":      {0, 50_000, []Extent{{0, 1}, {20_000, 1}}, []Extent{{0, 4096}, {16384, 4096}}, 50_000, false},
		"begun inside":    {5000, 10_000, []Extent{{5000, 1}}, []Extent{{5000, 3192}}, 10_000, false},
		"the end":         {0, 50_001, []Extent{{50_000, 1}}, []Extent{{49152, 849}}, 50_001, false},
		"end after bad":   {0, 60_000, []Extent{{100, 1}}, []Extent{{0, 4096}}, 50_001, true},
	} {
		t.Run(name, func(t *testing.T) {
			buf := bytes.Repeat([]byte{0xAA}, c.len)
			n, bad, err := ReadTolerant(badDisk{data, c.bad, ErrRead}, c.off, buf)
			if n != c.n || !slices.Equal(bad, c.want) || errors.Is(err, io.EOF) != c.eof || err != nil && !errors.Is(err, io.EOF) {
				t.Fatalf("%d, %v, %v", n, bad, err)
			}
			want := bytes.Clone(data[c.off : c.off+int64(n)])
			for _, e := range c.want {
				clear(want[e.Off-c.off : e.Off-c.off+e.Len])
			}
			if !bytes.Equal(buf[:n], want) {
				t.Error("the good parts differ, or the bad are not zeros")
			}
		})
	}
	if _, _, err := ReadTolerant(badDisk{data, []Extent{{0, 1}}, ErrPermission}, 0, make([]byte, 10)); !errors.Is(err, ErrPermission) {
		t.Errorf("%v: only ErrRead is tolerated", err)
	}
}

func TestReasons(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{nil, ""},
		{context.Canceled, "cancelled"},
		{fmt.Errorf("walk: %w", context.DeadlineExceeded), "took too long"},
		{ErrVanished, "vanished while it was read"},
		{fmt.Errorf("open /secret/name: %w", ErrPermission), "permission denied"},
		{&Error{Op: "read", Name: "/secret/name", Kind: ErrRead, Err: fs.ErrInvalid}, "input/output error"},
		{errors.New("/secret/name"), "unknown error"},
	} {
		if got := Reason(c.err); got != c.want {
			t.Errorf("Reason(%v) = %q, want %q", c.err, got, c.want)
		}
	}
	seen := map[string]bool{}
	for _, r := range reasons {
		if seen[r.word] || Reason(r.err) != r.word {
			t.Errorf("%v has the reason %q", r.err, Reason(r.err))
		}
		seen[r.word] = true
	}
}

func TestChanged(t *testing.T) {
	base := Info{Size: 1, ModTime: Time{1, 1}, ChangeTime: Time{2, 2}, Inode: 3, Device: 4, Mode: 5}
	for name, edit := range map[string]func(*Info){
		"size": func(i *Info) { i.Size++ }, "mtime back": func(i *Info) { i.ModTime.Nsec-- }, "ctime": func(i *Info) { i.ChangeTime.Sec-- },
		"inode": func(i *Info) { i.Inode++ }, "type": func(i *Info) { i.Type = TypeDir },
	} {
		other := base
		edit(&other)
		if !Changed(base, other) || !Changed(other, base) {
			t.Errorf("%s: not seen", name)
		}
	}
	other := base
	other.Device, other.Name = 99, "renamed"
	if Changed(base, other) {
		t.Error("another device number is no change")
	}
}
