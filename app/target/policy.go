package target

import (
	"bytes"
	"errors"
	"io/fs"
	"runtime"
	"slices"

	"coffer/app/source"
)

// A Policy says what happens when the name of a restored file is taken.
type Policy uint8

// The policies. A folder is never replaced by a file or link: it keeps its name
// and the restored one gets another, as with KeepBoth (KeepNewer, Replace).
const (
	KeepBoth  Policy = iota // the restored one becomes "name (restored 2026-11-21).ext"
	KeepNewer               // the one that was modified last; the one on disk if equal
	Replace                 // the restored one, in one step
	Skip                    // the one on disk
)

// A Result says what happened to one name.
type Result uint8

// The results.
const (
	Written   Result = iota // it is there under its name, now
	Renamed                 // it is there under another name: Outcome.Name
	Skipped                 // the one on disk was kept
	Identical               // the same was there already
)

// An Outcome says what happened to one file, link or hard link.
type Outcome struct {
	Result Result
	Name   string   // where it is now; of Skipped, the name that was taken
	Twin   string   // the name on disk that differs only in case or accents, if that was the conflict
	Lost   []string // what this system could not take, in plain words; see [Meta]
}

// maxCopies bounds the search for a free name.
const maxCopies = 10_000

// settle publishes a finished temporary as name under policy. h is its handle,
// or nil for a link. The temporary is gone afterwards, or an error is returned.
func (d *Dir) settle(temp, name string, mod source.Time, policy Policy, h *handle) (Outcome, error) {
	// Somebody may remove the name between our looks at it: look again.
	for range 8 {
		// COMMIT POINT: after this step the restored file is there.
		err := d.at.publish(temp, name)
		if err == nil {
			return Outcome{Result: Written, Name: name}, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return Outcome{}, wrap("write", name, err)
		}
		out, err := d.conflict(temp, name, mod, policy, h)
		if !errors.Is(err, source.ErrVanished) {
			return out, err
		}
	}
	return Outcome{}, wrap("write", name, fs.ErrExist)
}

// conflict decides about a name that is taken.
func (d *Dir) conflict(temp, name string, mod source.Time, policy Policy, h *handle) (Outcome, error) {
	on, err := d.Lstat(name)
	if err != nil {
		return Outcome{}, err
	}
	twin, err := d.twin(name)
	if err != nil {
		return Outcome{}, err
	}
	switch {
	case policy == Skip, policy == KeepNewer && twin == "" && on.Type != source.TypeDir && !on.ModTime.Before(mod):
		return Outcome{Result: Skipped, Name: name, Twin: twin}, wrap("remove", temp, d.at.remove(temp))
	case policy == KeepBoth || on.Type == source.TypeDir || twin != "":
		return d.keepBoth(temp, name, twin)
	}
	if h != nil {
		// The old contents are about to go: the new must be on disk before.
		if err := h.sync(); err != nil {
			return Outcome{}, wrap("write", name, err)
		}
	}
	// COMMIT POINT of a replacement.
	if err := d.at.replace(temp, name); err != nil {
		return Outcome{}, wrap("replace", name, err)
	}
	return Outcome{Result: Written, Name: name}, nil
}

// keepBoth publishes under the first free name, unless a copy of an earlier restore is
// the same: a restore that is started again makes no second copies.
func (d *Dir) keepBoth(temp, name, twin string) (Outcome, error) {
	for n := 1; n <= maxCopies; n++ {
		other := copyName(name, d.t.stamp(), n, runtime.GOOS)
		err := d.at.publish(temp, other)
		if err == nil {
			return Outcome{Result: Renamed, Name: other, Twin: twin}, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return Outcome{}, wrap("write", other, err)
		}
		if d.sameThing(temp, other) {
			return Outcome{Result: Identical, Name: other, Twin: twin}, wrap("remove", temp, d.at.remove(temp))
		}
	}
	return Outcome{}, &source.Error{Op: "write", Name: name, Kind: ErrTaken, Err: fs.ErrExist}
}

// sameThing reports whether two names are links to the same place, or files of the same
// contents.
func (d *Dir) sameThing(a, b string) bool {
	if to, err := d.at.readlink(a); err == nil {
		other, err := d.at.readlink(b)
		return err == nil && to == other
	}
	f, err := d.at.openFile(a)
	if err != nil {
		return false
	}
	defer f.Close()
	g, err := d.at.openFile(b)
	if err != nil {
		return false
	}
	defer g.Close()
	return sameBytes(f, g)
}

func sameBytes(f, g Existing) bool {
	size := f.Info().Size
	if size != g.Info().Size {
		return false
	}
	bufF, bufG := make([]byte, 64<<10), make([]byte, 64<<10)
	for at := int64(0); at < size; {
		n := int(min(int64(len(bufF)), size-at))
		for _, r := range []struct {
			from Existing
			buf  []byte
		}{{f, bufF}, {g, bufG}} {
			if got, err := r.from.ReadAt(r.buf[:n], at); got < n && err != nil {
				return false
			}
		}
		if !bytes.Equal(bufF[:n], bufG[:n]) {
			return false
		}
		at += int64(n)
	}
	return true
}

// twin returns the name on disk that stands for name in a folder where case or
// accents do not matter, or "" if it is name itself. Without it "replace" would
// let one restored file overwrite another of the same restore.
func (d *Dir) twin(name string) (string, error) { return twinOf(name, d.at.lstat, d.at.names) }

func twinOf(name string, lstat func(string) (source.Info, error), list func() ([]string, error)) (string, error) {
	swapped, ascii := swapCase(name)
	if ascii {
		if swapped == name {
			return "", nil
		}
		if _, err := lstat(swapped); errors.Is(err, source.ErrVanished) {
			return "", nil // case matters here
		}
	}
	names, err := list()
	if err != nil {
		return "", wrap("read folder of", name, err)
	}
	if slices.Contains(names, name) {
		return "", nil
	}
	on, err := lstat(name)
	if err != nil {
		return "", err
	}
	for _, other := range names {
		if info, err := lstat(other); err == nil && source.SameFile(info, on) {
			return other, nil
		}
	}
	return name, nil // it is taken by something that we cannot name
}

// swapCase turns upper case of ASCII into lower case and back; ascii is false
// for a name with other bytes.
func swapCase(name string) (swapped string, ascii bool) {
	b := []byte(name)
	for i, c := range b {
		switch {
		case c >= 0x80:
			return "", false
		case 'a' <= c|0x20 && c|0x20 <= 'z':
			b[i] = c ^ 0x20
		}
	}
	return string(b), true
}
