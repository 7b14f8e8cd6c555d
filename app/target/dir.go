package target

import (
	"errors"
	"io"
	"io/fs"
	"runtime"
	"strings"

	"coffer/app/source"
)

// A Dir is an open folder in a Target.
type Dir struct {
	t     *Target
	at    *folder
	key   string // its names joined by "/"
	fresh bool   // made by this Target: nothing was in it before
	refs  int    // guarded by t.mu
}

// checkName lets single path elements through that this system takes as they
// are. Callers have called SafeName, so anything else is an attack or a mistake.
func checkName(name string) error {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return &source.Error{Op: "use", Name: name, Kind: ErrOutside, Err: fs.ErrInvalid}
	}
	// On Windows "a:b" is a stream and "CON" a device.
	if _, changed := SafeName(name, runtime.GOOS); changed {
		return &source.Error{Op: "use", Name: name, Kind: ErrName, Err: fs.ErrInvalid}
	}
	return nil
}

// makeSub opens a folder in the folder and makes it if it is missing.
func (d *Dir) makeSub(name, key string) (*Dir, error) {
	err := d.at.mkdir(name)
	fresh := err == nil
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, wrap("make folder", name, err)
	}
	at, err := d.at.sub(name)
	if err != nil {
		return nil, notFolder(name, err)
	}
	return &Dir{t: d.t, at: at, key: key, fresh: fresh, refs: 1}, nil
}

// notFolder puts our word to what package source calls replaced.
func notFolder(name string, err error) error {
	if errors.Is(err, source.ErrReplaced) {
		return &source.Error{Op: "open folder", Name: name, Kind: ErrNotFolder, Err: err}
	}
	return wrap("open folder", name, err)
}

// release gives one reference back. t.mu is held.
func (d *Dir) release() error {
	d.refs--
	if d.refs > 0 {
		return nil
	}
	return d.at.close()
}

// Close releases the folder.
func (d *Dir) Close() error {
	d.t.mu.Lock()
	defer d.t.mu.Unlock()
	return d.release()
}

// Lstat says what has this name in the folder; source.ErrVanished: nothing.
func (d *Dir) Lstat(name string) (source.Info, error) {
	if err := checkName(name); err != nil {
		return source.Info{}, err
	}
	return d.at.lstat(name)
}

// An Existing is a file that was there before, open for reading.
type Existing interface {
	io.ReaderAt
	io.Closer
	Info() source.Info
}

// OpenExisting opens a regular file in the folder, so that the caller can
// compare it with what a backup holds: a restore that goes on after an
// interruption leaves alone what is there already.
func (d *Dir) OpenExisting(name string) (Existing, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	return d.at.openFile(name)
}

// identical reports whether name is a regular file with exactly this content.
func (d *Dir) identical(name string, on source.Info, data []byte) bool {
	if on.Type != source.TypeFile || on.Size != int64(len(data)) {
		return false
	}
	f, err := d.at.openFile(name)
	if err != nil {
		return false
	}
	defer f.Close()
	have := make([]byte, len(data)+1)
	n, err := f.ReadAt(have, 0)
	return errors.Is(err, io.EOF) && string(have[:n]) == string(data)
}

// WriteSmall writes a whole file: contents, attributes, name. data is not kept.
// A file with the same contents that is there already stays as it is, except
// that Replace gives it the attributes.
func (d *Dir) WriteSmall(name string, data []byte, meta Meta, policy Policy) (Outcome, error) {
	if err := checkName(name); err != nil {
		return Outcome{}, err
	}
	if !d.fresh {
		if out, done, err := d.beforeWriting(name, data, meta, policy); done || err != nil {
			return out, err
		}
	}
	temp := tempName()
	// The final mode at once saves a system call, but for the right to write,
	// without which the owner cannot set attributes.
	h, err := d.at.createTemp(temp, meta.Mode&0o777|0o600)
	if err != nil {
		return Outcome{}, wrap("create", name, err)
	}
	h.lock()
	out, err := d.finishSmall(h, temp, name, data, &meta, policy)
	if cerr := h.close(); err == nil && cerr != nil {
		err = wrap("write", name, cerr) // network disks say here that they are full
	}
	return out, err
}

func (d *Dir) finishSmall(h *handle, temp, name string, data []byte, meta *Meta, policy Policy) (Outcome, error) {
	if err := h.writeSmall(data); err != nil {
		_ = d.at.remove(temp)
		return Outcome{}, wrap("write", name, err)
	}
	lost := h.setMeta(d.at, temp, meta, &d.t.ids)
	out, err := d.settle(temp, name, meta.ModTime, policy, h)
	if err != nil {
		_ = d.at.remove(temp)
		return Outcome{}, err
	}
	if out.Result != Skipped {
		out.Lost = h.setLate(d.at, out.Name, meta, lost)
	}
	return out, nil
}

