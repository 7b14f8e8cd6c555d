package icloud

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"coffer/cloud"
	"coffer/internal/durable"
)

// A system is what this package needs of a file system. All paths are absolute.
// Anything may block, for as long as iCloud likes.
type system interface {
	// stat describes what has the path, follows no links and downloads nothing.
	stat(path string) (entry, error)
	// list calls found for what is in the folder until it returns false.
	list(dir string, found func(entry) bool) error
	// open opens a regular file, and nothing else, for reading.
	open(path string) (file, error)
	// create makes a temporary file (durable.IsTemp), open for writing.
	create(dir string) (path string, f file, err error)
	// rename fails with fs.ErrExist if to exists, with errOtherDevice between file
	// systems, and with errors.ErrUnsupported where it cannot tell.
	rename(from, to string) error
	// replace renames, whatever has the name.
	replace(from, to string) error
	// flush makes renames in the folder last.
	flush(dir string) error
	remove(path string) error
	mkdir(path string) error
	// where tells of a file that is not absent whether it is at the service too.
	where(path, root string) (cloud.Whereabouts, error)
	// confirms reports whether where ever knows.
	confirms() bool
}

// A file is open.
type file interface {
	io.ReaderAt
	io.WriteCloser
	Sync() error
	Size() (int64, error)
}

// An entry is what has a path.
type entry struct {
	name, path   string
	size         int64 // bytes, those of an absent file too
	dir, regular bool
	absent       bool // its bytes are at the service alone
	modified     time.Time
}

// errOtherDevice: a rename would have to copy.
var errOtherDevice = errors.New("icloud: on another file system")

const (
	fileMode = 0o600
	dirMode  = 0o700

	// batch is how many names are read at once.
	batch = 1024
)

// disk is this computer's. What differs between systems is in the files of that
// name.
type disk struct{}

func (r disk) list(dir string, found func(entry) bool) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	for {
		names, err := f.Readdirnames(batch)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, name := range names {
			e, err := r.stat(filepath.Join(dir, name))
			if errors.Is(err, fs.ErrNotExist) {
				continue // gone meanwhile
			}
			if err != nil {
				return err
			}
			if !found(e) {
				return nil
			}
		}
	}
}

// open requires that what was looked at and what was opened are one: somebody
// may have put a link there in between, or a pipe, on which opening waits.
func (r disk) open(path string) (file, error) {
	before, err := r.stat(path)
	if err != nil {
		return nil, err
	}
	if !before.regular {
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}
	f, err := os.OpenFile(path, os.O_RDONLY|openFlags, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return diskFile{f}, nil
}

func (disk) create(dir string) (string, file, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", nil, err
	}
	defer root.Close()
	f, name, err := durable.Temp(root, fileMode)
	if err != nil {
		return "", nil, err
	}
	return filepath.Join(dir, name), diskFile{f}, nil
}

func (disk) replace(from, to string) error { return os.Rename(from, to) }

func (disk) flush(dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return durable.SyncDir(root)
}

func (disk) remove(path string) error { return os.Remove(path) }

func (r disk) mkdir(path string) error {
	if err := os.MkdirAll(path, dirMode); err != nil {
		return err
	}
	return r.flush(filepath.Dir(path))
}

type diskFile struct{ *os.File }

func (f diskFile) Sync() error { return durable.Sync(f.File) }

func (f diskFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
