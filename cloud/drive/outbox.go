package drive

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"

	"coffer/cloud"
)

const (
	outboxPrefix = "drive-bytes-"
	maxOutbox    = 64 << 20 // bytes of one object; larger ones are none of ours
)

// keep puts the bytes of an upload beside its ticket. A backup that is killed loses what
// it had in memory, and its next run makes other objects of the same files: without the
// bytes, a session that has most of an object could never go on. They are sealed as they
// go to Drive, and need not be forced to the disk: a kill does not take them, and after a
// power cut bytes that are not right are thrown away.
//
// That they cannot be kept, on a disk that is full, is no trouble of the upload.
func (j *journal) keep(name string, src cloud.Source) {
	if j.dir == "" {
		return
	}
	path := j.path(outboxPrefix, name)
	if info, err := os.Lstat(path); err == nil && info.Size() == src.Size() {
		return // of the run before
	}
	f, err := os.CreateTemp(j.dir, outboxPrefix+"new-")
	if err != nil {
		return
	}
	_, err = io.Copy(f, io.NewSectionReader(src, 0, src.Size()))
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // or swept later
	}
}

// Unfinished implements [cloud.Finisher]. Bytes that are not those of their name are
// thrown away: the place does not miss them, because nothing there refers to them.
func (d *Driver) Unfinished() iter.Seq2[string, cloud.Source] {
	return func(yield func(string, cloud.Source) bool) {
		for _, name := range d.journal.tickets() {
			src, err := openKept(d.journal.path(outboxPrefix, name), name)
			if errors.Is(err, fs.ErrNotExist) {
				continue // small, or its bytes could not be kept
			}
			if err != nil {
				d.journal.remove(name)
				continue
			}
			more := yield(name, src)
			_ = src.Close() // read only
			if !more {
				return
			}
		}
	}
}

// tickets returns the names of the uploads of this place that did not end.
func (j *journal) tickets() []string {
	if j.dir == "" {
		return nil
	}
	entries, err := os.ReadDir(j.dir)
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), journalPrefix) {
			continue
		}
		data, err := j.readFile(filepath.Join(j.dir, e.Name()))
		if err != nil {
			continue
		}
		t, err := parseTicket(data)
		// Another place may share the folder.
		if err == nil && filepath.Base(j.path(journalPrefix, t.Name)) == e.Name() {
			names = append(names, t.Name)
		}
	}
	return names
}

// A fileSource is the bytes of an object in a file.
type fileSource struct {
	*os.File
	size int64
	sum  [sha256.Size]byte
}

func (s *fileSource) Size() int64               { return s.size }
func (s *fileSource) SHA256() [sha256.Size]byte { return s.sum }

// openKept opens the bytes at path, which must be those of the name.
func openKept(path, name string) (*fileSource, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxOutbox {
		return nil, fmt.Errorf("read outbox: %w", fs.ErrInvalid)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	s := &fileSource{File: f, size: info.Size()}
	h := sha256.New()
	n, err := io.Copy(h, io.NewSectionReader(f, 0, s.size))
	s.sum = [sha256.Size]byte(h.Sum(nil))
	_, digits, ok := strings.Cut(name, "-")
	if err != nil || n != s.size || !ok || !strings.HasPrefix(hex.EncodeToString(s.sum[:]), digits) {
		f.Close()
		return nil, fmt.Errorf("read outbox: %w", cloud.ErrChecksum)
	}
	return s, nil
}
