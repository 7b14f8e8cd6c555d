package drive

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"coffer/cloud"
	"coffer/internal/durable"
)

const (
	ownFile  = "drive-own-"
	maxOwn   = 4 << 20 // bytes that are read of it: an hour of packs takes a hundredth
	bigOwn   = 1 << 20 // bytes from which on what is old is thrown out
	ownWords = 7
)

// An ownLog remembers on this computer what was written to Drive in the last hour, and
// what of it was deleted. Listings show new files late, and a search by name is a
// listing too: without it, the next program to run here does not see the snapshot that
// this one has just made, and takes the place for an older state of itself. By its id a
// file is there at once.
//
// Each line is one write of its own, so that programs that run at the same time do not
// disturb each other. The log is a hint: what it says is asked for by id. It is not
// forced to the disk, because all that a power cut takes is this hint.
type ownLog struct {
	path string // "": nothing is remembered
	mu   sync.Mutex
}

// line is what is kept of an entry; gone says that it was deleted.
func (e entry) line(gone bool) string {
	what := "+"
	if gone {
		what = "-"
	}
	sum := e.sha256
	if sum == "" {
		sum = "?"
	}
	return strings.Join([]string{
		what, e.name, e.id, strconv.FormatInt(e.size, 10), sum, strconv.FormatInt(e.created.UnixNano(), 10), strconv.FormatInt(e.own.Unix(), 10),
	}, " ") + "\n"
}

// parseOwn reads a line; false for one that was cut, or is none.
func parseOwn(line string) (e entry, gone, ok bool) {
	words := strings.Split(line, " ")
	if len(words) != ownWords || words[0] != "+" && words[0] != "-" {
		return entry{}, false, false
	}
	size, fits := parseSize(words[3])
	created, err := strconv.ParseInt(words[5], 10, 64)
	own, err2 := strconv.ParseInt(words[6], 10, 64)
	e = entry{name: words[1], id: words[2], size: size, sha256: words[4], created: time.Unix(0, created), own: time.Unix(own, 0)}
	if e.sha256 == "?" {
		e.sha256 = ""
	}
	isSum := e.sha256 == "" || len(e.sha256) == 64 && strings.Trim(e.sha256, "0123456789abcdef") == ""
	return e, words[0] == "-", fits && err == nil && err2 == nil && isSum && cloud.ValidName(e.name) && validID(e.id)
}

// add appends a line. That it cannot be written is no trouble of the upload.
func (o *ownLog) add(e entry, gone bool) {
	if o.path == "" {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	f, err := os.OpenFile(o.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, journalMode)
	if err != nil {
		return
	}
	defer f.Close()
	_, _ = io.WriteString(f, e.line(gone)) // a hint
}

// load returns what was written in the last hour and not deleted since.
func (o *ownLog) load(now time.Time) []entry {
	if o.path == "" {
		return nil
	}
	data, err := readTail(o.path, maxOwn)
	if err != nil {
		return nil
	}
	fresh := map[string]entry{} // by id
	for line := range strings.Lines(string(data)) {
		e, gone, ok := parseOwn(strings.TrimSuffix(line, "\n"))
		switch age := now.Sub(e.own); {
		case !ok || !strings.HasSuffix(line, "\n"):
		case gone:
			delete(fresh, e.id)
		case age >= 0 && age <= ownFor: // a clock that was wrong leaves it to the listing
			fresh[e.id] = e
		}
	}
	var all []entry
	var kept bytes.Buffer
	for _, e := range fresh {
		all = append(all, e)
		kept.WriteString(e.line(false))
	}
	if len(data) > bigOwn && kept.Len() < len(data)/2 {
		_ = durable.WriteFile(o.path, kept.Bytes(), journalMode) // a hint
	}
	return all
}

// readTail reads a regular file, of a long one the end.
func readTail(path string, most int64) ([]byte, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("read what was written: %w", fs.ErrInvalid)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info.Size() > most {
		if _, err := f.Seek(-most, io.SeekEnd); err != nil {
			return nil, err
		}
	}
	data, err := io.ReadAll(io.LimitReader(f, most))
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return data, nil
}