// beforeWriting answers without writing where the name is taken and the answer
// is known.
func (d *Dir) beforeWriting(name string, data []byte, meta Meta, policy Policy) (out Outcome, done bool, err error) {
	on, err := d.at.lstat(name)
	if errors.Is(err, source.ErrVanished) {
		return Outcome{}, false, nil
	}
	if err != nil {
		return Outcome{}, false, err
	}
	if policy == Skip {
		return Outcome{Result: Skipped, Name: name}, true, nil
	}
	if !d.identical(name, on, data) {
		return Outcome{}, false, nil
	}
	out = Outcome{Result: Identical, Name: name}
	if policy == Replace {
		out.Lost, err = d.SetMeta(name, meta)
	}
	return out, true, err
}

// Symlink makes a link to target, raw, wherever that leads: it is never
// followed by a restore. The same link that is there already stays.
func (d *Dir) Symlink(name, target string, meta Meta, policy Policy) (Outcome, error) {
	if err := checkName(name); err != nil {
		return Outcome{}, err
	}
	if have, err := d.at.readlink(name); err == nil && have == target && policy != Replace {
		return Outcome{Result: Identical, Name: name}, nil
	}
	temp := tempName()
	if err := d.at.symlink(target, temp); err != nil {
		return Outcome{}, wrap("make link", name, err)
	}
	lost := d.at.setMeta(temp, source.TypeSymlink, &meta, &d.t.ids)
	out, err := d.settle(temp, name, meta.ModTime, policy, nil)
	if err != nil {
		_ = d.at.remove(temp)
		return Outcome{}, err
	}
	if out.Result != Skipped {
		out.Lost = lost
	}
	return out, nil
}

// Link gives the file that has the name fromName in the folder from, restored
// before, another name: a hard link. Attributes are the file's own and need not
// be set again. ErrNoLinks means that the disk has none; write the file twice.
func (d *Dir) Link(name string, from *Dir, fromName string, policy Policy) (Outcome, error) {
	if err := errors.Join(checkName(name), checkName(fromName)); err != nil {
		return Outcome{}, err
	}
	first, err := from.at.lstat(fromName)
	if err != nil {
		return Outcome{}, err
	}
	if first.Type == source.TypeDir {
		return Outcome{}, &source.Error{Op: "link", Name: name, Kind: ErrNoLinks, Err: fs.ErrInvalid}
	}
	if on, err := d.at.lstat(name); err == nil && source.SameFile(on, first) {
		if twin, err := d.twin(name); err == nil && twin == "" {
			return Outcome{Result: Identical, Name: name}, nil
		}
	}
	temp := tempName()
	if err := d.at.link(from.at, fromName, temp); err != nil {
		return Outcome{}, wrap("link", name, err)
	}
	out, err := d.settle(temp, name, first.ModTime, policy, nil)
	if err != nil {
		_ = d.at.remove(temp)
		return Outcome{}, err
	}
	return out, nil
}

// SetMeta sets the attributes of what has this name in the folder, a link's own
// and never those of what it leads to. Files written by this package have theirs
// already.
func (d *Dir) SetMeta(name string, meta Meta) (lost []string, err error) {
	on, err := d.Lstat(name)
	if err != nil {
		return nil, err
	}
	return d.at.setMeta(name, on.Type, &meta, &d.t.ids), nil
}

// SetOwnMeta sets the attributes of the folder itself. It comes when all in it is
// written, deepest folders first: writing changes the time, and the final mode
// may forbid it.
func (d *Dir) SetOwnMeta(meta Meta) (lost []string) {
	return d.at.setOwnMeta(&meta, &d.t.ids)
}

// CleanTemps removes the temporaries that an interrupted restore left in this
// folder, not those of one that is running, and returns how many.
func (d *Dir) CleanTemps() (removed int, err error) {
	names, err := d.at.names()
	if err != nil {
		return 0, wrap("read folder", d.key, err)
	}
	for _, name := range names {
		if !isTemp(name) {
			continue
		}
		info, lerr := d.at.lstat(name)
		if lerr != nil || info.Type != source.TypeFile && info.Type != source.TypeSymlink || d.at.inUse(name, info) {
			continue
		}
		if rerr := d.at.remove(name); rerr != nil {
			err = errors.Join(err, wrap("remove", name, rerr))
			continue
		}
		removed++
	}
	return removed, err
}
