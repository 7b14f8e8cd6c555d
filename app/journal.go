package app

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"

	"coffer/app/repo"
)

// A journal is where an interrupted backup goes on: the folders, and the large files of
// unfinished folders, that were done. What it says counts only where the chunks
// are stored, so nothing in it has to be flushed in any order, and a torn end is
// no harm. It holds names and lies in the profile, for its owner alone.
//
// Format: magic, when the first of the interrupted backups started (seconds, u64), then records: length
// (u32), CRC-32 of what follows, kind, length of path (u32), path, entry
// (CBOR). All numbers are big-endian.
type journal struct {
	file *os.File
	w    *bufio.Writer
	buf  []byte
	past *past
}

const (
	journalMagic = "COFFERJ1"
	journalName  = "journal"
	maxRecord    = 8 << 20

	recordFile   = 'F' // a file of an unfinished folder; path is the folder's
	recordFolder = 'D' // a folder with all below it; path is its own
)

// openJournal goes on with the journal that an interrupted backup left, or
// begins one.
func openJournal(ctx context.Context, dir string, started repo.Time) (*journal, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make state folder: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, journalName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	j := &journal{file: f, w: bufio.NewWriterSize(f, 64<<10)}
	if err := j.begin(ctx, started); err != nil {
		_ = f.Close()
		return nil, err
	}
	return j, nil
}

func (j *journal) begin(ctx context.Context, started repo.Time) error {
	var end int64
	var err error
	if j.past, end, err = readJournal(ctx, j.file); err != nil {
		return err
	}
	// What follows the last whole record would hide the records after it.
	if err := j.file.Truncate(end); err != nil {
		return fmt.Errorf("cut journal: %w", err)
	}
	if _, err := j.file.Seek(end, io.SeekStart); err != nil {
		return fmt.Errorf("cut journal: %w", err)
	}
	if end > 0 {
		return nil
	}
	j.past.started = started
	_, err = j.w.Write(binary.BigEndian.AppendUint64([]byte(journalMagic), uint64(started.Sec)))
	return err
}

// add notes that an entry is done.
func (j *journal) add(kind byte, path string, e *repo.Entry) error {
	j.buf = append(j.buf[:0], make([]byte, 8)...)
	j.buf = append(j.buf, kind)
	j.buf = binary.BigEndian.AppendUint32(j.buf, uint32(len(path)))
	j.buf = append(j.buf, path...)
	j.buf = e.AppendCBOR(j.buf)
	binary.BigEndian.PutUint32(j.buf, uint32(len(j.buf)-8))
	binary.BigEndian.PutUint32(j.buf[4:], crc32.ChecksumIEEE(j.buf[8:]))
	if _, err := j.w.Write(j.buf); err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	return nil
}

// close leaves the journal for the next backup; remove drops it, when this one
// was finished. A journal that is short costs reading again and nothing else.
func (j *journal) close() {
	_ = j.w.Flush()
	_ = j.file.Close()
}

func (j *journal) remove() {
	j.close()
	_ = os.Remove(j.file.Name())
}

// past is what the journal of an interrupted backup says.
type past struct {
	started repo.Time
	folders map[string]repo.Content          // finished, by path
	files   map[string]map[string]repo.Entry // of unfinished folders, by path and name
}

// readJournal returns what a journal says and where its last whole record ends.
func readJournal(ctx context.Context, f io.Reader) (p *past, end int64, err error) {
	p = &past{folders: map[string]repo.Content{}, files: map[string]map[string]repo.Entry{}}
	r := bufio.NewReaderSize(f, 256<<10)
	head := make([]byte, len(journalMagic)+8)
	if _, err := io.ReadFull(r, head); err != nil || !bytes.HasPrefix(head, []byte(journalMagic)) {
		return p, 0, nil
	}
	p.started.Sec = int64(binary.BigEndian.Uint64(head[len(journalMagic):]))
	end = int64(len(head))
	for ctx.Err() == nil {
		kind, folder, entry, size := readRecord(r)
		if size == 0 {
			return p, end, nil // the end, or a torn one
		}
		end += size
		p.note(kind, folder, entry)
	}
	return nil, 0, context.Cause(ctx)
}

// readRecord returns a record and its size, which is zero when there is no whole
// one.
func readRecord(r io.Reader) (kind byte, path string, e repo.Entry, size int64) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return
	}
	n := binary.BigEndian.Uint32(head[:])
	if n < 5 || n > maxRecord {
		return
	}
	record := make([]byte, n)
	if _, err := io.ReadFull(r, record); err != nil || crc32.ChecksumIEEE(record) != binary.BigEndian.Uint32(head[4:]) {
		return
	}
	length := binary.BigEndian.Uint32(record[1:])
	if uint64(length) > uint64(n-5) {
		return
	}
	entry, err := repo.ParseEntry(record[5+length:])
	if err != nil {
		return
	}
	return record[0], string(record[5 : 5+length]), entry, int64(n) + 8
}

func (p *past) note(kind byte, path string, e repo.Entry) {
	if kind == recordFolder {
		p.folders[path] = e.Content
		delete(p.files, path)
		return
	}
	if _, done := p.folders[path]; done {
		return
	}
	if p.files[path] == nil {
		p.files[path] = map[string]repo.Entry{}
	}
	p.files[path][e.Name] = e
}
