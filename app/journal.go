package app

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"coffer/app/repo"
)

// A journal is where an interrupted backup goes on: the files that it stored. What it
// says counts only where the chunks really are at the place and the file is unchanged
// since, so nothing in it has to be flushed in any order, a torn end is no harm, and a
// journal that cannot be written costs reading again and nothing else. It holds names
// and lies in the profile, for its owner alone.
//
// Format: magic, when the first of the interrupted backups started (seconds, u64), then
// records: length (u32), CRC-32 of what follows, kind, and the path of a folder or the
// entry (CBOR) of a file in the folder named last. All numbers are big-endian. Folders
// themselves are not in it: their pages are stored late, and made again from the files.
type journal struct {
	file   *os.File
	w      *bufio.Writer
	log    *slog.Logger
	broken bool // a write failed: no more of them
	buf    []byte
	folder string // named last
	named  bool   // folder counts
	past   past
}

const (
	journalMagic = "COFFERJ2"
	journalName  = "journal"
	maxRecord    = 8 << 20

	recordFolder = 'D'
	recordFile   = 'F'
)

// past is what the journal of an interrupted backup says. Entries stay on disk: a first
// backup of a million files has a journal of some hundred megabytes.
type past struct {
	started repo.Time
	files   map[string][]int64 // by folder, where the records of its files begin
}

// openJournal goes on with the journal that an interrupted backup left, or
// begins one.
func openJournal(ctx context.Context, dir string, started repo.Time, log *slog.Logger) (*journal, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make state folder: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, journalName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	j := &journal{file: f, w: bufio.NewWriterSize(f, 64<<10), log: log}
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
	if end == 0 {
		j.past.started = started
		j.check(j.w.Write(binary.BigEndian.AppendUint64([]byte(journalMagic), uint64(started.Sec))))
	}
	return nil
}

// add notes that a file in a folder is stored, or on its way.
func (j *journal) add(folder string, e *repo.Entry) {
	if !j.named || j.folder != folder {
		j.folder, j.named = folder, true
		j.record(recordFolder, func(b []byte) []byte { return append(b, folder...) })
	}
	j.record(recordFile, e.AppendCBOR)
}

func (j *journal) record(kind byte, appendBody func([]byte) []byte) {
	if j.broken {
		return
	}
	j.buf = appendBody(append(j.buf[:0], 0, 0, 0, 0, 0, 0, 0, 0, kind))
	binary.BigEndian.PutUint32(j.buf, uint32(len(j.buf)-8))
	binary.BigEndian.PutUint32(j.buf[4:], crc32.ChecksumIEEE(j.buf[8:]))
	j.check(j.w.Write(j.buf))
}

func (j *journal) check(_ int, err error) {
	if err != nil && !j.broken {
		j.broken = true
		j.log.Warn("journal cannot be written; an interruption would cost more", "error", err)
	}
}

// flush hands what was added to the system, where it survives the end of this process.
func (j *journal) flush() {
	if !j.broken {
		j.check(0, j.w.Flush())
	}
}

// close leaves the journal for the next backup; remove drops it, when this one
// was finished.
func (j *journal) close() {
	j.flush()
	_ = j.file.Close()
}

func (j *journal) remove() {
	j.close()
	_ = os.Remove(j.file.Name())
}

// files returns what the interrupted backup stored of a folder, by name.
func (j *journal) files(folder string) map[string]repo.Entry {
	at := j.past.files[folder]
	if len(at) == 0 {
		return nil
	}
	files := make(map[string]repo.Entry, len(at))
	for _, off := range at {
		_, body, _ := readRecord(io.NewSectionReader(j.file, off, maxRecord+8))
		if e, err := repo.ParseEntry(body); err == nil {
			files[e.Name] = e
		}
	}
	return files
}

// readJournal returns what a journal says and where its last whole record ends.
func readJournal(ctx context.Context, f io.Reader) (p past, end int64, err error) {
	p.files = map[string][]int64{}
	r := bufio.NewReaderSize(f, 256<<10)
	head := make([]byte, len(journalMagic)+8)
	if _, err := io.ReadFull(r, head); err != nil || !bytes.HasPrefix(head, []byte(journalMagic)) {
		return p, 0, nil //nolint:nilerr // what is no journal says nothing, and is begun anew
	}
	p.started.Sec = int64(binary.BigEndian.Uint64(head[len(journalMagic):]))
	end = int64(len(head))
	folder, named := "", false
	for ctx.Err() == nil {
		kind, body, size := readRecord(r)
		switch {
		case size == 0:
			return p, end, nil // the end, or a torn one
		case kind == recordFolder:
			folder, named = string(body), true
		case kind == recordFile && named:
			p.files[folder] = append(p.files[folder], end)
		}
		end += size
	}
	return p, 0, context.Cause(ctx)
}

// readRecord returns a record and its size, which is zero when there is no whole
// one.
func readRecord(r io.Reader) (kind byte, body []byte, size int64) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, 0
	}
	n := binary.BigEndian.Uint32(head[:])
	if n < 1 || n > maxRecord {
		return 0, nil, 0
	}
	record := make([]byte, n)
	if _, err := io.ReadFull(r, record); err != nil || crc32.ChecksumIEEE(record) != binary.BigEndian.Uint32(head[4:]) {
		return 0, nil, 0
	}
	return record[0], record[1:], int64(n) + 8
}
