package source

import (
	"errors"
	"io"
)

// tolerantBlock is the unit of a disk's bad spots.
const tolerantBlock = 4096

// readError makes an Error of a read that failed in the given range.
func readError(name string, off, length int64, err error) error {
	return &Error{Op: "read", Name: name, Off: off, Len: length, Kind: kindOf(err), Err: err}
}

// ReadTolerant reads like io.ReaderAt, and where the disk cannot deliver
// (ErrRead) it goes on in blocks of 4 KiB: what cannot be read is zeros in buf
// and is named in bad, as ranges of the file, in order, none touching another.
// n counts from off to the end of buf or of the file, bad ranges included; err
// is io.EOF at the end of the file, as of ReadAt, or another error than ErrRead.
//
// Where the end of the file is unknown because the last block cannot be read,
// all of buf is bad; the caller bounds buf by the size that Info said.
func ReadTolerant(f io.ReaderAt, off int64, buf []byte) (n int, bad []Extent, err error) {
	n, err = f.ReadAt(buf, off)
	if err == nil || !errors.Is(err, ErrRead) {
		return n, nil, err
	}
	// Begin with the whole block that failed.
	n = max(0, n-int((off+int64(n))%tolerantBlock))
	for n < len(buf) {
		at := off + int64(n)
		// Blocks of the disk are aligned in the file.
		end := min(len(buf), n+int(tolerantBlock-at%tolerantBlock))
		m, err := f.ReadAt(buf[n:end], at)
		switch {
		case err == nil:
			n = end
		case errors.Is(err, ErrRead):
			// What did arrive of a bad block is not trusted: a failing disk
			// returns neighbours.
			clear(buf[n:end])
			bad = appendExtent(bad, Extent{at, int64(end - n)})
			n = end
		default:
			return n + m, bad, err
		}
	}
	return n, bad, nil
}

// appendExtent joins ranges that touch.
func appendExtent(list []Extent, e Extent) []Extent {
	if k := len(list) - 1; k >= 0 && list[k].Off+list[k].Len == e.Off {
		list[k].Len += e.Len
		return list
	}
	return append(list, e)
}
